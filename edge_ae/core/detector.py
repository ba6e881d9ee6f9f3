"""One asset: the stages in a row, and the only owner of their state.

push(Readings) ─ align ─ counters ─ health ─ window ─► Windows        the fleet scores them, all assets in one call, and
judge(Window, score, explanation) ─ threshold ─ alert ─►   gives each back with its score, in order
"""

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge_ae.core import alert
from edge_ae.core.alert import (
    NO_EVIDENCE,
    AlertRules,
    AlertSource,
    AlertState,
    Evidence,
    Stepped,
    Transition,
    budget_ns,
)
from edge_ae.core.align import USUAL_GAP_ROWS, Aligner
from edge_ae.core.counters import CounterRates
from edge_ae.core.description import describe
from edge_ae.core.events import (
    Alert,
    AlertEvent,
    AssetHealth,
    ChannelFault,
    ModelName,
    Readings,
    Row,
    Scored,
    Share,
    Watching,
    Window,
)
from edge_ae.core.liveness import STALE, InputCounts, Liveness
from edge_ae.core.model_spec import Explanation, Floats, Model, ModelSpec
from edge_ae.core.sensor_health import SensorHealth
from edge_ae.core.threshold import Threshold
from edge_ae.core.timestamps import SECOND
from edge_ae.core.window import Windower, longest_gap

OFF_DELAY_HOPS = 10  # the default off-delay
SILENT_ROWS = 10  # An asset is stale after so many rows without a reading, beyond twice the longest gap in training.
SILENT_NS = 30 * SECOND  # It is never stale before this.
TINY = 1e-300  # a sum of shares that is nothing


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """How an asset is watched: with which model, under which rules, and how late a reading may come."""

    model: Model
    rules: AlertRules
    lateness_ns: int = 0


