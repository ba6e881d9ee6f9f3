"""Readings of an asset -> its windows: all that is before the model, and what is known of the asset before any score.

push(Readings) ─ align ─ counters ─ state ─ health ─ window ─► Windows
                 Rows    rates      watched sick     due
                                    or not  channels
                                            masked

Rows of a state in which the asset is not to be watched go no further than `state`. What rows show beside their windows waits in
`noticed` until the windows before it are judged. `tick` goes by the wall clock, and what it finds reaches no window.
"""

import copy
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.alert_state import Cause, Condition
from edge_ae.core.align import Aligner
from edge_ae.core.counters import CounterRates
from edge_ae.core.description import stop_text
from edge_ae.core.events import Readings, Row, Stretch, Window
from edge_ae.core.health_events import ChannelFault, CommonStop, WarmUp
from edge_ae.core.input_pace import InputPace
from edge_ae.core.liveness import STALE, InputCounts, Liveness
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.pending_notices import LEFT, PendingNotices
from edge_ae.core.score_watch import ScoreWatch
from edge_ae.core.sensor_health import SensorHealth
from edge_ae.core.usual import silence_ns, usual_gap_rows
from edge_ae.core.watched_state import WatchedState
from edge_ae.core.window import Windower, longest_gap

FROZEN, PACE = "frozen", "pace"  # faults of an asset, beside those of its liveness
NOTHING = "nothing comes"
LAW_DIGITS = 16


