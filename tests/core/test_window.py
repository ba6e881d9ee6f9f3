"""Rows -> windows: which are due, what they hold, and what was skipped."""

import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.events import Row, Window
from edge_ae.core.window import Windower, scored_ends

NAN = math.nan


def rows(first: int, count: int) -> list[Row]:
    return [Row(slot, (float(slot), -float(slot))) for slot in range(first, first + count)]


def windows_of(given_rows: list[Row], length: int, hop: int = 1, channels: int = 2) -> list[Window]:
    windower = Windower(length, hop, channels)
    return [window for row in given_rows for window in windower.push(row)]


@pytest.mark.parametrize(("count", "ends"), [(0, []), (3, []), (4, [3]), (5, [3, 4]), (8, [3, 4, 5, 6, 7])])
def test_empty_one_short_exact_one_more_and_a_multiple(count: int, ends: list[int]) -> None:
    found = windows_of(rows(0, count), length=4)
    assert [window.slot for window in found] == ends
    for window in found:
        first = window.slot - 3
        np.testing.assert_array_equal(window.values, [[s, -s] for s in range(first, first + 4)])
        assert window.values.dtype == np.float32


@pytest.mark.parametrize("hop", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("first", [-7, 0, 1, 1000])
def test_a_window_is_due_where_the_grid_says_and_not_where_the_data_began(hop: int, first: int) -> None:
    ends = [window.slot for window in windows_of(rows(first, 40), length=4, hop=hop)]
    assert ends == [slot for slot in range(first + 3, first + 40) if (slot + 1) % hop == 0]


def test_a_window_of_one_row_is_a_window() -> None:
    assert [w.values.tolist() for w in windows_of(rows(5, 2), length=1)] == [[[5.0, -5.0]], [[6.0, -6.0]]]


def test_a_jump_in_slots_starts_anew() -> None:
    found = windows_of(rows(0, 5) + rows(6, 4), length=4)
    assert [window.slot for window in found] == [3, 4, 9]
    assert found[-1].values[:, 0].tolist() == [6.0, 7.0, 8.0, 9.0]


def test_a_jump_backwards_starts_anew() -> None:
    assert [window.slot for window in windows_of(rows(10, 4) + rows(2, 4), length=4)] == [13, 5]


def test_a_slot_that_comes_twice_starts_anew() -> None:
    assert windows_of([*rows(0, 3), *rows(2, 1)], length=4) == []


def test_a_window_that_is_due_keeps_its_values_when_more_rows_come() -> None:
    windower = Windower(2, 1, 2)
    windower.push(rows(0, 1)[0])
    (window,) = windower.push(rows(1, 1)[0])
    for row in rows(2, 10):
        windower.push(row)
    assert window.values.tolist() == [[0.0, 0.0], [1.0, -1.0]]


@pytest.mark.parametrize(("missing", "skipped"), [(0, 0), (3, 0), (4, 0), (5, 1)])
def test_half_of_the_cells_are_enough(missing: int, skipped: int) -> None:
    cells = [NAN] * missing + [1.0] * (8 - missing)
    windower = Windower(4, 1, 2)
    found = [w for slot in range(4) for w in windower.push(Row(slot, (cells[2 * slot], cells[2 * slot + 1])))]
    assert (len(found), windower.skipped) == (1 - skipped, skipped)


def test_nothing_in_the_newest_row_is_nothing_to_judge() -> None:
    windower = Windower(4, 1, 2)
    for row in rows(0, 4):
        windower.push(row)
    assert windower.push(Row(4, (NAN, NAN))) == []
    assert len(windower.push(Row(5, (NAN, 1.0)))) == 1
    assert windower.skipped == 1


def test_coverage_counts_the_rows_in_the_window_alone() -> None:
    holes = [Row(slot, (NAN, NAN)) for slot in range(100)]
    assert [w.slot for w in windows_of(holes + rows(100, 4), length=4)] == [101, 102, 103]


cell = st.one_of(st.just(NAN), st.floats(-1e6, 1e6, width=32))


@given(
    cells=st.lists(st.tuples(cell, cell), max_size=40),
    jumps=st.sets(st.integers(0, 40)),
    cut=st.integers(0, 40),
    length=st.integers(1, 6),
    hop=st.integers(1, 4),
)
def test_a_restart_at_any_point_is_not_noticed(
    cells: list[tuple[float, float]], jumps: set[int], cut: int, length: int, hop: int
) -> None:
    stream = [Row(i + sum(j <= i for j in jumps), values) for i, values in enumerate(cells)]
    whole, first, second = (Windower(length, hop, 2) for _ in range(3))
    undisturbed = [window for row in stream for window in whole.push(row)]
    found = [window for row in stream[:cut] for window in first.push(row)]
    second.restore(orjson.loads(orjson.dumps(first.snapshot())))
    found += [window for row in stream[cut:] for window in second.push(row)]
    assert [w.slot for w in found] == [w.slot for w in undisturbed]
    for one, other in zip(found, undisturbed, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    assert second.skipped == whole.skipped


@given(
    cells=st.lists(st.tuples(cell, cell), max_size=40),
    first=st.integers(-20, 20),
    length=st.integers(1, 6),
    hop=st.integers(1, 4),
)
def test_the_law_for_a_whole_stretch_is_the_law_row_by_row(
    cells: list[tuple[float, float]], first: int, length: int, hop: int
) -> None:
    stream = [Row(first + i, values) for i, values in enumerate(cells)]
    ends = scored_ends(first, np.array(cells, np.float32).reshape(-1, 2), length, hop)
    assert (first + ends).tolist() == [window.slot for window in windows_of(stream, length, hop)]