class Detector:
    """One asset's way from readings to alerts. Raises nothing for any sequence of readings."""

    def __init__(self, node: str, asset: str, watch: Watch) -> None:
        spec, rules = watch.model.spec, watch.rules
        self.spec = spec
        self.asset = asset
        self._source = AlertSource(node, asset, ModelName(spec.name, spec.trained_at, spec.sha256))
        hop_ns = spec.hop * spec.period_ns
        self._rules = rules if rules.off_delay_ns is not None else replace(rules, off_delay_ns=OFF_DELAY_HOPS * hop_ns)
        self._align = Aligner(
            spec.names,
            spec.period_ns,
            lateness_ns=watch.lateness_ns,
            max_gap_rows=longest_gap(spec.length),
            usual_gap_rows=usual_gap_rows(spec),
            hold_rows=spec.hold_rows,
            kinds=spec.channels,
        )
        self._counters = CounterRates(spec.channels, spec.period_ns)
        self._health = SensorHealth(spec.channels)
        self._liveness = Liveness(silence_ns(spec))
        self._pushed = 0
        self._window = Windower(spec.length, spec.hop, len(spec.channels))
        self._threshold = Threshold(spec, hop_ns / rules.interval_ns)
        self.budget: str | None = None  # as an operator set it
        self.interval_ns = rules.interval_ns  # mean time between the alerts that are accepted
        self.alert = AlertState()
        self.last_t_ns: int | None = None  # event time of the newest row judged

    # -- the way of a reading ------------------------------------------------------------------------------

    def push(self, readings: Readings) -> list[Window]:
        """The windows that became due with these readings, in order, often none."""
        self._pushed += 1
        return self._windows(self._align.push(readings))

    def flush(self) -> list[Window]:
        """The windows of the rows still open: the end of a file."""
        return self._windows(self._align.flush())

    def _windows(self, rows: list[Row]) -> list[Window]:
        seen = (self._health.push(self._counters.push(row)) for row in rows)
        return [window for row in seen for window in self._window.push(row)]

    def is_closed(self, slot: int) -> bool:
        """Whether readings of a slot come too late."""
        return self._align.is_closed(slot)

    @property
    def doubts(self) -> bool:
        """Whether the newest readings did not fit the asset's time, so that later ones decide whether they are used."""
        return self._align.doubts

    def fork(self) -> "Detector":
        """An independent copy, for asking what would be if nothing more came."""
        twin = copy.copy(self)
        twin._align, twin._counters = copy.deepcopy(self._align), copy.deepcopy(self._counters)
        twin._health = copy.deepcopy(self._health)
        twin._window, twin._threshold = copy.deepcopy(self._window), copy.deepcopy(self._threshold)
        return twin

    def tick(self, now_ns: int, listening: bool = True) -> list[AlertEvent]:
        """Once a second or so, by the wall clock: whether the asset is alive, whether its clock agrees with ours, and
        whether its shelving has ended: an alert that rose meanwhile is new then.

        `listening`: readings can reach us. Never reaches the score, which knows event time alone.
        """
        unused = self._align.counts
        counts = InputCounts(self._pushed, self._align.newest_ns, unused["late"], unused["clock_set_back"])
        self._liveness.tick(now_ns, counts, listening)
        return self._take(alert.expire_shelving(self.alert, now_ns, self.t_ns, self._rules))

    def wants_explanation(self, score: float) -> bool:
        """Whether `judge` will want this window's explanation."""
        return alert.wants_evidence(self.alert, self._threshold.judge(0, score))

    def judge(self, window: Window, score: float, explanation: Explanation | None) -> list[Scored | AlertEvent]:
        """What a window's score means: judged first, learned from then. Windows come in the order in which `push` gave them."""
        verdict = self._threshold.judge(window.slot, score)
        t_ns = window.slot * self.spec.period_ns
        if self.last_t_ns is not None and t_ns < self.last_t_ns:
            self.alert = alert.set_back(self.alert, self.last_t_ns - t_ns)
        self.last_t_ns = t_ns
        evidence = self._evidence(window, explanation)
        events = self._take(alert.step(self.alert, verdict, t_ns, self._rules, self._source, evidence))
        self._threshold.learn(verdict, self.alert.active)
        return [Scored(self.asset, t_ns, verdict, self.alert.active), *events]

    def _evidence(self, window: Window, explanation: Explanation | None) -> Evidence:
        if explanation is None:
            return NO_EVIDENCE
        modes = self.spec.modes
        similar = None if modes is None else modes.similar(explanation.latent.tolist())
        return Evidence(shares_of(self.spec, window.values, explanation), similar)

    # -- what operators do ---------------------------------------------------------------------------------

    def acknowledge(self) -> list[AlertEvent]:
        """Somebody has seen the alert: it re-alarms no more."""
        return self._take(alert.acknowledge(self.alert, self.t_ns))

    def shelve(self, duration_ns: int | None, now_ns: int) -> None:
        """Silence from `now_ns` of the wall clock on; `duration_ns` None: until the next return to normal."""
        self.alert = alert.shelve(self.alert, now_ns, duration_ns, self._rules)

    def unshelve(self) -> list[AlertEvent]:
        """End the shelving now."""
        return self._take(alert.unshelve(self.alert, self.t_ns))

    def set_service(self, in_service: bool) -> list[AlertEvent]:
        """Out of service: watched, scored, and silent until it is put back."""
        return self._take(alert.set_service(self.alert, in_service, self.t_ns))

    def set_budget(self, budget: str | None) -> None:
        """Accept so many alerts on normal data, such as "1/day", from now on; None: as many as the settings say. ValueError."""
        self.interval_ns = self._rules.interval_ns if budget is None else budget_ns(budget)
        self.budget = budget
        self._threshold.set_budget(self.spec.hop * self.spec.period_ns / self.interval_ns)

    def accept_normal(self) -> None:
        """What the asset does now is normal from now on; an active alert ends through its off-delay."""
        self._threshold.accept()

    @property
    def t_ns(self) -> int:
        """Event time of the newest row judged; 0 before the first."""
        return 0 if self.last_t_ns is None else self.last_t_ns

    def _take(self, stepped: Stepped) -> list[AlertEvent]:
        self.alert, transitions = stepped
        return [self._event(one) for one in transitions]

    # -- what is known of it -------------------------------------------------------------------------------

    def _event(self, transition: Transition) -> AlertEvent:
        now = self._described(transition)
        return AlertEvent(self.asset, transition.type, transition.episode.id, transition.episode.seq, now)

    def alert_now(self) -> Alert:
        """The present alert state, for the retained topic."""
        return self._described(None)

    def _described(self, transition: Transition | None) -> Alert:
        return replace(describe(self._source, self.alert, transition), quality=self.quality)

    def health_now(self) -> AssetHealth:
        """Which sensors are sick, and how the asset is watched, for the retained topic."""
        liveness, period_ns = self._liveness, self.spec.period_ns
        return AssetHealth(
            asset=self.asset,
            node=self._source.node,
            watched=self._health.watched,
            fault=liveness.fault,
            fault_since_ns=None if liveness.fault is None else liveness.since_ns,
            channels=tuple(
                ChannelFault(one.channel, one.fault, one.since_slot * period_ns) for one in self._health.sick
            ),
            watching=self._watching(),
            budget=self.budget,
        )

    def _watching(self) -> Watching:
        if not self.alert.in_service:
            return Watching.OUT_OF_SERVICE
        if self._liveness.fault == STALE or not self._health.watched:
            return Watching.NOT_WATCHED
        return Watching.WATCHED if self._window.full else Watching.WARM_UP

    @property
    def quality(self) -> float:
        """The part of its channels whose sensors work, 0 to 1."""
        return self._health.quality

    @property
    def newest(self) -> Window | None:
        """The window that ends with the newest row, if there is one that can be scored."""
        return self._window.newest

    @property
    def threshold(self) -> float:
        """The boundary that the next score is held against."""
        return self._threshold.value

    @property
    def counts(self) -> Counter[str]:
        """Readings and windows that were not used, by reason."""
        counts = self._align.counts + self._health.counts
        counts["window_incomplete"] = self._window.skipped
        return counts

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {
            "model": self.spec.sha256,
            "align": self._align.snapshot(),
            "counters": self._counters.snapshot(),
            "health": self._health.snapshot(),
            "liveness": self._liveness.snapshot(),
            "window": self._window.snapshot(),
            "threshold": self._threshold.snapshot(),
            "budget": self.budget,
            "alert": alert.snapshot(self.alert),
            "last_t_ns": self.last_t_ns,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made. What people asked for and the alert always; the rest only if the model is the same file."""
        self.alert = alert.restore(state["alert"])
        if state.get("budget") is not None:  # there was none before version 0.3
            self.set_budget(state["budget"])
        self.last_t_ns = state["last_t_ns"]
        if state["model"] != self.spec.sha256:
            return
        self._align.restore(state["align"])
        if "counters" in state:  # version 0.2 knew none
            self._counters.restore(state["counters"])
        self._health.restore(state["health"])
        self._liveness.restore(state["liveness" if "liveness" in state else "pulse"])  # its name in version 0.1
        self._window.restore(state["window"])
        self._threshold.restore(state["threshold"])


def usual_gap_rows(spec: ModelSpec) -> int:
    """Rows without any reading that are nothing special: as training showed them, as long as a window bridges them."""
    return min(max(USUAL_GAP_ROWS, _trained_gap_rows(spec)), longest_gap(spec.length))


def silence_ns(spec: ModelSpec) -> int:
    """How long an asset may send nothing."""
    return max((SILENT_ROWS + 2 * _trained_gap_rows(spec)) * spec.period_ns, SILENT_NS)


def _trained_gap_rows(spec: ModelSpec) -> int:
    """The longest time without any reading in training, or for which a channel that reports on change stands."""
    return max(min(channel.missing_rows for channel in spec.channels), spec.hold_rows)


def shares_of(spec: ModelSpec, window: Floats, explanation: Explanation) -> tuple[Share, ...]:
    """The channels by their part in the score, largest first; observed and expected at the newest value seen."""
    known = np.nan_to_num(explanation.channel_score).astype(np.float64)
    parts = known / max(known.sum(), TINY)
    newest = spec.length - 1 - np.argmax(~np.isnan(window[::-1]), axis=0)
    every = np.arange(len(spec.channels))
    found = (parts, window[newest, every], explanation.reconstruction[newest, every])
    shares = [
        Share(c.name, c.signal_unit, share, observed, expected, c.turn)
        for c, share, observed, expected in zip(spec.channels, *(f.tolist() for f in found), strict=True)
    ]
    return tuple(sorted(shares, key=lambda share: -share.share))
