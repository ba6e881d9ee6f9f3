"""Calibration sees the windows that the device scores: the same slots, and in each the same values.

Equal are the rows (the aligner's, with its gaps and held values), and of their windows which are due and hold enough. What
is not: the device's health stage, which knows the model, may mask the values of a sick sensor, and the trainer leaves out
rows that a label marks.
"""

import math
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.candidates import held_out_blocks, held_out_rows
from edge_ae_train.data import prepare
from edge_ae_train.data.dataset import window_ends
from edge_ae_train.data.prepare import Sampling
from edge_ae_train.data.segments import Segment, in_state, kept, stretches, values_of
from edge_ae_train.data.window_length import LENGTHS
from hypothesis import example, given
from hypothesis import strategies as st

from edge_ae.core.align import Aligner
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Window
from edge_ae.core.expression import Expression
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.core.watched_state import WatchedState
from edge_ae.core.window import Windower, longest_gap
from edge_ae.store.recording_csv import Table
from tests.models import FakeModel

NAMES = ("flow", "pressure")
NAN = math.nan
Scored = dict[int, list[list[float]]]  # slot -> the window that ends with it, None for a missing value


def table_of(slots: list[int], cells: list[tuple[float, float]]) -> Table:
    t_ns = np.array(slots, np.int64) * SECOND
    values = np.array(cells, np.float64).reshape(-1, len(NAMES))
    return Table(Path("pump.csv"), [""] * len(slots), t_ns, NAMES, values)


def by_slot(windows: list[Window]) -> Scored:
    return {window.slot: np.nan_to_num(window.values, nan=-1.0).tolist() for window in windows}


def scored_by_the_device(table: Table, length: int, hop: int, hold_rows: int, when: str) -> Scored:
    aligner = Aligner(NAMES, SECOND, max_gap_rows=longest_gap(length), hold_rows=hold_rows)
    windower = Windower(length, hop, len(NAMES))
    rows = []
    for t_ns, values in zip(table.t_ns.tolist(), table.values.tolist(), strict=True):
        rows += aligner.push(Readings("pump", t_ns, dict(zip(NAMES, values, strict=True))))
    state = WatchedState(when, NAMES)
    watched = [row for row in [*rows, *aligner.flush()] if state.push(row)]
    return by_slot([window for row in watched for window in windower.push(row)])


def watched(segments: list[Segment], when: str) -> list[Segment]:
    """As `fit --when` cuts them."""
    expression = Expression.of(when) if when else None
    return [part for segment in segments for part in kept(segment, in_state(segment, expression, NAMES))]


def windows_of(parts: list[Segment], length: int, hop: int) -> list[Window]:
    values = np.concatenate(values_of(parts))
    slots = np.concatenate([part.start_slot + np.arange(len(part)) for part in parts])
    ends = window_ends(parts, length, hop).tolist()
    return [Window(int(slots[end]), values[end + 1 - length : end + 1]) for end in ends]


def calibrated_on(segments: list[Segment], length: int, hop: int) -> Scored:
    """The windows of all held-out blocks, as `fit` cuts them."""
    if not segments:
        return {}
    parts = stretches(segments, length)
    blocks = held_out_blocks(sum(map(len, parts)))
    held_out = [held_out_rows(parts, block, length) for block in blocks]
    windows = [window for rows in held_out if rows for window in windows_of(rows, length, hop)]
    assert len(by_slot(windows)) == len(windows)  # none is in two blocks
    return by_slot(windows)


cell = st.one_of(st.just(NAN), st.integers(0, 9).map(float))
line = st.tuples(st.one_of(st.just(1), st.just(1), st.integers(2, 12)), st.tuples(cell, cell))


@given(
    first=st.integers(0, 50),
    lines=st.lists(line, min_size=1, max_size=80),
    length=st.integers(1, 8),
    hop=st.integers(1, 5),
    hold_rows=st.integers(0, 3),
    known=st.booleans(),
    when=st.sampled_from(["", "pressure > 3", "not flow == 2 or pressure > 7"]),
)
@example(0, [(1, (1.0, 1.0))] * 8 + [(6, (1.0, 1.0))] * 3 + [(1, (1.0, 1.0))] * 8, 4, 1, 0, False, "")
def test_calibration_sees_the_windows_that_the_device_scores(
    first: int,
    lines: list[tuple[int, tuple[float, float]]],
    length: int,
    hop: int,
    hold_rows: int,
    known: bool,
    when: str,
) -> None:
    """`known`: whether the length was asked for, or is chosen once the rows are there."""
    table = table_of((first + np.cumsum([step for step, _ in lines])).tolist(), [cells for _, cells in lines])
    segments = watched(prepare.rows([table], Sampling(SECOND, hold_rows, length if known else LENGTHS[-1])), when)
    assert calibrated_on(segments, length, hop) == scored_by_the_device(table, length, hop, hold_rows, when)


@pytest.mark.parametrize("away", [0, 1, 3, 9])
def test_the_detector_itself_leaves_out_the_rows_of_another_state_as_training_does(away: int) -> None:
    model = FakeModel(hop=3, when="pressure > 1")
    table = table_of([*range(100, 140)], [(5.0, 0.0 if 110 <= slot < 110 + away else 2.0) for slot in range(100, 140)])
    detector = Detector("node", "pump", Watch(model, AlertRules(interval_ns=SECOND)))
    windows = []
    for t_ns, values in zip(table.t_ns.tolist(), table.values.tolist(), strict=True):
        windows += detector.push(Readings("pump", t_ns, dict(zip(NAMES, values, strict=True))))
    found = by_slot([*windows, *detector.flush()])
    segments = watched(prepare.rows([table], Sampling(SECOND)), model.spec.when)
    assert found == calibrated_on(segments, model.spec.length, 3)
    assert len(found) >= 8


@pytest.mark.parametrize("gap", [0, 1, 3, 4, 5, 9])
def test_the_detector_itself_bridges_and_skips_as_calibration_does(gap: int) -> None:
    model = FakeModel(hop=3)
    slots = [*range(100, 110), *range(110 + gap, 125 + gap)]
    table = table_of(slots, [(NAN, NAN) if slot % 4 == 0 else (5.0, 2.0) for slot in slots])
    detector = Detector("node", "pump", Watch(model, AlertRules(interval_ns=SECOND)))
    windows = []
    for t_ns, values in zip(table.t_ns.tolist(), table.values.tolist(), strict=True):
        windows += detector.push(Readings("pump", t_ns, dict(zip(NAMES, values, strict=True))))
    found = by_slot([*windows, *detector.flush()])
    assert found == calibrated_on(prepare.rows([table], Sampling(SECOND)), model.spec.length, 3)
    assert len(found) > 3
