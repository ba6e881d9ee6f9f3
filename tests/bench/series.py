"""What the quality bench runs on: recordings of others where they are, the simulator everywhere.

A `Case` is rows to learn from, rows to judge, and labels for the final figure alone.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edge_ae_train.data.window_length import LENGTHS
from edge_ae_train.synthetic.simulator import Fault, simulate
from numpy.typing import NDArray

from edge_ae.core.timestamps import SECOND
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording_csv import Table, read_csv

SKAB_TRAIN_ROWS = 400  # the leaderboard's protocol
SKAB_FOLDERS = ("valve1", "valve2", "other")
SIMULATED_FAULTS = ("cavitation", "closing_valve", "leak", "fouling", "bearing_wear", "air_ingress")
SIMULATED_TRAIN, SIMULATED_TEST = 3000, 1500
BUDGET_TRAIN_DAYS, BUDGET_DAYS = 4, 60
SMD_TRAIN = 5000  # rows of a machine that a budget is calibrated on; the normal ones of all others are judged


@dataclass(frozen=True)
class Case:
    """`table` holds the rows to learn from, then, from `start` on, those to judge."""

    name: str
    table: Table
    start: int
    label: NDArray[np.bool_]

    @property
    def train(self) -> NDArray[np.float64]:
        return self.table.values[: self.start]

    @property
    def digest(self) -> str:
        """Of all that a detector is given, and judged by."""
        table = self.table
        content = (table.t_ns.tobytes(), table.values.tobytes(), self.label.tobytes())
        names = f"{table.names} {table.values.shape} {self.start}".encode()
        return hashlib.sha256(b"".join((names, *content))).hexdigest()[:16]


def skab(data: Path) -> Iterator[Case]:
    for folder in SKAB_FOLDERS:
        for path in sorted((data / "skab" / folder).glob("*.csv"), key=lambda p: int(p.stem)):
            table = read_csv(path, ReadOptions(ignore=["changepoint"], label="anomaly"))
            assert table.labels is not None
            yield Case(f"{folder}/{path.stem}", table, SKAB_TRAIN_ROWS, table.labels)


def smd(data: Path) -> Iterator[Case]:
    for path in sorted((data / "smd").glob("*_train.csv.gz")):
        train = read_csv(path)
        test = read_csv(path.with_name(path.name.replace("_train", "_test")), ReadOptions(label="anomaly"))
        assert test.labels is not None
        label = np.concatenate([np.zeros(len(train), np.bool_), test.labels])
        yield Case(path.name.removesuffix("_train.csv.gz"), _joined(train, test), len(train), label)


def simulated(seeds: int = 6) -> Iterator[Case]:
    """Pumps that nobody tuned anything on: one fault each, in the middle of the rows to judge."""
    for seed in range(seeds):
        rows = SIMULATED_TRAIN + SIMULATED_TEST
        first = SIMULATED_TRAIN + SIMULATED_TEST // 3
        fault = Fault(SIMULATED_FAULTS[seed % len(SIMULATED_FAULTS)], first, first + SIMULATED_TEST // 3, 0.7)
        run = simulate(rows, 10.0, seed=100 + seed, faults=(fault,))
        label = np.zeros(rows, np.bool_)
        label[fault.start_row : fault.end_row] = True
        yield Case(fault.kind, table_of(fault.kind, run.names, run.t_ns, run.values), SIMULATED_TRAIN, label)


def normal(data: Path | None) -> Iterator[Case]:
    """Rows to hold a budget against, where they are normal (`label` 0); none of them was learned from."""
    for seed in range(8):
        run = simulate((BUDGET_TRAIN_DAYS + BUDGET_DAYS) * 1440, 60.0, seed=200 + seed)
        table = table_of("pump", run.names, run.t_ns, run.values)
        yield _normal(f"pump {seed}", table, BUDGET_TRAIN_DAYS * 1440)
    if data is None:
        return
    whole = read_csv(data / "skab" / "anomaly-free" / "anomaly-free.csv")
    for first in (0, 1700, 3400):
        yield _normal(f"skab from {first}", part(whole, first, first + 6000), 3000)
    for case in smd(data):
        beyond = np.convolve(case.label, np.ones(LENGTHS[-1]))[: len(case.label)] > 0
        yield Case(case.name, case.table, SMD_TRAIN, beyond)


def _normal(name: str, table: Table, start: int) -> Case:
    return Case(name, table, start, np.zeros(len(table), np.bool_))


def table_of(name: str, names: tuple[str, ...], t_ns: NDArray[np.int64], values: NDArray[np.float64]) -> Table:
    return Table(Path(name), [str(t // SECOND) for t in t_ns.tolist()], t_ns, names, values)


def _joined(first: Table, second: Table) -> Table:
    return Table(
        first.path,
        [*first.times, *second.times],
        np.concatenate([first.t_ns, second.t_ns]),
        first.names,
        np.concatenate([first.values, second.values]),
    )


def part(table: Table, first: int, last: int) -> Table:
    return Table(table.path, table.times[first:last], table.t_ns[first:last], table.names, table.values[first:last])
