"""Why an alert is not announced although there is one: the reasons, and the times that the owner has set for silence.

Knows nothing of alerts and channels. Times are those of the data, as all times of alerts but shelving: a replay is silent where the
live run was.
"""

from dataclasses import dataclass
from enum import StrEnum

from edge_ae.core.timestamps import minute_text


class WithheldBy(StrEnum):
    """What an alert or a step in its life is withheld by."""

    FLOOD = "flood"  # one summary stands for many
    RULE = "rule"  # of each channel that is accused
    SILENCE = "silence"
    MAINTENANCE = "maintenance"
    COOLDOWN = "cooldown"  # an alert has just ended


@dataclass(frozen=True, slots=True)
class Suppression:
    """What stands against an alert's being announced, and a sentence on it, such as "rule: Temp is muted"."""

    by: WithheldBy
    text: str


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


def cooldown(until_ns: int | None, t_ns: int) -> Suppression | None:
    """What stands against an alert at a time where another has ended. `until_ns` None: none has."""
    if until_ns is None or t_ns >= until_ns:
        return None
    return Suppression(WithheldBy.COOLDOWN, f"cooldown until {minute_text(until_ns)}")
