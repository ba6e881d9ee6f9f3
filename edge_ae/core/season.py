"""What the time of day and week does to the channels of a model, and a model as it sees windows of one time.

    window ─► less the day's course, by the slots of its rows ─► score, explanation ─► the day's course added again

A machine that rests at night is as normal at 3 o'clock as at noon; running at 3 is not. No window of an hour can tell. So
a model that was taught whole weeks may know the course of a day for each channel: a smooth curve, by the clock of its zone, and
another one for Saturdays and Sundays where it was taught some. The graph sees what is left of it. Everything else, from the
sensors' health to an alert's reason, is in the values as they come.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Explanation, Floats, Model, ModelSpec
from edge_ae.core.timestamps import MINUTE, SECOND

TURNS = 6  # waves of a day's course: the shortest is four hours long
DAY_WAVES = 2 * TURNS
WEEK_WAVES = 2 * DAY_WAVES + 1  # and on Saturdays and Sundays a level and the same waves once more
QUARTER_NS = 15 * MINUTE  # no zone moves its clocks at another time
DAY_NS = 24 * 60 * MINUTE
EPOCH_WEEKDAY, SATURDAY = 3, 5  # days since Monday
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone_of(name: str) -> tzinfo:
    """Raises what `ZoneInfo` does where this machine does not know it: ZoneInfoNotFoundError, ValueError, OSError."""
    return UTC if name == "UTC" else ZoneInfo(name)


def local_ns(slots: NDArray[np.int64], period_ns: int, zone: tzinfo) -> NDArray[np.int64]:
    """[slot]: what the clock of the zone shows, as if it were UTC."""
    t_ns = slots * period_ns
    quarters, place = np.unique(t_ns // QUARTER_NS, return_inverse=True)
    offsets = np.array([_offset_ns(quarter, zone) for quarter in quarters.tolist()], np.int64)
    local: NDArray[np.int64] = t_ns + offsets[place]
    return local


def is_weekend(local: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[slot]: whether the local time is one of a Saturday or a Sunday."""
    weekend: NDArray[np.bool_] = (local // DAY_NS + EPOCH_WEEKDAY) % 7 >= SATURDAY
    return weekend


def waves(slots: NDArray[np.int64], period_ns: int, zone: tzinfo) -> NDArray[np.float64]:
    """[slot, WEEK_WAVES]: sine and cosine of each number of turns a day, at the local time of the slots; then 1 and the same again on
    Saturdays and Sundays, and 0 on other days."""
    local = local_ns(slots, period_ns, zone)
    turns = 2.0 * np.pi * (local % DAY_NS / DAY_NS)[:, None] * np.arange(1, TURNS + 1)
    weekend = is_weekend(local)[:, None].astype(np.float64)
    of_day = np.concatenate([np.sin(turns), np.cos(turns)], axis=1)
    return np.concatenate([of_day, weekend, weekend * of_day], axis=1)


@lru_cache(maxsize=4096)
def _offset_ns(quarter: int, zone: tzinfo) -> int:
    """By which local time is ahead of UTC in a quarter of an hour since the epoch."""
    moment = EPOCH + timedelta(seconds=quarter * (QUARTER_NS // SECOND))
    ahead = moment.astimezone(zone).utcoffset()
    assert ahead is not None
    return round(ahead.total_seconds()) * SECOND


class DayCourse:
    """Of one model."""

    def __init__(self, waves_of: Sequence[Sequence[float]], zone: tzinfo, period_ns: int) -> None:
        """`waves_of` [channel]: the weights of the waves, in the channel's unit, DAY_WAVES or WEEK_WAVES; empty where the time does
        nothing to it."""
        self._weights = np.zeros((max(map(len, waves_of)), len(waves_of)))
        for channel, weights in enumerate(waves_of):
            self._weights[: len(weights), channel] = weights
        self._zone, self._period_ns = zone, period_ns

    def of(self, first_slot: int, rows: int) -> Floats:
        """[row, channel]: how far the time of day takes each channel from its mean."""
        slots = np.arange(first_slot, first_slot + rows, dtype=np.int64)
        known = waves(slots, self._period_ns, self._zone)[:, : len(self._weights)]
        course: Floats = (known @ self._weights).astype(np.float32)
        return course


def day_course(spec: ModelSpec) -> DayCourse | None:
    """None for a model that knows none, as those of an earlier version do not."""
    if not any(channel.season for channel in spec.channels):
        return None
    return DayCourse([channel.season for channel in spec.channels], zone_of(spec.zone), spec.period_ns)


class ModelAtSlot:
    """A model as it sees windows that end with one slot: takes and gives values as they come."""

    def __init__(self, model: Model, course: Floats) -> None:
        """`course` [length, channel]: of the window's rows."""
        self._model, self._course = model, course

    @property
    def spec(self) -> ModelSpec:
        """The model's."""
        return self._model.spec

    def score(self, windows: Floats) -> Floats:
        """Scores [batch] of windows [batch, length, channel]."""
        return self._model.score(windows - self._course)

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        """One explanation a window."""
        return [with_course(one, self._course) for one in self._model.explain(windows - self._course)]


def with_course(explanation: Explanation, course: Floats) -> Explanation:
    """What is expected with the day's course in it, as the window's values are."""
    restored = None if explanation.restored is None else explanation.restored + course
    return replace(explanation, reconstruction=explanation.reconstruction + course, restored=restored)
