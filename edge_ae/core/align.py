"""Readings -> Rows on an absolute grid. Knows event time only; the data closes rows, the clock never does.

    event time   ──a──b────c──────────d────────►        slot k covers [k*P - P/2, k*P + P/2)
    slot           41   │   42   │   43   │   44
                        └ row 41 closes when the watermark (latest event time - lateness) enters slot 42

Several readings of a channel in one slot become one value (`slot_value`: the mean, of most kinds of channels). A slot without readings becomes a row of NaN, as soon as a later row exists; a gap of more than
`max_gap_rows` is not filled: at a jump in slots the window stage starts anew.

No single stamp moves the watermark far. A reading that does not fit is set aside until others, one after the other and with
none in between that fits, confirm it:

    ahead     beyond the lateness and a usual gap: AHEAD_CONFIRMED slots of them are data after an outage, and all are used
    behind    SET_BACK_NS behind the watermark and in closed slots: BEHIND_CONFIRMED slots are a clock set back, and used likewise

A reading that fits settles it: what was set aside is dropped, as `odd_time` where it was ahead and as `late` where it was behind.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.events import Readings, Row, Stretch, slot_of
from edge_ae.core.model_spec import Channel
from edge_ae.core.slot_value import mean, merges_of
from edge_ae.core.timestamps import SECOND

NAN = math.nan
NEVER, FOREVER = -(2**62), 2**63  # Before and after every event time, and every slot of one.
MAX_READINGS_PER_SLOT = 4096  # More readings in a slot are a misconfigured period; they are counted as `crowded`.
USUAL_GAP_ROWS = 4  # Data that stays off for no longer is followed at once; a stamp this far ahead costs no more rows.
AHEAD_CONFIRMED = 3  # One odd stamp may come twice, with two channels' messages or sent again, but then in one slot.
BEHIND_CONFIRMED = 16  # A gateway may send what it had kept back, all at once: more of that than ahead is needed.
SET_BACK_NS = 15 * 60 * SECOND  # No two time zones differ by less; senders that repeat their last minutes stay below.


class Aligner:
    """One asset's readings on the grid of its model. `counts` holds what was not used, by reason.

    `usual_gap_rows`: a gap that is nothing special. `hold_rows`: rows for which a channel keeps its last value.
    `kinds`: channels of which some may be counters or angles.
    """

    def __init__(
        self,
        channels: Sequence[str],
        period_ns: int,
        *,
        lateness_ns: int = 0,
        max_gap_rows: int = 0,
        usual_gap_rows: int = USUAL_GAP_ROWS,
        hold_rows: int = 0,
        kinds: Sequence[Channel] = (),
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._channels = tuple(channels)
        self._period = period_ns
        self._lateness = lateness_ns
        self._max_gap = max_gap_rows
        self._reach = lateness_ns + usual_gap_rows * period_ns
        self._hold = hold_rows
        self._merges = merges_of(kinds)
        self._restart()

    def _restart(self) -> None:
        self._open: dict[int, list[Readings]] = {}
        self._aside: dict[int, list[Readings]] = {}  # slot -> readings that do not fit; all ahead, or all behind
        self._watermark = NEVER  # latest event time followed
        self._horizon = NEVER  # slots below are closed
        self._last: int | None = None  # slot of the last row made
        self._held: list[tuple[int, float]] = [(NEVER, NAN)] * len(self._channels)

    @property
    def newest_ns(self) -> int:
        """The latest event time followed."""
        return self._watermark

    def is_closed(self, slot: int) -> bool:
        """Whether the row of a slot has been made, or passed over."""
        return slot < self._horizon

    @property
    def doubts(self) -> bool:
        """Whether the newest reading was set aside, so that a later one decides on it."""
        return len(self._aside) > 0

    def push(self, readings: Readings) -> list[Row]:
        """The rows that these readings close, often none."""
        slot = slot_of(readings.t_ns, self._period)
        ahead = readings.t_ns - self._watermark > self._reach and self._watermark != NEVER
        if ahead or slot < self._horizon:
            return self._set_aside(slot, readings)
        if self._aside:
            return self._take(slot, readings) + self._release(readings.t_ns + self._lateness)
        return self._take(slot, readings)

    def closed_by(self, stretch: Stretch) -> NDArray[np.float64] | None:
        """The rows [row, channel] that a stretch would close, from the slot before its own on; None where not all of that is as
        usual, so that its readings are to be pushed one by one."""
        before = self._open.get(stretch.slot - 1, ())
        alone = len(self._open) == len(before) == 1 and self._last == stretch.slot - 2
        usual = not self._aside and self._lateness == self._hold == 0 and self._reach >= 2 * self._period
        if not (alone and usual):
            return None
        return np.concatenate([[self._raw(before)], stretch.values[:-1]])

    def follow(self, stretch: Stretch) -> None:
        """Take a stretch whose rows `closed_by` gave."""
        last = len(stretch) - 1
        self._open = {stretch.slot + last: [stretch.readings(last, self._channels)]}
        self._watermark, self._horizon = stretch.t_ns[last], stretch.slot + last
        self._last = self._horizon - 1

    def flush(self) -> list[Row]:
        """Close every slot that has readings: the end of a file, where nothing more can contradict what is ahead."""
        return self._release(FOREVER) + self._close_all()

    # -- what fits -----------------------------------------------------------------------------------------

    def _take(self, slot: int, readings: Readings) -> list[Row]:
        self._keep(slot, readings)
        if readings.t_ns > self._watermark:
            self._watermark = readings.t_ns
            horizon = slot if self._lateness == 0 else slot_of(readings.t_ns - self._lateness, self._period)
            if horizon > self._horizon:
                self._horizon = horizon
                return self._close()
        return []

    def _keep(self, slot: int, readings: Readings) -> None:
        pending = self._open.get(slot)
        if pending is None:
            self._open[slot] = [readings]
        elif readings.t_ns <= self._watermark and readings in pending:  # in order, there is nothing to compare
            self.counts["duplicate"] += 1
        elif len(pending) >= MAX_READINGS_PER_SLOT:
            self.counts["crowded"] += 1
        else:
            pending.append(readings)

    # -- what does not fit ---------------------------------------------------------------------------------

    def _set_aside(self, slot: int, readings: Readings) -> list[Row]:
        behind = slot < self._horizon
        self._contradict(behind, readings.t_ns)
        if behind and not self._aside and self._watermark - readings.t_ns < SET_BACK_NS:
            self.counts["late"] += 1
            return []
        group = self._aside.setdefault(slot, [])
        if len(group) >= MAX_READINGS_PER_SLOT:
            self.counts["crowded"] += 1
        else:
            group.append(readings)
        confirmed = BEHIND_CONFIRMED if behind else AHEAD_CONFIRMED
        return self._follow() if len(self._aside) >= confirmed else []

    def _contradict(self, behind: bool, t_ns: int) -> None:
        """Drop what a reading that does not fit contradicts: the other side, and what is later though it came before.

        Readings behind that go back and forth are old ones, of no clock: none of them is kept.
        """
        if not self._aside:
            return
        until = slot_of(t_ns + self._lateness, self._period)
        wrong = [slot for slot in self._aside if slot > until]
        if behind != (min(self._aside) < self._horizon) or (behind and wrong):
            wrong = list(self._aside)
        for slot in wrong:
            self._drop(slot, len(self._aside.pop(slot)))

    def _drop(self, slot: int, readings: int) -> None:
        self.counts["late" if slot < self._horizon else "odd_time"] += readings

    def _follow(self) -> list[Row]:
        """Enough readings confirm it: event time is theirs."""
        if min(self._aside) >= self._horizon:
            return self._release(FOREVER)
        self.counts["clock_set_back"] += 1
        aside, rows = self._aside, self._close_all()
        self._restart()
        self._aside = aside
        return rows + self._release(FOREVER)

    def _release(self, until_ns: int) -> list[Row]:
        """Nothing is aside any more: use what fits up to a time, and drop the rest."""
        aside, self._aside = self._aside, {}
        rows: list[Row] = []
        for slot, group in sorted(aside.items()):
            for readings in sorted(group, key=lambda one: one.t_ns):
                if slot < self._horizon or readings.t_ns > until_ns:
                    self._drop(slot, 1)
                else:
                    rows += self._take(slot, readings)
        return rows

    # -- rows ----------------------------------------------------------------------------------------------

    def _close_all(self) -> list[Row]:
        if self._open:
            self._horizon = max(self._open) + 1
        return self._close()

    def _close(self) -> list[Row]:
        rows: list[Row] = []
        for slot in sorted(k for k in self._open if k < self._horizon):
            gap = 0 if self._last is None else slot - self._last - 1
            if 0 < gap <= self._max_gap:
                nothing = [NAN] * len(self._channels)
                rows.extend(self._row(k, nothing) for k in range(slot - gap, slot))
            raw = self._raw(self._open.pop(slot))
            rows.append(self._row(slot, raw))
            self._last = slot
            if self._hold > 0:
                self._held = [
                    last if math.isnan(value) else (slot, value) for value, last in zip(raw, self._held, strict=True)
                ]
        return rows

    def _raw(self, pending: Sequence[Readings]) -> list[float]:
        if len(pending) == 1:
            get = pending[0].values.get
            return [get(name, NAN) for name in self._channels]
        return [self._merges.get(name, mean)(_pairs(name, pending)) for name in self._channels]

    def _row(self, slot: int, raw: list[float]) -> Row:
        if self._hold == 0:
            return Row(slot, tuple(raw))
        oldest = slot - self._hold
        return Row(
            slot,
            tuple(
                last if math.isnan(value) and since >= oldest else value
                for value, (since, last) in zip(raw, self._held, strict=True)
            ),
        )

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {
            "open": _saved(self._open),
            "aside": _saved(self._aside),
            "watermark": self._watermark,
            "horizon": self._horizon,
            "last": self._last,
            "held": [list(pair) for pair in self._held],
            "counts": dict(self.counts),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        self._restart()
        self._open = self._grouped(state["open"])
        self._aside = self._grouped(state.get("aside", ()))  # version 0.1 had none
        self._watermark, self._horizon, self._last = state["watermark"], state["horizon"], state["last"]
        self._held = [(slot, NAN if value is None else value) for slot, value in state["held"]]
        self.counts = Counter(state["counts"])

    def _grouped(self, saved: Iterable[tuple[str, int, Mapping[str, float | None]]]) -> dict[int, list[Readings]]:
        groups: dict[int, list[Readings]] = {}
        for asset, t_ns, values in saved:
            known = {name: NAN if value is None else value for name, value in values.items()}
            groups.setdefault(slot_of(t_ns, self._period), []).append(Readings(asset, t_ns, known))
        return groups


def _saved(groups: Mapping[int, Sequence[Readings]]) -> list[list[Any]]:
    return [[one.asset, one.t_ns, dict(one.values)] for group in groups.values() for one in group]


def _pairs(name: str, pending: Sequence[Readings]) -> set[tuple[int, float]]:
    return {(r.t_ns, r.values[name]) for r in pending if name in r.values}
