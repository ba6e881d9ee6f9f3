"""Verdicts -> the highest ratio of each hour of event time: what is left of an asset's scores for weeks, small enough to be kept.

With each goes the budget that the ratio was held against, so that it can be asked later what another would have raised, also
with another model.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_ae.core.timestamps import HOUR

HOURS_KEPT = 30 * 24
"""Of an asset."""


@dataclass(frozen=True, slots=True)
class PeakHour:
    """hour: counted from the epoch. ratio: its highest. interval_ns: the mean time between the alerts that were accepted then."""

    hour: int
    ratio: float
    interval_ns: int

    @property
    def t_ns(self) -> int:
        """The event time at which it begins."""
        return self.hour * HOUR


def higher(one: PeakHour, other: PeakHour) -> PeakHour:
    """Of two records of the same hour the one with the higher ratio: event time may have gone back to it."""
    return one if one.ratio > other.ratio else other


class HourlyPeaks:
    """One asset's. `now`: the present hour as far as it has come; None: no score has come."""

    def __init__(self) -> None:
        self.now: PeakHour | None = None
        self._over: deque[PeakHour] = deque(maxlen=HOURS_KEPT)

    def push(self, t_ns: int, ratio: float, interval_ns: int) -> None:
        """A window was scored; event time may go back."""
        now, hour = self.now, t_ns // HOUR
        if now is None or now.hour != hour:
            if now is not None:
                self._over.append(now)
            self.now = PeakHour(hour, ratio, interval_ns)
        elif ratio > now.ratio:
            self.now = replace(now, ratio=ratio, interval_ns=interval_ns)

    def take_over(self) -> list[PeakHour]:
        """The hours that are over, each given once."""
        over = list(self._over)
        self._over.clear()
        return over

    def snapshot(self) -> dict[str, Any] | None:
        """What a restart must know, as plain values; hours that are over are taken out before."""
        return None if self.now is None else asdict(self.now)

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Take up where `snapshot` was made."""
        self.now = None if state is None else PeakHour(**state)
