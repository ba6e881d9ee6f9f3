"""The rows made all at once are those of the aligner, bit for bit, whatever the lines are like."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_ae_train.data import bulk_rows, prepare
from edge_ae_train.data.prepare import Sampling
from edge_ae_train.data.segments import Segment
from hypothesis import example, given
from hypothesis import strategies as st

from edge_ae.core.align import MAX_READINGS_PER_SLOT
from edge_ae.core.events import slot_of
from edge_ae.core.model_spec import Channel, Kind
from edge_ae.store.recording_csv import Table

PERIOD_NS = 10
NAN = math.nan
ANALOG: dict[str, Any] = {}
COUNTER: dict[str, Any] = {"kind": Kind.COUNTER}
ANGLE: dict[str, Any] = {"kind": Kind.ANGLE, "turn": 360.0}


def table_of(t_ns: list[int], cells: list[tuple[float, float]]) -> Table:
    values = np.array(cells, np.float64).reshape(-1, 2)
    return Table(Path("pump.csv"), [""] * len(t_ns), np.array(t_ns, np.int64), ("flow", "pressure"), values)


def by_the_aligner(table: Table, sampling: Sampling) -> list[Segment]:
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):
        patch.setattr(bulk_rows, "can_align", lambda *_: False)
        return prepare.rows([table], sampling)


def bits(segments: list[Segment]) -> list[tuple[int, bytes]]:
    return [(one.start_slot, np.where(np.isnan(one.values), np.float32(NAN), one.values).tobytes()) for one in segments]


def is_taken(table: Table) -> bool:
    return bulk_rows.can_align(table.t_ns, slot_of(table.t_ns, PERIOD_NS), table.values)


cell = st.one_of(st.just(NAN), st.integers(0, 3).map(float), st.floats(-1e299, 1e299))
step = st.one_of(st.just(0), st.just(PERIOD_NS), st.integers(0, 9), st.integers(10, 900), st.integers(5000, 9000))


@given(
    first=st.integers(-100, 2**53),
    lines=st.lists(st.tuples(step, st.tuples(cell, cell)), min_size=1, max_size=60),
    length=st.integers(1, 16),
    hold_rows=st.one_of(st.just(0), st.integers(1, 60)),
    kinds=st.sampled_from([(), (ANALOG, ANALOG), (COUNTER, ANALOG), (ANALOG, COUNTER), (COUNTER, ANGLE)]),
)
@example(0, [(0, (0.1, 1.0)), (0, (0.1, 1.0)), (0, (0.2, NAN)), (3, (0.1, NAN)), (1, (0.1, NAN))], 4, 0, ())
@example(0, [(0, (1.0, NAN)), (400, (NAN, 2.0)), (10, (NAN, NAN))], 4, 45, ())
@example(0, [(0, (1.0, 360.0)), (0, (1.0, 360.0))], 1, 0, (COUNTER, ANGLE))
@example(0, [(0, (1e9, 359.0)), (1, (1e9 + 0.25, 1.0)), (9, (NAN, 2.0)), (10, (1e9 + 1, NAN))], 4, 0, (COUNTER, ANGLE))
def test_rows_made_at_once_are_the_aligners(
    first: int,
    lines: list[tuple[int, tuple[float, float]]],
    length: int,
    hold_rows: int,
    kinds: tuple[dict[str, Any], ...],
) -> None:
    table = table_of((first + np.cumsum([step for step, _ in lines])).tolist(), [cells for _, cells in lines])
    channels = tuple(Channel(name, **kind) for name, kind in zip(table.names, kinds, strict=False))
    sampling = Sampling(PERIOD_NS, hold_rows, length, channels)
    assert is_taken(table)
    assert bits(prepare.rows([table], sampling)) == bits(by_the_aligner(table, sampling))


def test_a_mean_is_exact_whatever_the_order_of_its_values() -> None:
    table = table_of([0, 1, 2, 3], [(1e16, 1.0), (1.0, 1.0), (-1e16, 1.0), (NAN, 1.0)])
    (segment,) = prepare.rows([table], Sampling(PERIOD_NS))
    assert segment.values.tolist() == [[np.float32(1 / 3), 1.0]]


def odd_tables() -> Iterator[tuple[str, Table]]:
    many = MAX_READINGS_PER_SLOT + 1
    yield "time goes back", table_of([0, 20, 10], [(1.0, 1.0)] * 3)
    yield "a crowded slot", table_of([0] * many, [(float(i), 1.0) for i in range(many)])
    yield "a value that no mean takes", table_of([0, 1], [(1e300, 1.0), (1.0, 1.0)])


@pytest.mark.parametrize(("why", "table"), list(odd_tables()))
def test_what_the_aligner_has_laws_for_is_left_to_it(why: str, table: Table) -> None:
    assert not is_taken(table), why
    sampling = Sampling(PERIOD_NS)
    assert bits(prepare.rows([table], sampling)) == bits(by_the_aligner(table, sampling))
