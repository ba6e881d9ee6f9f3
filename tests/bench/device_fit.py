"""What it costs a device to make a model of a day: `edge-ae-train fit` on a CSV file, without what only a workstation has.

python -m tests.bench.device_fit FOLDER
"""

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edge_ae_train.__main__ import main

from edge_ae.core.timestamps import rfc3339
from edge_ae.store.recording_csv import write_csv
from tests.bench.parts import ROOT

CHANNELS = 16
DAY_ROWS = 86_400  # at 1 Hz
LACKING = ("torch", "onnx", "sklearn", "scipy", "matplotlib", "rich", "pyarrow")
KIB = 1024
TIMEOUT_S = 1200


@dataclass(frozen=True)
class DeviceCost:
    """Seconds of a core, all that the program does among them; and the most resident memory, in MB."""

    core_s: float
    peak_mb: float


def fit_a_day(folder: Path, rows: int) -> DeviceCost:
    _write(folder / "day.csv", rows)
    command = [sys.executable, "-m", "tests.bench.device_fit", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
    )
    return DeviceCost(**json.loads(done.stdout.splitlines()[-1]))


def _write(path: Path, rows: int) -> None:
    """Channels that follow four loads, which wander."""
    rng = np.random.default_rng(0)
    pull = 0.995 ** np.arange(2000)
    loads = np.column_stack([np.convolve(rng.normal(size=rows), pull)[:rows] for _ in range(4)])
    values = 0.1 * loads @ rng.normal(size=(4, CHANNELS)) + rng.normal(0.0, 0.1, (rows, CHANNELS))
    times = [rfc3339(second * 10**9) for second in range(rows)]
    write_csv(path, times, tuple(f"c{index}" for index in range(CHANNELS)), values.round(4))


def _measure(folder: Path) -> DeviceCost:
    sys.modules.update(dict.fromkeys(LACKING))  # type: ignore[arg-type]  # None: an import of it fails
    code = main(["fit", "--data", str(folder / "day.csv"), "--out", str(folder / "day.onnx")])
    assert code == 0, f"fit ended with {code}"
    used = resource.getrusage(resource.RUSAGE_SELF)
    return DeviceCost(used.ru_utime + used.ru_stime, used.ru_maxrss * KIB / 1e6)


if __name__ == "__main__":
    print(json.dumps(vars(_measure(Path(sys.argv[1])))))
