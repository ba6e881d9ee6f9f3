"""One asset: its readings become windows, their scores become alerts; the only owner of all its state.

push(Readings) ─ asset_input: align, counters, state, health, window ─► Windows
                                                           the fleet scores them, all assets in one call, and
judge(Window, score, explanation) ─ threshold ─ alert ─►   gives each back with its score, in order
                       unscored() ─ alert ─►               what the rows showed that brought no window
"""

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_ae.core import alert, alert_snapshot
from edge_ae.core.alert_events import Alert, AlertEvent, AlertStep, EventType, ModelName, Outcome, Withheld
from edge_ae.core.alert_state import (
    NO_EVIDENCE,
    AlertSource,
    AlertState,
    Cause,
    Condition,
    Episode,
    Evidence,
    Stepped,
    Transition,
)
from edge_ae.core.asset_input import AssetInput
from edge_ae.core.asset_rules import AssetRules
from edge_ae.core.description import describe
from edge_ae.core.drift import DriftMonitor
from edge_ae.core.events import Readings, Scored, Stretch, Verdict, Window
from edge_ae.core.expectation import magnitude_of, shares_of
from edge_ae.core.health_events import AssetHealth, Watching
from edge_ae.core.lessons import Known, Lessons
from edge_ae.core.model_spec import Explanation, Floats, Model
from edge_ae.core.peak_hours import HourlyPeaks
from edge_ae.core.pending_notices import restored, saved
from edge_ae.core.rules import AlertRules, ChannelRule, budget_ns
from edge_ae.core.season import ModelAtSlot, day_course, with_course
from edge_ae.core.signatures import AlertSignatures, signature_of
from edge_ae.core.suppression import Silence, Suppression, WithheldBy
from edge_ae.core.threshold import Threshold

