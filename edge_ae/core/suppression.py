"""Why an alert is not announced although there is one: the reasons, and the times that the owner has set for silence.

Knows nothing of alerts and channels. Times are those of the data, as all times of alerts but shelving: a replay is silent where the
live run was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum

from edge_ae.core.quiet_hours import QuietHours
from edge_ae.core.timestamps import minute_text


class WithheldBy(StrEnum):
    """What an alert or a step in its life is withheld by."""

    FLOOD = "flood"  # one summary stands for many
    RULE = "rule"  # of each channel that is accused
    SILENCE = "silence"
    MAINTENANCE = "maintenance"
    COOLDOWN = "cooldown"  # an alert has just ended
    LESSON = "lesson"  # it is like one that people called false


@dataclass(frozen=True, slots=True)
class Suppression:
    """What stands against an alert's being announced, and a sentence on it, such as "rule: Temp is muted".

    source: of a lesson, which one.
    """

    by: WithheldBy
    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """From `from_ns` on and until `until_ns` nothing new is announced. `note`: why, in the words of whoever set it."""

    from_ns: int
    until_ns: int
    note: str = ""

    def covers(self, t_ns: int) -> bool:
        """Whether a time is in it."""
        return self.from_ns <= t_ns < self.until_ns

    @property
    def suppression(self) -> Suppression:
        """Such as "silence until 2026-11-26 18:00 UTC: cleaning"."""
        note = f": {self.note}" if self.note else ""
        return Suppression(WithheldBy.SILENCE, f"silence until {minute_text(self.until_ns)}{note}")


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Hours that come again on each of some days; those that reach over midnight are of the day on which they begin.

    They go by the local time of a zone: where clocks are changed, an hour that comes twice is in them twice, and one that never comes
    is in none.
    """

    days: frozenset[int]  # 0: Monday
    hours: QuietHours
    text: str

    @classmethod
    def of(cls, days: Sequence[str], hours: str | None, zone: tzinfo) -> "Maintenance":
        """Of ["sat", "sun"] and "06:00-08:00"; no days: each; no hours: all day long. Raises ValueError."""
        unknown = [day for day in days if day not in WEEKDAYS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no weekday; they are {', '.join(WEEKDAYS)}")
        between = QuietHours(0, 24 * 60, zone) if hours is None else QuietHours.of(hours, zone)
        on = ", ".join(days) if days else "each day"
        text = f"maintenance window {on} {'all day' if hours is None else hours}"
        return cls(frozenset(map(WEEKDAYS.index, days or WEEKDAYS)), between, text)

    def covers(self, t_ns: int) -> bool:
        """Whether a time is in it."""
        return self.hours.weekday(t_ns) in self.days

    @property
    def suppression(self) -> Suppression:
        """Such as "maintenance window sat 06:00-08:00"."""
        return Suppression(WithheldBy.MAINTENANCE, self.text)


def cooldown(until_ns: int | None, t_ns: int) -> Suppression | None:
    """What stands against an alert at a time where another has ended. `until_ns` None: none has."""
    if until_ns is None or t_ns >= until_ns:
        return None
    return Suppression(WithheldBy.COOLDOWN, f"cooldown until {minute_text(until_ns)}")
