"""`make arm`: on emulated ARM every family scores as here, and the daemon raises the same alerts of the same readings.

one recording ─┬─► edge-ae score, here          ─┐
               └─► edge-ae score, in the arm64 root ─┴─► equal, for each family and core
one replay ─► broker ─┬─► a daemon, here             ─┐
                      └─► a daemon, in the arm64 root ─┴─► equal
"""

import csv
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from edge_ae_train import fit
from edge_ae_train.models.families import FAMILIES

from tests.conftest import Broker, Subscriber, wait_for
from tests.machines import arm_root
from tests.machines.findings import LEFT_OUT
from tests.models import TRAIN_ROWS, TRAINED_LENGTH, pump, train_model

TOLERANCE = 1e-5  # relative: the two processors round products of float32 otherwise
ROWS = 600
PACE = "200"
SAME = ("type", "state", "severity", "ts_onset", "ts_raised", "ts_cleared", "top_channel", "reason")


def main() -> int:
    """0: all equal; 1: something differs; LEFT_OUT where the machine cannot do it."""
    reason = arm_root.lacking()
    if reason is not None:
        print(f"arm: left out: {reason}")
        return LEFT_OUT
    root = arm_root.installed()
    with TemporaryDirectory() as folder:
        work = Path(folder)
        recording(work / "pump.csv")
        for family in FAMILIES:
            train(family, work)
        shutil.rmtree(root / "work", ignore_errors=True)
        shutil.copytree(work, root / "work")
        wrong = [line for core in arm_root.CPUINFO for line in scores(root, core, work)]
        wrong += alerts(root, "cortex-a72", work)
    for line in wrong:
        print(f"DIFFERS {line}")
    return 1 if wrong else 0


def recording(path: Path) -> None:
    """Rows that trained nothing, with a fault near the end."""
    simulation = pump(TRAIN_ROWS + ROWS)
    values = simulation.values[TRAIN_ROWS:].copy()
    values[400:460, 2] += 60.0  # m3/h of flow that no other channel knows of
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", *simulation.names])
        times = simulation.t_ns[TRAIN_ROWS:] // 10**9
        writer.writerows([t, *row] for t, row in zip(times.tolist(), values.tolist(), strict=True))


def train(family: str, work: Path) -> None:
    """A model of this family, whatever another would find."""
    with mock.patch.object(fit, "_families", lambda asked: (asked,)):
        train_model(work / f"{family}.onnx", fit.Options(family=family, length=TRAINED_LENGTH))


def scores(root: Path, core: str, work: Path) -> Iterator[str]:
    """Compares what `edge-ae score` writes, line by line. Yields a sentence for each family that differs."""
    with arm_root.entered(root, core):
        for family in FAMILIES:
            words = ["score", "--model", f"{family}.onnx", "--data", "pump.csv", "--out", f"{family}.csv"]
            subprocess.run([sys.executable, "-m", "edge_ae", *_in(work, words)], check=True)
            arm_root.run(root, core, shlex.join(["edge-ae", *_in(Path("/work"), words)]))
            here, there = (table(place / f"{family}.csv") for place in (work, root / "work"))
            furthest = max(_apart(a["score"], b["score"]) for a, b in zip(here, there, strict=True))
            alike = [a["alert"] for a in here] == [b["alert"] for b in there]
            raised = sum(a["alert"] == "1" for a in here)
            print(
                f"{core}  {family:<4} {len(here)} lines, scores within {furthest:.1e}, {raised} lines in alert",
                flush=True,
            )
            if not alike or furthest > TOLERANCE:
                yield f"{core} {family}: scores by {furthest:.1e}, alerts {'equal' if alike else 'other'}"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _in(folder: Path, words: Sequence[str]) -> list[str]:
    return [str(folder / word) if word.endswith((".csv", ".onnx")) else word for word in words]


def _apart(a: str, b: str) -> float:
    """The relative difference; none between two that are empty."""
    if a == "" or b == "":
        return 0.0 if a == b else 1.0
    return abs(float(a) - float(b)) / max(abs(float(a)), 1e-9)


def alerts(root: Path, core: str, work: Path) -> list[str]:
    """Two daemons at one broker take the same replay. What differs of their events."""
    broker = Broker(work).start()
    listener = Subscriber(broker.port)
    with ExitStack() as stack:
        stack.callback(broker.close)
        stack.callback(listener.close)
        stack.enter_context(arm_root.entered(root, core))
        for node, folder in (("here", work), ("there", root / "work")):
            settings(folder / f"{node}.toml", node, broker.port)
        run = ["run", "--config"]
        stack.enter_context(_running([sys.executable, "-m", "edge_ae", *run, str(work / "here.toml")]))
        stack.enter_context(_running(arm_root.command(root, core, ["edge-ae", *run, "/work/there.toml"])))
        wait_for(
            lambda: {m.topic for m in listener.on("/status")} >= {f"edge-ae/{n}/status" for n in ("here", "there")},
            "both",
            300,
        )
        replay = [
            "replay",
            "--data",
            str(work / "pump.csv"),
            "--topic",
            "plant/pump",
            "--speed",
            PACE,
            "--port",
            str(broker.port),
        ]
        subprocess.run([sys.executable, "-m", "edge_ae", *replay], check=True)
        wait_for(
            lambda: all(_types(listener, n)[-1:] == ["end"] for n in ("here", "there")), "the end of both alerts", 300
        )
        here, there = (events(listener, node) for node in ("here", "there"))
    print(
        f"{core}  daemon and replay: {len(here)} events here, {len(there)} there, {'equal' if here == there else 'other'}"
    )
    return [] if here == there else [f"{core} daemon: {here} here, {there} there"]


def settings(path: Path, node: str, port: int) -> None:
    path.write_text(
        f'node = "{node}"\nstate_dir = "state-{node}"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        '[[streams]]\ntopic = "plant/pump"\ntime = "ts"\nmodel = "pca.onnx"\n'
    )


@contextmanager
def _running(words: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen(words)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _types(listener: Subscriber, node: str) -> list[str]:
    return [body["type"] for body in events(listener, node)]


def events(listener: Subscriber, node: str) -> list[dict[str, Any]]:
    """Each event once, in order, by what does not depend on the node's name."""
    bodies = {(body["id"], body["seq"]): body for body in listener.bodies("/event") if body["node"] == node}
    return [{key: body[key] for key in SAME} for body in bodies.values()]


if __name__ == "__main__":
    sys.exit(main())
