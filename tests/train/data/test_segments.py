"""Stretches of rows: cut, kept and parted, they stay on their grid."""

import numpy as np
import pytest
from edge_ae_train.data.segments import Segment, cut, stretches, values_of

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
