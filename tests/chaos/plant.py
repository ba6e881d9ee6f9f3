"""What is watched in the campaign: pumps that break down every few minutes, and the model that knows them well.

Rows come from a simulated cycle, over and over: row `i` of an asset is the same in every run, and there is no last one.
"""

import csv
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Origin, save
from edge_ae_train.fit import Options, fit
from edge_ae_train.synthetic.simulator import simulate
from numpy.typing import NDArray

from edge_ae.core.timestamps import parse_time_ns, rfc3339
from edge_ae.errors import BadModel
from edge_ae.model.onnx_model import OnnxModel

NODE = "chaos"
ASSETS = ("p1", "p2")
GUEST = "p3"  # has a stream of its own, which is taken out of the settings and put back
PERIOD_MS = 1000  # of the rows as they are told; the machine is simulated at a tenth of that pace,
SIMULATED_PERIOD_S = 10.0  # so that a cycle shows all that it does
T0_MS = 1_577_836_800_000  # 2020-01-01: no clock that jumps by weeks comes to before it
TRAIN_ROWS = 3000
LENGTH = 16
CYCLE_ROWS = 6000
EPISODE_ROWS = (12, 16, 20, 90)  # the last is long enough for updates
EVERY_ROWS = 60, 70, 50, 130  # from the beginning of an episode to that of the next
BREAKING = {"vibration": 2.5, "bearing_temperature": 4.0, "motor_current": 15.0}  # all at once, and more and more
BUDGET = "1/week"


@dataclass(frozen=True)
class Plant:
    """`repaired_from`: the row from which on nothing breaks any more, so that every alert comes to its end."""

    names: tuple[str, ...]
    healthy: NDArray[np.float64]
    broken: NDArray[np.float64]
    model: Path
    repaired_from: int | None = None

    def row(self, asset: str, number: int) -> dict[str, float]:
        repaired = self.repaired_from is not None and number >= self.repaired_from
        rows = self.healthy if repaired else self.broken
        everyone = (*ASSETS, GUEST)
        offset = everyone.index(asset) * CYCLE_ROWS // len(everyone)
        return dict(zip(self.names, rows[(number + offset) % CYCLE_ROWS].tolist(), strict=True))

    def payload(self, asset: str, number: int) -> bytes:
        return json.dumps({"ts": T0_MS + number * PERIOD_MS} | self.row(asset, number)).encode()


def plant(folder: Path) -> Plant:
    """The model is trained once and found in `folder` from then on."""
    healthy = simulate(TRAIN_ROWS + CYCLE_ROWS, SIMULATED_PERIOD_S, seed=1)
    names, path = healthy.names, folder / "pump.onnx"
    try:
        OnnxModel.load(path)
    except BadModel:  # none there, or that of an older program
        folder.mkdir(parents=True, exist_ok=True)
        _train([healthy.values[:TRAIN_ROWS].astype(np.float32)], names, path)
    rows_of_cycle = healthy.values[TRAIN_ROWS:].round(3)
    return Plant(names, rows_of_cycle, _broken(names, rows_of_cycle), path)


def _broken(names: Sequence[str], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same machine with a bearing that breaks, again and again."""
    broken, start = rows.copy(), EVERY_ROWS[0]
    rounds = zip(cycle(EPISODE_ROWS), cycle(EVERY_ROWS), strict=False)
    while start + max(EPISODE_ROWS) < len(rows):
        episode, every = next(rounds)
        for name, by in BREAKING.items():
            broken[start : start + episode, names.index(name)] += by * np.linspace(1.0, 3.0, episode)
        start += every
    return broken


def _train(rows: Sequence[NDArray[np.float32]], names: Sequence[str], path: Path) -> None:
    recording = Recording(tuple(names), PERIOD_MS * 1_000_000, tuple(Segment(part) for part in rows))
    fitted = fit(recording.segments, Options(family="pca", length=LENGTH))
    save(fitted, recording, Origin("pump", "2026-01-01T00:00:00Z", "d" * 64), path)


def undisturbed(plant: Plant, rows: int, folder: Path) -> list[dict[str, Any]]:
    """The events that `edge-ae score` makes of the first rows of each asset: what subscribers must end up with."""
    return [event for asset in ASSETS for event in _scored(plant, asset, rows, folder)]


def _scored(plant: Plant, asset: str, rows: int, folder: Path) -> Iterable[dict[str, Any]]:
    data, events = folder / f"{asset}.csv", folder / f"{asset}.jsonl"
    with data.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", *plant.names])
        writer.writerows([T0_MS + i * PERIOD_MS, *plant.row(asset, i).values()] for i in range(rows))
    command = ["-m", "edge_ae", "score", "--model", plant.model, "--data", data, "--events", events]
    command += ["--out", folder / f"{asset}.scores.csv", "--node", NODE, "--asset", asset, "--budget", BUDGET]
    subprocess.run([sys.executable, *map(str, command)], check=True)
    return [json.loads(line) for line in events.read_text().splitlines()]


def time_of(number: int) -> str:
    """What `number_of` takes."""
    return rfc3339((T0_MS + number * PERIOD_MS) * 1_000_000)


def number_of(ts: str) -> int:
    """The row that has this time."""
    return (parse_time_ns(ts) // 1_000_000 - T0_MS) // PERIOD_MS
