"""What a fleet costs: its jobs on 1 and 2 processes and on a local Ray cluster, beside a bare loop over `fit`.

python -m tests.bench.fleet [--assets 100] [--rows 50000] [--channels 8]

Every way is a process of its own, for peak memory is that of a process and its children. One run has a worker killed in its
middle. All must make the same models. Exit status 0: every aim is reached. A way takes some minutes for 100 assets; 6 assets
show no speed-up, for each process first loads its libraries and traces a graph.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from tests.bench.parts import ROOT

FAMILY, LENGTH = "cva", 64
WATCH_S = 0.2
AT_WORK_BYTES = 200_000_000  # of a worker that has loaded what it trains with
LEAST_SPEED_UP, MOST_OVERHEAD = 1.8, 0.15
BARE, ONE, TWO, KILLED, RAY = "bare loop", "1 process", "2 processes", "2, one killed", "Ray, 2 workers"


@dataclass(frozen=True, slots=True)
class Measured:
    """`digest`: of all models that were made."""

    took_s: float
    peak_mb: float
    digest: str


def main() -> int:
    parser = argparse.ArgumentParser(description="What a fleet costs.")
    parser.add_argument("--assets", type=int, default=100)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--channels", type=int, default=8)
    options = parser.parse_args()
    print(f"{options.assets} assets x {options.rows:,} rows x {options.channels} channels, {FAMILY}")
    with tempfile.TemporaryDirectory() as scratch:
        return verdict(measure(Path(scratch), options.assets, options.rows, options.channels))


def measure(scratch: Path, assets: int, rows: int, channels: int) -> dict[str, Measured]:
    data = scratch / "data"
    make_data(data, assets, rows, channels)
    ways: dict[str, Callable[[Path], list[str]]] = {
        BARE: lambda out: [sys.executable, "-m", "tests.bench.fleet_loop", str(data), str(out)],
        ONE: lambda out: command(data, out, 1),
        TWO: lambda out: command(data, out, 2),
        KILLED: lambda out: command(data, out, 2),
    }
    if importlib.util.find_spec("ray") is not None:
        ways[RAY] = lambda out: [*command(data, out, 2), "--ray", "local"]
    found = {}
    for name, words in ways.items():
        out = scratch / name.replace(" ", "-")
        took_s, peak_mb = timed(words(out), kill=name == KILLED)
        found[name] = Measured(took_s, peak_mb, digest(out))
        print(f"{name:<16}{took_s:8.1f} s  {took_s / assets:6.2f} s an asset  peak {peak_mb:7.0f} MB", flush=True)
    return found


def verdict(found: Mapping[str, Measured]) -> int:
    """Prints each aim, and whether it is reached."""
    speed_up = found[BARE].took_s / found[TWO].took_s
    killed = found[KILLED].took_s / found[TWO].took_s - 1.0
    aims = [
        (
            f"2 processes are {speed_up:.2f} times as fast as a bare loop",
            f">= {LEAST_SPEED_UP}",
            speed_up >= LEAST_SPEED_UP,
        ),
        (
            f"1 process takes {found[ONE].peak_mb / found[BARE].peak_mb:.2f} of a bare loop's memory",
            "<= 1.05",
            found[ONE].peak_mb <= 1.05 * found[BARE].peak_mb,
        ),
        (f"a killed worker costs {killed:+.1%}", "same models", found[KILLED].digest == found[TWO].digest),
        ("models of all ways", "the same to the bit", len({one.digest for one in found.values()}) == 1),
    ]
    if RAY in found:
        overhead = found[RAY].took_s / found[TWO].took_s - 1.0
        aims.append(
            (f"Ray takes {overhead:+.1%} beside 2 processes", f"<= {MOST_OVERHEAD:.0%}", overhead <= MOST_OVERHEAD)
        )
    else:
        print("Ray is left out, for it is not installed: pip install '.[ray]'")
    for what, aim, reached in aims:
        print(f"{what:<55}{aim:<22}{'yes' if reached else 'NO'}")
    return 0 if all(reached for _, _, reached in aims) else 1


def make_data(folder: Path, assets: int, rows: int, channels: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    times = pa.array(np.arange(rows, dtype=np.int64) * 10**9 + 1_767_225_600 * 10**9, pa.timestamp("ns", "UTC"))
    angle = np.arange(rows)[:, None] / np.arange(20, 20 + channels)
    for asset in range(assets):
        values = np.sin(angle) + np.random.default_rng(asset).normal(0.0, 0.1, (rows, channels))
        columns = {f"c{n}": values[:, n] for n in range(channels)}
        pq.write_table(pa.table({"time": times, **columns}), folder / f"asset-{asset:04d}.parquet")


def command(data: Path, out: Path, workers: int) -> list[str]:
    fixed = ["--family", FAMILY, "--length", str(LENGTH), "--workers", str(workers)]
    return [sys.executable, "-m", "edge_ae_train", "fleet", "fit", "--data", str(data), "--out", str(out), *fixed]


def timed(words: list[str], *, kill: bool) -> tuple[float, float]:
    """Seconds, and the most memory of the process with its children, in MB."""
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'train'}", "OMP_NUM_THREADS": "1"}
    began_s = time.monotonic()
    process = subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with process, watched(process.pid) as peak:
        if kill:
            kill_a_worker(process.pid)
        status = process.wait()
    if status != 0:
        sys.exit(f"{' '.join(words)}: status {status}")
    return time.monotonic() - began_s, peak[0] / 1e6


@contextmanager
def watched(pid: int) -> Iterator[list[float]]:
    """The most resident bytes that are not shared, so far."""
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_S):
            peak[0] = max(peak[0], float(sum(map(unique_bytes, family(pid)))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def unique_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


def kill_a_worker(pid: int) -> None:
    """One that has come to work, as memory says."""
    while True:
        workers = [one for one in family(pid)[1:] if unique_bytes(one) > AT_WORK_BYTES]
        if workers:
            workers[0].send_signal(signal.SIGKILL)
            return
        time.sleep(WATCH_S)


def digest(out: Path) -> str:
    models = sorted(out.glob("*.onnx"))
    return json.dumps([[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in models])


if __name__ == "__main__":
    sys.exit(main())
