"""Stretches of rows: cut, kept and parted, they stay on their grid."""

import numpy as np
import pytest
from edge_ae_train.data.segments import RUN_ROWS, Segment, cut, row_blocks, stretches, thinned, values_of

from edge_ae.core.model_spec import Floats


def segments(*lengths: int) -> list[Floats]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 3)).astype(np.float32) for n in lengths]


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 30), (3, 8), (8, 25), (-5, 4), (25, 99), (10, 10)])
def test_a_cut_over_segments_is_the_cut_over_their_rows(first: int, last: int) -> None:
    parts = segments(8, 2, 20)
    found = values_of(cut([Segment(part) for part in parts], first, last))
    whole = np.concatenate(parts)[max(first, 0) : max(last, 0)]
    np.testing.assert_array_equal(np.concatenate(found) if found else np.empty((0, 3)), whole)
    assert all(len(part) > 0 for part in found)


def test_a_gap_that_is_too_long_stays_so_where_a_part_of_it_is_cut_away() -> None:
    rows = np.ones((40, 1), np.float32)
    gap = np.zeros(40, np.int64)
    gap[10:20] = 10
    segment = Segment(rows, 100, gap=gap)
    pieces = [segment.part(0, 9), segment.part(17, 40)]
    assert [(part.start_slot, len(part)) for part in stretches(pieces, length=9)] == [(100, 9), (120, 20)]
    assert [(part.start_slot, len(part)) for part in stretches(pieces, length=10)] == [(100, 9), (117, 23)]


@pytest.mark.parametrize("most", [1, 4, 7, 10, 30, 31])
def test_blocks_hold_all_rows_in_order_and_no_more_than_asked(most: int) -> None:
    parts = segments(8, 0, 2, 20)
    blocks = list(row_blocks(parts, most))
    np.testing.assert_array_equal(np.concatenate(blocks), np.concatenate(parts))
    assert [len(block) for block in blocks[:-1]] == [most] * (len(blocks) - 1)
    assert list(row_blocks([], most)) == []


def test_few_rows_are_taken_whole_and_of_many_runs_from_all_over() -> None:
    parts = segments(5 * RUN_ROWS, 10, 6 * RUN_ROWS)
    assert [part is found for part, found in zip(parts, thinned(parts, 20 * RUN_ROWS), strict=True)] == [True] * 3
    found = thinned(parts, 4 * RUN_ROWS)
    assert sum(map(len, found)) == 4 * RUN_ROWS
    whole = np.concatenate(parts)
    starts = [int(np.flatnonzero((whole == part[0]).all(axis=1))[0]) for part in found]
    assert starts[0] == 0
    assert starts[-1] + len(found[-1]) == len(whole)
    assert min(np.diff(starts)) > RUN_ROWS / 2
