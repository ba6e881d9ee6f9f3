"""What is watched in the bench: simulated pumps, and models of them, trained as anybody would train one."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edge_ae_train.synthetic.simulator import DEFAULT_START_NS, Simulation, simulate, write_csv
from numpy.typing import NDArray

from tests.bench import packets
from tests.bench.parts import ROOT

CHANNELS = 8  # of one pump
TRAIN_ROWS = 4200  # one network to train; below 4000 there are five
PERIOD_S = 10.0  # of event time: half a day to learn from. How fast the rows come is another matter
LENGTH = 32
STAGGER_ROWS = 61  # between what two assets do
TRAIN_TIMEOUT_S = 600
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Plant:
    """Rows of a machine, and the model that knows them."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    period_ns: int
    model: Path

    def rows(self, count: int) -> NDArray[np.float64]:
        """As many rows as are wanted: those there are, to and fro, so that nothing jumps."""
        there_and_back = np.concatenate([self.values, self.values[-2:0:-1]])
        return np.resize(there_and_back, (count, len(self.names)))

    def times(self, count: int) -> range:
        return range(DEFAULT_START_NS, DEFAULT_START_NS + count * self.period_ns, self.period_ns)

    def payloads(self, count: int) -> Iterator[bytes]:
        """A JSON object for each of `count` rows."""
        for t_ns, values in zip(self.times(count), self.rows(count), strict=True):
            yield packets.payload(self.names, t_ns, values)

    def payloads_of(self, assets: int, count: int) -> Iterator[tuple[int, bytes]]:
        """`count` rows of each of several assets in turn, which are alike and never do the same at the same time."""
        values = self.rows(count + assets * STAGGER_ROWS)
        for row, t_ns in enumerate(self.times(count)):
            for asset in range(assets):
                yield asset, packets.payload(self.names, t_ns, values[row + asset * STAGGER_ROWS])


def plant(folder: Path, name: str, pumps: int, family: str = "cae", length: int = LENGTH) -> Plant:
    """`pumps` machines of CHANNELS channels each, watched as one asset in windows of `length` rows."""
    runs = [simulate(TRAIN_ROWS, PERIOD_S, seed=seed) for seed in range(pumps)]
    names = tuple(f"{word}_{number}" for number, run in enumerate(runs) for word in run.names[:CHANNELS])
    units = tuple(unit for run in runs for unit in run.units[:CHANNELS])
    values = np.concatenate([run.values[:, :CHANNELS] for run in runs], axis=1)
    data, model = folder / f"{name}.csv", folder / f"{name}.onnx"
    write_csv(Simulation(names, units, runs[0].t_ns, values, runs[0].regime), data)
    command = [sys.executable, "-m", "edge_ae_train", "fit", "--family", family, "--length", str(length)]
    command += ["--data", str(data), "--out", str(model)]
    quiet = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TRAIN_TIMEOUT_S)
    assert quiet.returncode == 0, quiet.stderr
    return Plant(names, values, round(PERIOD_S * SECOND), model)
