"""What the owner asks of alerts, as frozen values: how many, how they live, and which channels may raise them.

The settings and commands are read into these; nothing here decides anything.
"""

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from edge_ae.core.suppression import Maintenance
from edge_ae.core.timestamps import SECOND

BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/|per)\s*(hour|day|week|month|year)\s*", re.I)
LONGEST_BUDGET_NS = 100 * 8766 * 3600 * SECOND  # a hundred years; sums of it and a time must stay within 64 bits
YEAR_H = 365.2425 * 24  # of the calendar's mean year
HOURS = {"hour": 1.0, "day": 24.0, "week": 168.0, "month": YEAR_H / 12, "year": YEAR_H}
OFF_DELAY_HOPS = 10  # the default off-delay
DIRECTIONS = ("high", "low", "both")
PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*", re.ASCII)


def budget_ns(text: str) -> int:
    """The mean time between alerts that a budget such as "1/week" or "2 per day" asks for; ValueError."""
    match = BUDGET.fullmatch(text)
    hours = 0.0 if match is None or float(match[1]) == 0 else HOURS[match[2].lower()] / float(match[1])
    interval_ns = hours * 3600 * SECOND
    if not 1 <= interval_ns <= LONGEST_BUDGET_NS:
        raise ValueError('should be a number of alerts per hour, day, week, month or year, such as "1/week"')
    return round(interval_ns)


def budget_text(interval_ns: int) -> str:
    """The budget with this mean time between alerts, such as "1/week": in the shortest unit in which it is one alert at least."""
    hours = interval_ns / (3600 * SECOND)
    unit = next((unit for unit, length in HOURS.items() if length > 0.999 * hours), "year")
    return f"{HOURS[unit] / hours:.3g}/{unit}"


@dataclass(frozen=True, slots=True)
class MinDeviation:
    """How far a channel must be from what is expected: `amount` in its unit, or as a part of the expected value's magnitude."""

    amount: float
    is_part: bool = False

    def around(self, expected: float) -> float:
        """The same in the channel's unit."""
        return self.amount * abs(expected) if self.is_part else self.amount

    @property
    def shown(self) -> float | str:
        """As people write it: 0.5, or "5%"."""
        return f"{100 * self.amount:.6g}%" if self.is_part else self.amount


def min_deviation_of(value: Any) -> MinDeviation:
    """Of 0.5, in the channel's unit, or "5%" of the expected value. ValueError."""
    match = PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is not None and (percent := float(match[1])) < math.inf:  # more digits than a number holds are infinity
        return MinDeviation(percent / 100, is_part=True)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max:
        return MinDeviation(float(value))
    raise ValueError('should be a number in the channel\'s unit, such as 0.5, or a part such as "5%"')


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """Which deviations of one channel count. None: it does not say; "both" and 0 are said, and overrule what else is set.

    mute: none counts.
    direction: only the "high" or only the "low" ones do.
    min_deviation: only those that go so far do.
    """

    mute: bool | None = None
    direction: str | None = None
    min_deviation: MinDeviation | None = None

    def over(self, other: "ChannelRule") -> "ChannelRule":
        """What this one says, and where it does not, what the other does."""
        mine = {name: getattr(self, name) for name in RULE}
        return ChannelRule(**{name: getattr(other, name) if value is None else value for name, value in mine.items()})


RULE = tuple(one.name for one in fields(ChannelRule))
NO_RULE = ChannelRule()


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """The rule of one channel of an asset, and whether any of it came by "command", or all from the "settings"."""

    channel: str
    rule: ChannelRule
    source: str


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The owner's settings. `interval_ns`: mean time between the alerts that the owner accepts on normal data. `on_delay_ns`,
    `off_delay_ns`: None: those of the model, see `completed`.

    `unwatched_ns`: an asset without a score for so long has an alert, too. None: for an hour in which readings come all the
    while; 0: never. `cooldown_ns`: after the end of an alert none is announced for so long. `channels`: by their names; a model
    need not have them all. `when`: the state in which assets are watched, as an `Expression`; None: that of the model; "": any.
    """

    interval_ns: int
    on_delay_ns: int | None = None
    off_delay_ns: int | None = None
    deadband: float = 0.2
    re_alarm_ns: int = 0  # 0: never
    max_shelve_ns: int = 8 * 3600 * SECOND
    unwatched_ns: int | None = 0
    cooldown_ns: int = 0
    channels: Mapping[str, ChannelRule] = field(default_factory=dict)
    maintenance: tuple[Maintenance, ...] = ()
    when: str | None = None

    def completed(self, hop_ns: int, on_delay: int) -> "AlertRules":
        """With the model's delays where the owner set none: the on-delay that its tail is for, in hops, and OFF_DELAY_HOPS."""
        on_delay_ns = on_delay * hop_ns if self.on_delay_ns is None else self.on_delay_ns
        off_delay_ns = OFF_DELAY_HOPS * hop_ns if self.off_delay_ns is None else self.off_delay_ns
        return replace(self, on_delay_ns=on_delay_ns, off_delay_ns=off_delay_ns)
