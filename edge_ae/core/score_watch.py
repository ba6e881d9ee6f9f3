"""Rows and windows -> whether the asset is being scored: how far its warm-up is, and since when there has been no score.

    rows      ..........──────────────────── long gap ............──────
    windows             └ watched                                 └ watched      the dots: warm-up, as many rows as a window has

Silence is not the same as not being watched: an asset that sends nothing may be switched off, and rests. Where the owner set no
time of his own, a silence of half the time or more begins it anew; where he did, silence counts too.
"""

from collections.abc import Callable, Mapping
from typing import Any

from edge_ae.core.alert_state import Cause, Condition
from edge_ae.core.health_events import WarmUp
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.timestamps import HOUR, minute_text

UNWATCHED_NS = HOUR  # where the owner set no time
WARM_UPS = 2  # No alert before an asset has had the time for so many warm-ups.


class ScoreWatch:
    """One asset's. `unwatched_ns`: as in the alert rules."""

    def __init__(self, spec: ModelSpec, unwatched_ns: int | None) -> None:
        self._period, self._length, self._hop = spec.period_ns, spec.length, spec.hop
        self._warm_up = spec.length + spec.hop  # rows from the first one to the first score, at most
        self._counts_silence = unwatched_ns is not None
        self._never = unwatched_ns == 0
        asked_ns = UNWATCHED_NS if unwatched_ns is None else unwatched_ns
        self.after_ns = max(asked_ns, WARM_UPS * self._warm_up * spec.period_ns)
        self._slot: int | None = None  # of the newest row
        self._since = 0  # slot since which there has been no score
        self._scored: int | None = None  # slot of the newest window
        self._noticed = False  # whether a condition was made of it

    def push(self, slot: int, scored: bool, why: Callable[[], str]) -> Condition | None:
        """Take a row, and whether a window that can be scored ends with it; a condition where there has been none for long.

        `why` gives the reason, where it is asked for.
        """
        before, self._slot = self._slot, slot
        if scored:
            self._since, self._scored, self._noticed = slot, slot, False
            return None
        if before is None or slot <= before or self._rested(slot - before):
            self._since, self._noticed = slot, False
        return self.overdue(0, why)

    def rest(self, slot: int) -> None:
        """Take a row in which the asset is in no state to be watched: what comes behind it begins anew."""
        self._slot = self._since = slot
        self._noticed = False

    def _rested(self, rows: int) -> bool:
        return not self._counts_silence and 2 * rows * self._period >= self.after_ns

    def overdue(self, silent_ns: int, why: Callable[[], str]) -> Condition | None:
        """The condition, once, where there has been no score for long. `silent_ns`: the silence since the newest row."""
        if self._noticed or self._never or self._slot is None or (silent_ns > 0 and not self._counts_silence):
            return None
        if (self._slot - self._since) * self._period + silent_ns < self.after_ns:
            return None
        self._noticed = True
        since_ns = self._since * self._period
        return Condition(Cause.UNWATCHED, since_ns, f"not watched since {minute_text(since_ns)}: {why()}")

    @property
    def has_rows(self) -> bool:
        """Whether any row has come."""
        return self._slot is not None

    @property
    def slot(self) -> int:
        """That of the newest row; 0 before the first."""
        return 0 if self._slot is None else self._slot

    @property
    def is_scored(self) -> bool:
        """Whether scores come: at most the time of one warm-up has gone since the last."""
        return self._slot is not None and self._scored is not None and 0 <= self._slot - self._scored < self._warm_up

    def warm_up(self, rows: int, step_ns: int | None) -> WarmUp:
        """How far it is. `rows`: without a long gap; `step_ns`: how often readings come, where it is known.

        Readings that come half as often as the rows, or less, never fill a window by half: no first score is foreseen.
        """
        left = max(self._length - rows, 0)
        if self._slot is None or left == 0 or (step_ns is not None and step_ns >= 2 * self._period):
            return WarmUp(rows, self._length, None)
        last = self._slot + left
        due = last + (-(last + 1)) % self._hop
        return WarmUp(rows, self._length, (due + 1) * self._period)

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {"slot": self._slot, "since": self._since, "scored": self._scored, "noticed": self._noticed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        self._slot, self._since = state["slot"], state["since"]
        self._scored, self._noticed = state["scored"], state["noticed"]