FORMER_KEPT = 2  # models, of which it is known what their threshold had learned
FROZEN, PACE = "frozen", "pace"  # faults of an asset, beside those of its liveness
NOTHING = "nothing comes"


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
        self._rules = rules.completed(hop_ns, spec.tail.on_delay)
        when = spec.when if rules.when is None else rules.when
        self._input = AssetInput(spec, when, watch.lateness_ns, rules.unwatched_ns)
        self._condition: Condition | None = None  # that stands as of the newest window judged
        self._unjudged = 0  # windows
        self._threshold = Threshold(spec, hop_ns / rules.interval_ns)
        self.budget: str | None = None  # as an operator set it
        self.interval_ns = rules.interval_ns  # mean time between the alerts that are accepted
        self.own_rules = AssetRules(rules, spec.names)
        self.lessons = Lessons(spec)
        self._course = day_course(spec)
        self.suppressed: Counter[str] = Counter()  # alerts that were not announced as they rose, by what withheld them
        self.peaks = HourlyPeaks()
        self._drift = DriftMonitor(spec)
        self.former: dict[
            str, Mapping[str, Any]
        ] = {}  # SHA-256 of models that were in use -> what their threshold had learned
        self.alert = AlertState()
        self.last_t_ns: int | None = None  # event time of the newest row judged

    # -- the way of a reading ------------------------------------------------------------------------------

    def push(self, readings: Readings) -> list[Window]:
        """The windows that became due with these readings, in order, often none."""
        return self._due(self._input.push(readings))

    def push_stretch(self, stretch: Stretch) -> tuple[int, list[Window]]:
        """The same for the first so many of its readings, in one go: how many these are, maybe none, and their windows."""
        taken, windows = self._input.push_stretch(stretch)
        return taken, self._due(windows)

    def flush(self) -> list[Window]:
        """The windows of the rows still open: the end of a file."""
        return self._due(self._input.flush())

    def _due(self, windows: list[Window]) -> list[Window]:
        self._unjudged += len(windows)
        return windows

    @property
    def has_unscored(self) -> bool:
        """Whether `unscored` may have something."""
        return len(self._input.noticed) > 0

    def unscored(self) -> list[AlertStep]:
        """What rows have shown for which no window is to be judged; nothing while there are such windows."""
        return self._settle(None) if self._unjudged == 0 else []

    def _settle(self, until_slot: int | None) -> list[AlertStep]:
        """Take up what was noticed, up to a slot or all of it."""
        events: list[AlertStep] = []
        for slot, noticed in self._input.noticed.take(until_slot):
            if isinstance(noticed, str):
                self._condition = None
                events += self._take(alert.leave(self.alert, slot * self.spec.period_ns, self._rules))
            elif noticed is not None and noticed.cause is Cause.UNWATCHED:
                events += self._raise_unwatched(noticed)
            else:
                self._condition = noticed
        return events

    def _raise_unwatched(self, condition: Condition) -> list[AlertStep]:
        t_ns = condition.since_ns + self._input.unwatched_after_ns
        nothing = Verdict(t_ns // self.spec.period_ns, 0.0, self.threshold, 0.0)
        silenced = self.own_rules.silenced(t_ns)
        stepped = alert.step(
            self.alert, nothing, t_ns, self._rules, self._source, condition=condition, silenced=silenced
        )
        return self._take(stepped)

    def is_closed(self, slot: int) -> bool:
        """Whether readings of a slot come too late."""
        return self._input.is_closed(slot)

    @property
    def doubts(self) -> bool:
        """Whether the newest readings did not fit the asset's time, so that later ones decide whether they are used."""
        return self._input.doubts

    def fork(self) -> "Detector":
        """An independent copy, for asking what would be if nothing more came."""
        twin = copy.copy(self)
        twin._input, twin._threshold, twin.peaks = self._input.fork(), copy.deepcopy(self._threshold), HourlyPeaks()
        twin._drift = copy.deepcopy(self._drift)
        twin.own_rules, twin.suppressed = copy.copy(self.own_rules), self.suppressed.copy()
        twin.lessons = copy.deepcopy(self.lessons)
        return twin

    def tick(self, now_ns: int, listening: bool = True) -> list[AlertStep]:
        """Once a second or so, by the wall clock: whether the asset is alive, whether its clock agrees with ours, and
        whether its shelving has ended: an alert that rose meanwhile is new then.

        `listening`: readings can reach us. Never reaches the score, which knows event time alone.
        """
        self._input.tick(now_ns, listening)
        return self.unscored() + self._take(alert.expire_shelving(self.alert, now_ns, self.t_ns, self._rules))

    def seen_by_model(self, window: Window) -> Floats:
        """A window's values as the graph takes them: without what the time of day does to them."""
        return window.values if self._course is None else window.values - self._course_of(window.slot)

    def model_at(self, model: Model, slot: int) -> Model:
        """Its model as it sees windows that end with a slot, in values as they come."""
        return model if self._course is None else ModelAtSlot(model, self._course_of(slot))

    def as_it_comes(self, explanation: Explanation, slot: int) -> Explanation:
        """What the graph says of a window that ends with a slot, expected in values as they come."""
        return explanation if self._course is None else with_course(explanation, self._course_of(slot))

    def _course_of(self, slot: int) -> Floats:
        assert self._course is not None
        return self._course.of(slot + 1 - self.spec.length, self.spec.length)

    def wants_explanation(self, score: float) -> bool:
        """Whether `judge` will want this window's explanation."""
        return alert.wants_evidence(self.alert, score / self._threshold.value)

    def turns_on_explanation(self, score: float) -> bool:
        """Whether there may be an alert with this score or not, as its explanation says."""
        decides = self.own_rules.judge_channels or self.lessons.withholds
        return decides and self.wants_explanation(score)

    def wants_look(self, window: Window, score: float) -> bool:
        """Whether `look` is to be given this window's explanation: it is quiet, and time to see whether the asset has moved."""
        return score < self._threshold.value and self.alert.episode is None and self._drift.wants(window.slot)

    def look(self, window: Window, explanation: Explanation) -> None:
        """Follow how far the asset has moved from what its model expects. Changes neither scores nor alerts."""
        self._drift.look(window.slot, window.values, explanation)

    def judge(self, window: Window, score: float, explanation: Explanation | None) -> list[Outcome]:
        """What a window's score means: judged first, learned from then. Windows come in the order in which `push` gave them."""
        verdict = self._threshold.judge(window.slot, score)
        t_ns = window.slot * self.spec.period_ns
        if self.last_t_ns is not None and t_ns < self.last_t_ns:
            self.alert = alert.set_back(self.alert, self.last_t_ns - t_ns)
        self.last_t_ns = t_ns
        self._unjudged -= 1
        self.peaks.push(t_ns, verdict.ratio, self.interval_ns)
        earlier = self._settle(window.slot)
        self.own_rules.expire(t_ns)
        self.lessons.expire(t_ns)
        evidence, silenced = self._evidence(window, explanation, verdict.ratio), self.own_rules.silenced(t_ns)
        stepped = alert.step(self.alert, verdict, t_ns, self._rules, self._source, evidence, self._condition, silenced)
        events, episode = self._take(stepped), self.alert.episode
        spends = episode is not None and episode.condition is None and self.alert.suppression is None
        self._threshold.learn(verdict, spends)
        return [*earlier, Scored(self.asset, t_ns, verdict, self.alert.raised), *events]

    def _evidence(self, window: Window, explanation: Explanation | None, ratio: float) -> Evidence:
        if explanation is None:
            return NO_EVIDENCE
        shares = shares_of(self.spec, window.values, explanation)
        signature = signature_of(self.spec, window.values, explanation, ratio, shares)
        known = self.lessons.recognise(signature, None if self.alert.episode is None else self.alert.episode.ruled_out)
        modes, similar = self.spec.modes, known.similar
        if similar is None and modes is not None:
            similar = modes.similar(explanation.latent.tolist())
        ruled_out = self.own_rules.ruled_out(shares) or known.withheld
        return Evidence(shares, similar, ruled_out, magnitude_of(explanation), signature)

    # -- what operators do ---------------------------------------------------------------------------------

    def acknowledge(self) -> list[AlertStep]:
        """Somebody has seen the alert: it re-alarms no more."""
        return self._take(alert.acknowledge(self.alert, self.t_ns))

    def shelve(self, duration_ns: int | None, now_ns: int) -> None:
        """Silence from `now_ns` of the wall clock on; `duration_ns` None: until the next return to normal."""
        self.alert = alert.shelve(self.alert, now_ns, duration_ns, self._rules)

    def unshelve(self) -> list[AlertStep]:
        """End the shelving now."""
        return self._take(alert.unshelve(self.alert, self.t_ns))

    def set_service(self, in_service: bool) -> list[AlertStep]:
        """Out of service: watched, scored, and silent until it is put back."""
        return self._take(alert.set_service(self.alert, in_service, self.t_ns))

    def set_budget(self, budget: str | None) -> None:
        """Accept so many alerts on normal data, such as "1/day", from now on; None: as many as the settings say. ValueError."""
        self.interval_ns = self._rules.interval_ns if budget is None else budget_ns(budget)
        self.budget = budget
        self._threshold.set_budget(self.spec.hop * self.spec.period_ns / self.interval_ns)

    def set_channel_rule(self, channel: str, rule: ChannelRule | None) -> list[AlertStep]:
        """A channel's rule from now on; None: what the settings say of it. Raises ValueError with a sentence."""
        if rule is None:
            self.own_rules.clear_channel(channel)
        else:
            self.own_rules.set_channel(channel, rule)
        return self._reconsider()

    def add_silence(self, silence: Silence) -> list[AlertStep]:
        """Announce nothing new for a time. Raises ValueError with a sentence."""
        self.own_rules.add_silence(silence, self.t_ns)
        return self._reconsider()

    def clear_silences(self) -> list[AlertStep]:
        """End those that are in force, and forget those that are set ahead."""
        self.own_rules.clear_silences()
        return self._reconsider()

    def set_lessons(self, known: Known) -> list[AlertStep]:
        """What people have taught, all of it: from now on these withhold alerts, and give them names."""
        self.lessons.set(known)
        return self._reconsider()

    def dismiss(self, identity: str) -> list[AlertStep]:
        """People have called the present alert false, and there is a lesson of it: it is over, or withheld where nobody knows of it yet.

        Where the excursion goes on, it is an alert of its own, which the lesson withholds.
        """
        episode = self.alert.episode
        if episode is None or episode.id != identity or episode.condition is not None:
            return []
        if episode.published:
            return self._take(alert.leave(self.alert, self.t_ns, self._rules))
        ruled_out = self.lessons.known[identity].suppression
        self.alert = replace(self.alert, episode=replace(episode, ruled_out=ruled_out))
        return self._reconsider()

    @property
    def present_signatures(self) -> AlertSignatures | None:
        """What the present alert has looked like; None: there is none, or nothing is known of its looks."""
        return None if self.alert.episode is None else self._looks(self.alert.episode)

    def _looks(self, episode: Episode) -> AlertSignatures | None:
        found = episode.course.signatures
        return AlertSignatures(self.spec.sha256, self.spec.names, found) if found else None

    def _reconsider(self) -> list[AlertStep]:
        episode, silenced = self.alert.episode, self.own_rules.silenced(self.t_ns)
        ruled_out = None if episode is None else self._ruled_out_still(episode)
        return self._take(alert.reconsider(self.alert, self.t_ns, silenced, ruled_out))

    def _ruled_out_still(self, episode: Episode) -> Suppression | None:
        """What stands against the peak of a suppressed alert."""
        now = episode.ruled_out
        taught = now is not None and now.by is WithheldBy.LESSON and now.source in self.lessons.known
        return self.own_rules.ruled_out(episode.shares) or (now if taught else None)

    def boundary_at(self, interval_ns: int) -> float:
        """Where the boundary would be now if one alert in this time were accepted on average."""
        return self._threshold.boundary_at(self.spec.hop * self.spec.period_ns / interval_ns)

    def accept_normal(self) -> None:
        """What the asset does now is normal from now on; an active alert ends through its off-delay."""
        self._threshold.accept()

    @property
    def t_ns(self) -> int:
        """Event time of the newest row judged; 0 before the first."""
        return 0 if self.last_t_ns is None else self.last_t_ns

    def _take(self, stepped: Stepped) -> list[AlertStep]:
        self.alert, transitions = stepped
        for one in transitions:
            if one.cleared_ns is not None:
                self._count_use(one.episode, one.cleared_ns)
        return [self._event(one) for one in transitions]

    def _count_use(self, episode: Episode, t_ns: int) -> None:
        """An alert is over: of which lessons it was the like."""
        by = None if episode.published else episode.withheld
        lessons = (by.source if by is not None else "", episode.similar.lesson if episode.similar is not None else "")
        self.lessons.ended(episode.id, lessons, t_ns)

    # -- another model ----------------------------------------------------------------------------------------

    @property
    def is_warm(self) -> bool:
        """Whether it has the rows of a window, so that none of those to come is lost for want of rows."""
        return self._input.is_whole

    def take_over(self, other: "Detector") -> None:
        """Go on in the place of another model's detector of the same asset: with the alert as it stands, and with what people asked
        for. What either has learned of its own scores stays its own."""
        self.alert = other.alert
        if self.budget != other.budget:
            self.set_budget(other.budget)
        self.own_rules.restore(other.own_rules.snapshot())
        self.lessons.take_over(other.lessons)
        self.former = _newest({**other.former, other.spec.sha256: other._threshold.snapshot()}, self.spec.sha256)
        self.suppressed, self.peaks = other.suppressed, other.peaks
        other.suppressed, other.peaks, other.former = Counter(), HourlyPeaks(), {}
        if self.last_t_ns is None:
            self.last_t_ns = other.last_t_ns

    # -- what is known of it -------------------------------------------------------------------------------

    def _event(self, transition: Transition) -> AlertStep:
        now, suppression = self._described(transition), transition.suppression
        event = AlertEvent(self.asset, transition.type, transition.episode.id, transition.episode.seq, now)
        if suppression is None:
            return event
        self.suppressed[suppression.by.value] += transition.type is EventType.NEW
        return Withheld(event, suppression.by)

    def alert_now(self) -> Alert:
        """The present alert state, for the retained topic."""
        return self._described(None)

    def _described(self, transition: Transition | None) -> Alert:
        looks = None if transition is None else self._looks(transition.episode)
        return replace(describe(self._source, self.alert, transition), quality=self.quality, looks=looks)

    def health_now(self) -> AssetHealth:
        """Which sensors are sick and whether the asset is scored, for the retained topic. Its fault is as of the last `tick`."""
        known = self._input
        return AssetHealth(
            asset=self.asset,
            node=self._source.node,
            watched=known.unwatched_reason is None,
            fault=known.fault,
            fault_since_ns=known.fault_since_ns,
            channels=known.sick,
            watching=self._watching(),
            budget=self.budget,
            warm_up=known.warm_up,
            pace=known.pace_note,
            reason=known.unwatched_reason,
            rules=self.own_rules.in_force,
            silences=self.own_rules.silences,
            when=known.when,
            lessons=self.lessons.listed,
            moved=self._drift.moved,
        )

    def _watching(self) -> Watching:
        if not self.alert.in_service:
            return Watching.OUT_OF_SERVICE
        reason = self._input.unwatched_reason
        if reason is None:
            return Watching.WATCHED
        return Watching.WARM_UP if reason == self._input.warm_up.outlook else Watching.NOT_WATCHED

    @property
    def quality(self) -> float:
        """The part of its channels whose sensors work, 0 to 1."""
        return self._input.quality

    @property
    def unwatched_reason(self) -> str | None:
        """Why the asset is not scored; None: it is."""
        return self._input.unwatched_reason

    @property
    def unscored_reason(self) -> str:
        """What keeps rows from being scored, where it does."""
        return self._input.unscored_reason

    @property
    def pace_note(self) -> str | None:
        """A sentence where readings come at another pace than the model's rows, and than they did in training."""
        return self._input.pace_note

    @property
    def newest(self) -> Window | None:
        """The window that ends with the newest row, if there is one that can be scored."""
        return self._input.newest

    @property
    def recent(self) -> Window | None:
        """The rows there are of the newest window, also where it cannot be scored; None before the first row."""
        return self._input.recent

    @property
    def threshold(self) -> float:
        """The boundary that the next score is held against."""
        return self._threshold.value

    @property
    def counts(self) -> Counter[str]:
        """Readings and windows that were not used, by reason."""
        return self._input.counts

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {
            "model": self.spec.sha256,
            "law": self._input.law,
            "former": self.former,
            **self._input.snapshot(),
            "threshold": self._threshold.snapshot(),
            "budget": self.budget,
            "alert": alert_snapshot.snapshot(self.alert),
            "rules": self.own_rules.snapshot(),
            "suppressed": dict(self.suppressed),
            "lessons": self.lessons.snapshot(),
            "last_t_ns": self.last_t_ns,
            "condition": saved(self._condition),
            "peaks": self.peaks.snapshot(),
            "drift": self._drift.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made. What people asked for and the alert always; the rows where this model makes them by the
        same law; what the threshold has learned where the model is the same file, or was in use before."""
        self.alert = alert_snapshot.restore(state["alert"])
        if state.get("budget") is not None:  # there was none before version 0.3, nor what follows
            self.set_budget(state["budget"])
        if "rules" in state:
            self.own_rules.restore(state["rules"])
            self.suppressed = Counter(state["suppressed"])
        if "lessons" in state:
            self.lessons.restore(state["lessons"])
        self.last_t_ns = state["last_t_ns"]
        self.peaks.restore(state.get("peaks"))  # there were none before version 0.3
        self.former = _newest(dict(state.get("former", {})), self.spec.sha256)  # there were none before version 0.3
        self._restore_threshold(state)
        if self.spec.sha256 == state["model"] or self._input.law == state.get("law"):
            self._input.restore(state)
            if "condition" in state:  # there was none before version 0.3
                self._condition = restored(state["condition"])

    def _restore_threshold(self, state: Mapping[str, Any]) -> None:
        if state["model"] == self.spec.sha256:
            self._threshold.restore(state["threshold"])
            self._drift.restore(state.get("drift"))  # there was none before version 0.3
            return
        if self.spec.sha256 in state.get("former", {}):
            self._threshold.restore(state["former"][self.spec.sha256])
        self.former = _newest({**self.former, state["model"]: state["threshold"]}, self.spec.sha256)


def _newest(former: dict[str, Mapping[str, Any]], current: str) -> dict[str, Mapping[str, Any]]:
    """Of the models that were in use before `current`, those that were last, the oldest first."""
    others = [sha256 for sha256 in former if sha256 != current]
    return {sha256: former[sha256] for sha256 in others[-FORMER_KEPT:]}
