"""Several readings in one slot: the mean of a level, the newest of a counter, the direction of angles."""

import math

import pytest

from edge_ae.core.align import Aligner
from edge_ae.core.events import Readings
from edge_ae.core.model_spec import Channel, Kind
from edge_ae.core.slot_value import Merge, mean, mean_angle, merges_of, newest
from edge_ae.core.timestamps import SECOND

CHANNELS = (Channel("level"), Channel("count", kind=Kind.COUNTER), Channel("dir", kind=Kind.ANGLE, turn=360.0))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([359.0, 1.0], 0.0), ([350.0, 20.0], 5.0), ([90.0, 180.0], 135.0), ([-170.0, 170.0], -180.0), ([10.0], 10.0)],
)
def test_mean_angle_goes_the_short_way_round(values: list[float], expected: float) -> None:
    angle = mean_angle({(t, value) for t, value in enumerate(values)}, 360.0)
    assert math.remainder(angle - expected, 360.0) == pytest.approx(0.0, abs=1e-9)
    assert -180.0 - 1e-9 <= angle < 360.0


@pytest.mark.parametrize("merge", [mean, newest, lambda pairs: mean_angle(pairs, 360.0)])
def test_no_value_is_missing_and_no_finite_one_is_infinite(merge: Merge) -> None:
    assert math.isnan(merge(set()))
    assert math.isnan(merge({(1, math.nan)}))
    assert merge({(1, math.inf), (2, math.nan)}) == math.inf
    assert merge({(1, 5.0), (2, math.inf)}) == pytest.approx(5.0)


def test_slot_of_each_kind_has_its_own_value() -> None:
    aligner = Aligner(("level", "count", "dir"), 10 * SECOND, kinds=CHANNELS)
    for t_s, level, count, angle in ((101, 1.0, 50.0, 359.0), (103, 3.0, 52.0, 1.0), (102, 2.0, 51.0, 0.0)):
        assert aligner.push(Readings("pump", t_s * SECOND, {"level": level, "count": count, "dir": angle})) == []
    (row,) = aligner.flush()
    assert row.values == pytest.approx((2.0, 52.0, 0.0))
    assert set(merges_of(CHANNELS)) == {"count", "dir"}
