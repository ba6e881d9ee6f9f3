"""Several readings of a channel in one slot -> the slot's one value, by the kind of the channel.

    analog, discrete, constant   the mean; `math.fsum` is exact, so the order of arrival does not show
    counter                      the newest: half of a rise is in no reading
    angle                        the mean round the turn: between 359 and 1 lies 0, and not 180

Each takes (event time, value) pairs, so that a reading sent twice counts once. Infinite where there are values and none
is finite: the sensor sends, and what it sends is no number.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Set
from functools import partial

from edge_ae.core.model_spec import Channel, Kind

LARGEST_IN_MEAN = 1e300  # Sums of larger values overflow; no sensor means them.

Pairs = Set[tuple[int, float]]
Merge = Callable[[Pairs], float]


def merges_of(channels: Iterable[Channel]) -> Mapping[str, Merge]:
    """By name, how the slots of the channels that have no mean get their value."""
    merges: dict[str, Merge] = {}
    for channel in channels:
        if channel.kind == Kind.COUNTER:
            merges[channel.name] = newest
        elif channel.kind == Kind.ANGLE:
            merges[channel.name] = partial(mean_angle, turn=channel.turn)
    return merges


def mean(pairs: Pairs) -> float:
    """The mean of the finite values."""
    values = [value for _, value in _finite(pairs)]
    return math.fsum(values) / len(values) if values else _nothing(pairs)


def newest(pairs: Pairs) -> float:
    """The value with the latest time; the largest where two have it."""
    return max(_finite(pairs))[1] if _finite(pairs) else _nothing(pairs)


def mean_angle(pairs: Pairs, turn: float) -> float:
    """The direction of the sum of unit vectors: from 0 on, or from -turn / 2 on where a value is below 0."""
    values = [value for _, value in _finite(pairs)]
    if not values:
        return _nothing(pairs)
    if min(values) == max(values):  # as it was sent: a full turn, too, which the sum would make 0
        return values[0]
    parts = [2.0 * math.pi * value / turn for value in values]
    angle = math.atan2(math.fsum(map(math.sin, parts)), math.fsum(map(math.cos, parts))) / (2.0 * math.pi) * turn
    return angle if min(values) < 0.0 or angle >= 0.0 else _from_zero(angle, turn)


def _from_zero(angle: float, turn: float) -> float:
    """A rounding error below 0 is 0, not a whole turn."""
    return 0.0 if angle > -1e-9 * turn else angle + turn


def _finite(pairs: Pairs) -> list[tuple[int, float]]:
    return [(t_ns, value) for t_ns, value in pairs if -LARGEST_IN_MEAN < value < LARGEST_IN_MEAN]


def _nothing(pairs: Pairs) -> float:
    return math.inf if any(value == value for _, value in pairs) else math.nan
