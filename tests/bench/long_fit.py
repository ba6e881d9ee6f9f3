"""What training on a long recording costs: a process of its own, for its peak memory is that of the whole process.

python -m tests.bench.long_fit ROWS [FAMILY]
"""

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bench.parts import ROOT

CHANNELS = 6
KIB = 1024
TIMEOUT_S = 600


@dataclass(frozen=True)
class Cost:
    """Rows a second, with all that a candidate needs; and the most resident memory, in MB."""

    per_s: float
    peak_mb: float


def fit(rows: int) -> Cost:
    """Of the linear families: the networks' steps are bounded, and take the same time for any recording."""
    command = [sys.executable, "-m", "tests.bench.long_fit", str(rows), "cva"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=TIMEOUT_S)
    return Cost(**json.loads(done.stdout))


def _measure(rows: int, family: str) -> Cost:
    from edge_ae_train import fit as training
    from edge_ae_train.data import prepare

    from edge_ae.store.recording_csv import Table

    angle = np.arange(rows)[:, None] / np.arange(20, 20 + CHANNELS)
    values = np.sin(angle) + np.random.default_rng(0).normal(0.0, 0.1, (rows, CHANNELS))
    t_ns = np.arange(rows, dtype=np.int64) * 10**9
    table = Table(Path("long.csv"), [""] * rows, t_ns, tuple("abcdef"), values)
    start = time.monotonic()
    training.fit(prepare.recording_of([table]).segments, training.Options(family))
    took_s = time.monotonic() - start
    return Cost(rows / took_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB / 1e6)


if __name__ == "__main__":
    print(json.dumps(vars(_measure(int(sys.argv[1]), sys.argv[2]))))