class AssetInput:
    """One asset's. `noticed`: what waits to be judged; `fault`: what is wrong with the asset as a whole, as of the last `tick`.

    `when`: the state in which it is watched, "": any; `lateness_ns`: how late a reading may come; `unwatched_ns`: as in the alert rules.
    """

    def __init__(self, spec: ModelSpec, when: str, lateness_ns: int, unwatched_ns: int | None) -> None:
        self.noticed = PendingNotices()
        self.fault: str | None = None
        self._fault_since_ns = 0
        self._spec = spec
        self._align = Aligner(
            spec.names,
            spec.period_ns,
            lateness_ns=lateness_ns,
            max_gap_rows=longest_gap(spec.length),
            usual_gap_rows=usual_gap_rows(spec),
            hold_rows=spec.hold_rows,
            kinds=spec.channels,
        )
        self._counters = CounterRates(spec.channels, spec.period_ns)
        self._state = WatchedState(when, spec.names)
        self._health = SensorHealth(spec.channels)
        self._window = Windower(spec.length, spec.hop, len(spec.channels))
        self._liveness = Liveness(silence_ns(spec))
        self._pace = InputPace(spec)
        self._score_watch = ScoreWatch(spec, unwatched_ns)
        self._stop: CommonStop | None = None  # as of the newest row
        self._pushed = 0

    # -- the way of a reading ------------------------------------------------------------------------------

    def push(self, readings: Readings) -> list[Window]:
        """The windows that became due with these readings, in order, often none."""
        self._pushed += 1
        self._pace.push(readings)
        return self._windows(self._align.push(readings))

    def push_stretch(self, stretch: Stretch) -> tuple[int, list[Window]]:
        """What `push` would do with each of as many of its readings, from the first on, as are nothing special, done in one go: how
        many these are, maybe none, and their windows."""
        rows = self._usual(stretch)
        if rows is None or len(rows) == 0:
            return 0, []
        part = stretch.rows(0, len(rows))
        self._pushed += len(part)
        self._pace.push_all(part.t_ns)
        self._align.follow(part)
        self._health.push_calm(rows)
        windows = self._window.push_full(rows)
        scored = {window.slot for window in windows}
        for slot in range(part.slot - 1, part.slot + len(part) - 1):
            self._watch_score(slot, scored=slot in scored)
        return len(part), windows

    def _usual(self, stretch: Stretch) -> NDArray[np.float64] | None:
        """The rows [row, channel] that a stretch closes up to the first one that any stage has something to say of."""
        plain = self._state.when is None and not self._counters.there
        if not (plain and self._window.is_full and self._health.is_calm):
            return None
        rows = self._align.closed_by(stretch)
        return None if rows is None else rows[: self._health.calm_rows(stretch.slot - 1, rows)]

    def flush(self) -> list[Window]:
        """The windows of the rows still open: the end of a file."""
        return self._windows(self._align.flush())

    def _windows(self, rows: list[Row]) -> list[Window]:
        windows: list[Window] = []
        for row in rows:
            rated, rested = self._counters.push(row), self._state.rests
            if not self._state.push(rated):
                self._pass_over(row.slot, rested)
                continue
            made = self._window.push(self._health.push(rated))
            self._notice(row.slot, scored=len(made) > 0)
            windows += made
        return windows

    def _pass_over(self, slot: int, rested: bool) -> None:
        """A row in which the asset is in no state to be watched, or nobody knows whether it is. `rested`: before it, too."""
        if not self._state.rests:
            self._watch_score(slot, scored=False)
            return
        self._score_watch.rest(slot)
        if not rested:
            self.noticed.push(slot, LEFT)

    def _notice(self, slot: int, *, scored: bool) -> None:
        """What a row has shown that is to be judged behind the windows before it."""
        stop = self._health.stop
        if stop != self._stop:
            self._stop = stop
            self.noticed.push(slot, None if stop is None else self._stop_condition(stop))
        self._watch_score(slot, scored=scored)

    def _watch_score(self, slot: int, *, scored: bool) -> None:
        unwatched = self._score_watch.push(slot, scored, self._lasting_reason)
        if unwatched is not None:
            self.noticed.push(slot, unwatched)

    def _stop_condition(self, stop: CommonStop) -> Condition:
        since_ns = stop.since_slot * self._spec.period_ns
        return Condition(Cause.STOPPED, since_ns, stop_text(stop, self._spec.period_ns))

    def tick(self, now_ns: int, listening: bool) -> None:
        """Once a second or so, by the wall clock. `listening`: readings can reach us."""
        unused = self._align.counts
        counts = InputCounts(self._pushed, self._align.newest_ns, unused["late"], unused["clock_set_back"])
        self._liveness.tick(now_ns, counts, listening, self._pace.step_ns or 0)
        self._follow_fault(now_ns)
        unwatched = self._score_watch.overdue(self._liveness.silent_ns, lambda: NOTHING)
        if unwatched is not None:
            self.noticed.push(self._score_watch.slot, unwatched)

    def _follow_fault(self, now_ns: int) -> None:
        """What is wrong with the asset as a whole; readings that come too often become means, and that is no fault."""
        liveness, frozen = self._liveness, self._health.frozen_since
        if liveness.fault is not None:
            self.fault, self._fault_since_ns = liveness.fault, liveness.since_ns
        elif frozen is not None:
            self.fault, self._fault_since_ns = FROZEN, frozen * self._spec.period_ns
        elif not self._pace.is_too_slow:
            self.fault = None
        elif self.fault != PACE:
            self.fault, self._fault_since_ns = PACE, now_ns

    def is_closed(self, slot: int) -> bool:
        """Whether readings of a slot come too late."""
        return self._align.is_closed(slot)

    @property
    def doubts(self) -> bool:
        """Whether the newest readings did not fit the asset's time, so that later ones decide whether they are used."""
        return self._align.doubts

    @property
    def newest(self) -> Window | None:
        """The window that ends with the newest row, if there is one that can be scored."""
        return self._window.newest

    @property
    def recent(self) -> Window | None:
        """The rows there are of the newest window, also where it cannot be scored; None before the first row."""
        return self._window.recent

    # -- what is known of it -------------------------------------------------------------------------------

    @property
    def counts(self) -> Counter[str]:
        """Readings and windows that were not used, by reason."""
        counts = self._align.counts + self._health.counts
        counts["window_incomplete"] = self._window.skipped
        return counts

    @property
    def quality(self) -> float:
        """The part of its channels whose sensors work, 0 to 1."""
        return self._health.quality

    @property
    def sick(self) -> tuple[ChannelFault, ...]:
        """The channels at fault, in the order in which their faults were found."""
        period_ns = self._spec.period_ns
        return tuple(ChannelFault(one.channel, one.fault, one.since_slot * period_ns) for one in self._health.sick)

    @property
    def fault_since_ns(self) -> int | None:
        """When `fault` began: wall time, or of what is frozen event time; None: nothing is wrong."""
        return None if self.fault is None else self._fault_since_ns

    @property
    def when(self) -> str | None:
        """The state in which it is watched, as its owner wrote it; None: any."""
        return self._state.when

    @property
    def unwatched_after_ns(self) -> int:
        """How long it may be without a score before that is an alert."""
        return self._score_watch.after_ns

    @property
    def warm_up(self) -> WarmUp:
        """How far it is on the way to its first score."""
        return self._score_watch.warm_up(self._window.rows, self._pace.step_ns)

    @property
    def pace_note(self) -> str | None:
        """A sentence where readings come at another pace than the model's rows, and than they did in training."""
        return self._pace.note

    @property
    def unwatched_reason(self) -> str | None:
        """Why the asset is not scored; None: it is."""
        if self._liveness.fault == STALE:
            return NOTHING
        if self._state.note is not None:
            return self._state.note
        if self._health.watched and self._score_watch.is_scored:
            return None
        reason, warm_up = self.unscored_reason, self.warm_up
        return warm_up.outlook if reason == warm_up.text else reason

    def _lasting_reason(self) -> str:
        """What has kept rows from being scored for long."""
        reason, warm_up = self.unscored_reason, self.warm_up
        return f"{warm_up.needed} rows never came without a long gap" if reason == warm_up.text else reason

    @property
    def unscored_reason(self) -> str:
        """What keeps rows from being scored, where it does."""
        if not self._score_watch.has_rows:
            return NOTHING if self._pushed == 0 else self.warm_up.text
        if self._state.note is not None:
            return self._state.note
        if not self._health.watched:
            return f"{len(self._health.sick)} of {len(self._spec.channels)} sensors are at fault"
        pace = self._pace.note
        if pace is not None:
            return pace
        if self._window.rows < self._spec.length:
            return self.warm_up.text
        return "no value comes" if self._window.is_empty else "more than half of the values are missing"

    # -- copies and restarts -------------------------------------------------------------------------------

    def fork(self) -> "AssetInput":
        """An independent copy, for asking what would be if nothing more came."""
        twin = copy.copy(self)
        twin._align, twin._counters = copy.deepcopy(self._align), copy.deepcopy(self._counters)
        twin._state, twin._health = copy.copy(self._state), copy.deepcopy(self._health)
        twin._window, twin._score_watch = copy.deepcopy(self._window), copy.copy(self._score_watch)
        twin._pace, twin.noticed = InputPace(self._spec), self.noticed.fork()
        return twin

    @property
    def law(self) -> str:
        """Names what makes rows of readings. Where two are the same, the rows of one are the rows of the other, and so is all else
        that is known of them but for how many a window has."""
        spec = self._spec
        channels = [[one.name, str(one.kind), one.turn, one.error_values] for one in spec.channels]
        said = json.dumps([channels, spec.period_ns, spec.hold_rows, self._state.when])
        return hashlib.sha256(said.encode()).hexdigest()[:LAW_DIGITS]

    @property
    def is_whole(self) -> bool:
        """Whether it has the rows of a window, be they missing ones."""
        return self._window.rows == self._spec.length

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {
            "align": self._align.snapshot(),
            "counters": self._counters.snapshot(),
            "state": self._state.truth,
            "health": self._health.snapshot(),
            "window": self._window.snapshot(),
            "liveness": self._liveness.snapshot(),
            "pace": self._pace.snapshot(),
            "fault": [self.fault, self._fault_since_ns],
            "watching": self._score_watch.snapshot(),
            "noticed": self.noticed.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        self._align.restore(state["align"])
        if "counters" in state:  # version 0.2 knew none
            self._counters.restore(state["counters"])
        self._health.restore(state["health"])
        self._liveness.restore(state["liveness" if "liveness" in state else "pulse"])  # its name in version 0.1
        self._window.restore(state["window"])
        self._stop = self._health.stop
        self.fault, self._fault_since_ns = self._liveness.fault, self._liveness.since_ns
        if "watching" in state:  # version 0.2 had neither this nor what follows
            self._restore_watching(state)

    def _restore_watching(self, state: Mapping[str, Any]) -> None:
        self._pace.restore(state["pace"])
        self.fault, self._fault_since_ns = state["fault"]
        self._score_watch.restore(state["watching"])
        self.noticed.restore(state["noticed"])
        if self._state.when is not None:
            self._state.truth = state.get("state", self._state.truth)
