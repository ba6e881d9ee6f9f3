"""Rows a second of a recording: `edge-ae score` beside half-space trees and a bare read of the same file.

Each is a process of its own and is timed whole, from its start to its end.

    python -m tests.bench.rows trees|numpy FILE
"""

import csv
import subprocess
import sys
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.parts import ROOT
from tests.bench.plant import Plant

TIMEOUT_S = 600


def write(plant: Plant, rows: int, path: Path) -> Path:
    """A recording as loggers write them."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["time", *plant.names])
        for t_ns, values in zip(plant.times(rows), plant.rows(rows).tolist(), strict=True):
            out.writerow([t_ns // 1_000_000, *(f"{value:.3f}" for value in values)])
    return path


def score(plant: Plant, path: Path) -> float:
    """Seconds that `edge-ae score` takes."""
    command = ["edge_ae", "score", "--model", str(plant.model), "--data", str(path)]
    return _timed([*command, "--out", str(path.with_suffix(".scores.csv"))])


def score_several(plant: Plant, path: Path, count: int) -> float:
    """Seconds that it takes for as many recordings like this one."""
    several = [path.with_name(f"{path.stem}-{number}.csv") for number in range(count)]
    for copy in several:
        copy.write_bytes(path.read_bytes())
    command = ["edge_ae", "score", "--model", str(plant.model), "--data", *map(str, several)]
    return _timed([*command, "--out", str(path.with_name("scores"))])


def beside(name: str, path: Path) -> float:
    """Seconds that `trees` or `numpy` takes."""
    return _timed(["tests.bench.rows", name, str(path)])


def _timed(module: list[str]) -> float:
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", *module], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=TIMEOUT_S)
    return time.monotonic() - start


def trees(path: Path) -> None:
    """river's half-space trees: score, then learn, row by row; the ranges are given to them."""
    from river.anomaly import HalfSpaceTrees

    values = read(path)
    names = [f"c{index}" for index in range(values.shape[1])]
    limits: dict[Hashable, tuple[float, float]] = {
        name: (float(low), float(high)) for name, low, high in zip(names, values.min(0), values.max(0), strict=True)
    }
    model: Any = HalfSpaceTrees(limits=limits, seed=0)
    for row in values.tolist():
        x = dict(zip(names, row, strict=True))
        model.score_one(x)
        model.learn_one(x)


def read(path: Path) -> np.ndarray:
    return np.loadtxt(path, delimiter=",", skiprows=1)[:, 1:]


if __name__ == "__main__":
    {"trees": trees, "numpy": read}[sys.argv[1]](Path(sys.argv[2]))
