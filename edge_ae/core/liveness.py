"""Whether an asset is heard at all, and whether its clock and ours agree.

The one stage that the clock moves; what it finds is told and never reaches the score, which knows event time alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_ae.core.timestamps import SECOND

STALE = "stale"
CLOCK_JUMP = "clock_jump"
LONGEST_TICK_NS = 5 * SECOND  # time counts as silence only while we were there to listen: not while suspended
AHEAD_NS = 60 * SECOND  # event time may be ahead of ours by this
LATE_READINGS = 16  # in a row: the clock of the sensor went back
JUMP_SHOWN_NS = 600 * SECOND  # a jump is shown for so long after its last sign


@dataclass(frozen=True, slots=True)
class Heard:
    """What there is to know of an asset's input: newest event time, and how many readings of each sort there were."""

    readings: int
    newest_ns: int
    late: int
    set_back: int


class Pulse:
    """One asset's. `fault`: stale, clock_jump, or None; `since_ns`: our time when it began."""

    def __init__(self, silence_ns: int) -> None:
        self.fault: str | None = None
        self.since_ns = 0
        self._silence_ns = silence_ns
        self._before: Heard | None = None
        self._tick_ns = 0
        self._silent_ns = 0
        self._late_then = 0  # late readings when event time last went on
        self._jump_until_ns = 0

    def tick(self, now_ns: int, heard: Heard, listening: bool) -> None:
        """Call it once a second or so. `listening`: the readings can reach us."""
        before = replace(heard, readings=0) if self._before is None else self._before
        passed_ns = 0 if self._before is None else min(max(now_ns - self._tick_ns, 0), LONGEST_TICK_NS)
        self._before, self._tick_ns = heard, now_ns
        anything = heard.readings > before.readings
        if anything or not listening:
            self._silent_ns = 0
        else:
            self._silent_ns += passed_ns
        if self._has_jumped(now_ns, before, heard):
            self._jump_until_ns = now_ns + JUMP_SHOWN_NS
        known = self.fault == STALE and not anything  # after a restart: until it is heard again
        self._show(now_ns, stale=known or self._silent_ns >= self._silence_ns)

    def _has_jumped(self, now_ns: int, before: Heard, heard: Heard) -> bool:
        if heard.newest_ns > before.newest_ns:
            self._late_then = heard.late
        ahead = heard.readings > before.readings and heard.newest_ns > now_ns + AHEAD_NS
        behind = heard.late > before.late and heard.late - self._late_then >= LATE_READINGS
        return ahead or behind or heard.set_back > before.set_back

    def _show(self, now_ns: int, *, stale: bool) -> None:
        jumped = self._jump_until_ns - JUMP_SHOWN_NS <= now_ns < self._jump_until_ns
        fault = STALE if stale else CLOCK_JUMP if jumped else None
        if fault != self.fault:
            self.fault, self.since_ns = fault, now_ns

    def snapshot(self) -> dict[str, Any]:
        return {"fault": self.fault, "since_ns": self.since_ns, "jump_until_ns": self._jump_until_ns}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.fault, self.since_ns, self._jump_until_ns = state["fault"], state["since_ns"], state["jump_until_ns"]
