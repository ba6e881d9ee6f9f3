"""Whether an asset sends at all, and whether its clock and ours agree.

The one stage that the clock moves; what it finds is published and never reaches the score, which knows event time alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_ae.core.timestamps import SECOND

STALE = "stale"
CLOCK_JUMP = "clock_jump"
LONGEST_TICK_NS = 5 * SECOND  # Silence is counted only while this process ran: not while the machine slept.
STEPS = 3  # Silence is longer than so many steps of the pace at which readings come.
AHEAD_NS = 60 * SECOND  # event time may be ahead of ours by this
LATE_READINGS = 16  # in a row: the clock of the sensor went back
JUMP_SHOWN_NS = 600 * SECOND  # a jump is shown for so long after its last sign


@dataclass(frozen=True, slots=True)
class InputCounts:
    """What there is to know of an asset's input: newest event time, and how many readings of each sort there were.

    `set_back`: how often the clock of the sensor was found to have gone back, and was followed.
    """

    readings: int
    newest_ns: int
    late: int
    set_back: int


class Liveness:
    """One asset's. `fault`: stale, clock_jump, or None; `since_ns`: our time when it began; `silent_ns`: how long nothing has
    come for by now."""

    def __init__(self, silence_ns: int) -> None:
        self.fault: str | None = None
        self.since_ns = 0
        self.silent_ns = 0
        self._silence_ns = silence_ns
        self._before: InputCounts | None = None
        self._tick_ns = 0
        self._late_then = 0  # late readings when event time last went on
        self._jump_until_ns = 0

    def tick(self, now_ns: int, now: InputCounts, listening: bool, step_ns: int = 0) -> None:
        """Call it once a second or so. `listening`: the readings can reach us; `step_ns`: how often they come."""
        before = replace(now, readings=0) if self._before is None else self._before
        passed_ns = 0 if self._before is None else min(max(now_ns - self._tick_ns, 0), LONGEST_TICK_NS)
        self._before, self._tick_ns = now, now_ns
        anything = now.readings > before.readings
        self.silent_ns = 0 if anything or not listening else self.silent_ns + passed_ns
        if self._has_jumped(now_ns, before, now):
            self._jump_until_ns = now_ns + JUMP_SHOWN_NS
        still = self.fault == STALE and not anything  # after a restart: until something comes
        self._show(now_ns, stale=still or self.silent_ns >= max(self._silence_ns, STEPS * step_ns))

    def _has_jumped(self, now_ns: int, before: InputCounts, now: InputCounts) -> bool:
        if now.newest_ns > before.newest_ns:
            self._late_then = now.late
        ahead = now.readings > before.readings and now.newest_ns > now_ns + AHEAD_NS
        behind = now.late > before.late and now.late - self._late_then >= LATE_READINGS
        return ahead or behind or now.set_back > before.set_back

    def _show(self, now_ns: int, *, stale: bool) -> None:
        jumped = self._jump_until_ns - JUMP_SHOWN_NS <= now_ns < self._jump_until_ns
        fault = STALE if stale else CLOCK_JUMP if jumped else None
        if fault != self.fault:
            self.fault, self.since_ns = fault, now_ns

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {"fault": self.fault, "since_ns": self.since_ns, "jump_until_ns": self._jump_until_ns}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        self.fault, self.since_ns, self._jump_until_ns = state["fault"], state["since_ns"], state["jump_until_ns"]
