"""Whether an alert names the channel that is off: one channel of a simulated pump reads wrongly, the others are normal.

The model is a convolutional autoencoder, exported; rows that come after those of training go the daemon's way, offline.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Origin, save
from edge_ae_train.fit import Options, fit
from edge_ae_train.synthetic.simulator import simulate
from numpy.typing import NDArray

from edge_ae.core.alert_events import EventType
from edge_ae.core.detector import Watch
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import score_table
from edge_ae.store.recording_csv import Table
from tests.bench import series

PUMPS = 2
PERIOD_S = 60.0
TRAIN_ROWS, TEST_ROWS = 3 * 1440, 300
START, DRIFT_ROWS = 100, 100  # of the test: where the reading goes wrong, and how long a drift takes to its end
SIZES = (-6.0, -3.0, 3.0, 6.0)  # in standard deviations of the channel in training
TOP = 3
LENGTH = 32
FAMILY = "cae"
DAY_NS = 86_400 * SECOND

Values = NDArray[np.float64]
SHAPES: dict[str, Callable[[], Values]] = {
    "offset": lambda: (np.arange(TEST_ROWS) >= START).astype(np.float64),
    "drift": lambda: np.clip((np.arange(TEST_ROWS) - START) / DRIFT_ROWS, 0.0, 1.0),
}


@dataclass(frozen=True)
class Outcome:
    """`place`: that of the wrong channel among those of the alert, from 1; None where there was no alert."""

    shape: str
    channel: str
    size: float
    place: int | None


def outcomes(number: int) -> list[dict[str, Any]]:
    """Every channel of a pump, wrong in every way: the fields of an `Outcome` each."""
    run = simulate(TRAIN_ROWS + TEST_ROWS, PERIOD_S, seed=500 + number)
    learned, spread = run.values[:TRAIN_ROWS], run.values[:TRAIN_ROWS].std(axis=0)
    model = trained(learned, run.names)
    t_ns, normal = run.t_ns[TRAIN_ROWS:], run.values[TRAIN_ROWS:]
    found = []
    for (shape, curve), channel, size in product(SHAPES.items(), range(len(run.names)), SIZES):
        values = normal.copy()
        values[:, channel] += size * spread[channel] * curve()
        table = series.table_of("pump", run.names, t_ns, values)
        found.append(asdict(Outcome(shape, run.names[channel], size, place(model, table, run.names[channel]))))
    return found


def trained(rows: Values, names: Sequence[str]) -> OnnxModel:
    recording = Recording(tuple(names), round(PERIOD_S * SECOND), (Segment(rows.astype(np.float32)),))
    fitted = fit(recording.segments, Options(family=FAMILY, length=LENGTH))
    with tempfile.TemporaryDirectory() as folder:
        return save(fitted, recording, Origin("pump"), Path(folder) / "pump.onnx")


def place(model: OnnxModel, table: Table, channel: str) -> int | None:
    """Where the first alert after the beginning lists a channel when it is raised."""
    result = score_table(table, model, Watch(model, AlertRules(interval_ns=DAY_NS)))
    start_ns = int(table.t_ns[START])
    for event in result.events:
        if event.type is EventType.NEW and (event.alert.raised_ns or 0) >= start_ns:
            return [one.name for one in event.alert.channels].index(channel) + 1
    return None


def counts(found: Sequence[Outcome]) -> list[dict[str, Any]]:
    """For each way: cases, those with an alert, and those of them that name the channel among the first `TOP`."""
    return list(_counts(found))


def _counts(found: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
    for shape, size in product(SHAPES, sorted({abs(size) for size in SIZES})):
        cases = [one for one in found if one.shape == shape and abs(one.size) == size]
        places = [one.place for one in cases if one.place is not None]
        named = sum(number <= TOP for number in places)
        yield {"shape": shape, "size": size, "cases": len(cases), "alerts": len(places), "named": named}
