"""Verdicts -> the life of an alert, in the words of OPC UA Part 9 (ISA-18.2). One table, one frozen state.

              HIGH                    HIGH for on-delay             LOW
    NORMAL ─────────► PENDING ───────────────────────► ACTIVE ─────────► CLEARING
       ▲      LOW        │                               ▲      HIGH        │
       └─────────────────┘                               └──────────────────┘
       └────────────────────────────── LOW for off-delay ───────────────────┘

HIGH is ratio >= 1; LOW is ratio < 1 - deadband; in between nothing changes, and delays run on. `step` is pure: it takes a state and
gives the next one and what to publish, so that a caller may also ask "what if". A `Condition`, such as that half of the channels
stopped together, is HIGH as long as it stands, whatever the score says, and raises at once, for it took its time to show. All times are event times, but for those of
shelving: people shelve by the clock on the wall, and an asset that sends nothing is shelved no shorter and no longer.
Operators act beside the table: they acknowledge, shelve, and take an asset out of service.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from edge_ae.core.events import EventType, ModelName, Share, Verdict
from edge_ae.core.model_spec import Similar
from edge_ae.core.timestamps import SECOND


class Phase(StrEnum):
    """Where in its life an alert is; CLEARING is active still."""

    NORMAL = "normal"
    PENDING = "pending"
    ACTIVE = "active"
    CLEARING = "clearing"


class Level(StrEnum):
    """A ratio against the two thresholds, 1 and 1 - deadband."""

    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"


class Cause(StrEnum):
    """What an alert was raised for."""

    SCORE = "score"
    STOPPED = "stopped_together"  # channels that stopped moving together: the machine, or what brings the readings
    UNWATCHED = "unwatched"  # the asset has had no score for long


class Shelving(StrEnum):
    """For how long an operator has silenced an asset."""

    UNSHELVED = "unshelved"
    ONE_SHOT = "one_shot"  # until the next return to normal
    TIMED = "timed"


NEXT = {
    (Phase.NORMAL, Level.HIGH): Phase.PENDING,
    (Phase.NORMAL, Level.MIDDLE): Phase.NORMAL,
    (Phase.NORMAL, Level.LOW): Phase.NORMAL,
    (Phase.PENDING, Level.HIGH): Phase.PENDING,
    (Phase.PENDING, Level.MIDDLE): Phase.PENDING,
    (Phase.PENDING, Level.LOW): Phase.NORMAL,
    (Phase.ACTIVE, Level.HIGH): Phase.ACTIVE,
    (Phase.ACTIVE, Level.MIDDLE): Phase.ACTIVE,
    (Phase.ACTIVE, Level.LOW): Phase.CLEARING,
    (Phase.CLEARING, Level.HIGH): Phase.ACTIVE,
    (Phase.CLEARING, Level.MIDDLE): Phase.CLEARING,
    (Phase.CLEARING, Level.LOW): Phase.CLEARING,
}  # held long enough: promote, see step()

UPDATE_EVERY_NS = 60 * SECOND  # An episode's updates are at least this far apart.
UPDATE_GROWTH = 1.25  # An update is worth it where the peak has grown by this factor since the last event.

BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/|per)\s*(hour|day|week|month)\s*", re.I)
LONGEST_BUDGET_NS = 100 * 8766 * 3600 * SECOND  # a hundred years; sums of it and a time must stay within 64 bits
HOURS = {"hour": 1.0, "day": 24.0, "week": 168.0, "month": 365.2425 * 24 / 12}  # a month: the calendar's mean


@dataclass(frozen=True, slots=True)
class AlertSource:
    """What an alert is of; with its onset, this is what its id is made from."""

    node: str
    asset: str
    model: ModelName


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a window's explanation gives: the channels by their part in the score, and the nearest operating mode."""

    shares: tuple[Share, ...] = ()
    similar: Similar | None = None


NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True)
class Condition:
    """What raises an alert whatever the score says: its cause, the event time since which it stands, a sentence on it."""

    cause: Cause
    since_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The owner's settings. `interval_ns`: mean time between the alerts that the owner accepts on normal data.

    `unwatched_ns`: an asset without a score for so long has an alert, too. None: for an hour in which readings come all the
    while; 0: never.
    """

    interval_ns: int
    on_delay_ns: int = 0
    off_delay_ns: int | None = None  # None: the detector puts ten windows' hops in its place
    deadband: float = 0.2
    re_alarm_ns: int = 0  # 0: never
    max_shelve_ns: int = 8 * 3600 * SECOND
    unwatched_ns: int | None = 0


def budget_ns(text: str) -> int:
    """The mean time between alerts that a budget such as "1/week" or "2 per day" asks for; ValueError."""
    match = BUDGET.fullmatch(text)
    hours = 0.0 if match is None or float(match[1]) == 0 else HOURS[match[2].lower()] / float(match[1])
    interval_ns = hours * 3600 * SECOND
    if not 1 <= interval_ns <= LONGEST_BUDGET_NS:
        raise ValueError('should be a number of alerts per hour, day, week or month, such as "1/week"')
    return round(interval_ns)


@dataclass(frozen=True, slots=True)
class Episode:
    """One excursion that became an alert.

    `published`: subscribers know of it, so they must get its end. `published_ns`, `published_ratio`: the event time and the
    peak's ratio of the last event. `condition`: the last one that stood; None: it is the score's alone.
    """

    id: str
    onset_ns: int
    raised_ns: int
    peak_ns: int
    peak: Verdict
    shares: tuple[Share, ...]
    seq: int = 0
    published: bool = False
    published_ns: int = 0
    published_ratio: float = 0.0
    acked: bool = False
    realarms: int = 0
    similar: Similar | None = None
    condition: Condition | None = None

    @property
    def cause(self) -> Cause:
        """What it was raised for, or what has joined it since."""
        return Cause.SCORE if self.condition is None else self.condition.cause


@dataclass(frozen=True, slots=True)
class AlertState:
    """All there is to know of an asset's alert. `shelved_until_ns` is a time of the wall clock."""

    phase: Phase = Phase.NORMAL
    since_ns: int = 0  # when the phase, or its run of HIGH or LOW, began
    onset_ns: int | None = None  # first row of the present run of windows that are not LOW
    episode: Episode | None = None
    shelving: Shelving = Shelving.UNSHELVED
    shelved_until_ns: int | None = None
    in_service: bool = True

    @property
    def active(self) -> bool:
        """Whether there is an alert."""
        return self.phase in (Phase.ACTIVE, Phase.CLEARING)

    @property
    def silent(self) -> bool:
        """Whether nothing new is published of it."""
        return self.shelving is not Shelving.UNSHELVED or not self.in_service


@dataclass(frozen=True, slots=True)
class Transition:
    """A step in an alert's life that subscribers are to know of: its type, and the episode as it stands with it."""

    type: EventType
    episode: Episode
    cleared_ns: int | None = None


Stepped = tuple[AlertState, list[Transition]]


def level(verdict: Verdict, deadband: float) -> Level:
    """On which side of the two thresholds a verdict is; `deadband`: a part of the threshold."""
    if verdict.ratio >= 1.0:
        return Level.HIGH
    return Level.LOW if verdict.ratio < 1.0 - deadband else Level.MIDDLE


def wants_evidence(state: AlertState, verdict: Verdict) -> bool:
    """Whether the next step may publish this window, so that it needs the window's explanation."""
    if verdict.ratio < 1.0:
        return False
    return state.episode is None or verdict.ratio >= state.episode.peak.ratio


def alert_id(source: AlertSource, onset_ns: int, cause: Cause = Cause.SCORE) -> str:
    """The same excursion has the same id in every run over the same data."""
    facts = (source.node, source.asset, source.model.sha256, str(onset_ns))
    key = "\n".join(facts if cause is Cause.SCORE else (*facts, cause))
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def step(
    state: AlertState,
    verdict: Verdict,
    t_ns: int,
    rules: AlertRules,
    source: AlertSource,
    evidence: Evidence = NO_EVIDENCE,
    condition: Condition | None = None,
) -> Stepped:
    """One verdict further. `evidence`: the window's, where `wants_evidence` was true; `rules` have their off-delay."""
    if condition is None and _only_unwatched(state.episode):
        cleared, end = _clear(replace(state, onset_ns=None), t_ns)
        state, events = step(cleared, verdict, t_ns, rules, source, evidence)
        return state, end + events
    where = level(verdict, rules.deadband) if condition is None else Level.HIGH
    began_ns = t_ns if condition is None else condition.since_ns
    onset = None if where is Level.LOW else (began_ns if state.onset_ns is None else state.onset_ns)
    if onset != state.onset_ns:
        state = replace(state, onset_ns=onset)
    phase = NEXT[state.phase, where]
    if phase is not state.phase:
        state = replace(state, phase=phase, since_ns=t_ns)
    held = condition is not None or t_ns - state.since_ns >= rules.on_delay_ns
    if phase is Phase.PENDING and held and where is Level.HIGH:
        return _raise(state, verdict, t_ns, source, evidence, condition)
    if state.episode is None:
        return state, []
    episode = _with_peak(state.episode, verdict, t_ns, evidence)
    state = replace(state, episode=episode)
    if condition is not None and condition != episode.condition:
        return _join(state, condition, t_ns)
    assert rules.off_delay_ns is not None
    if phase is Phase.CLEARING and t_ns - state.since_ns >= rules.off_delay_ns:
        return _clear(state, t_ns)
    return _update(state, t_ns, rules, high=where is Level.HIGH)


def _only_unwatched(episode: Episode | None) -> bool:
    """Whether an alert says that there was no score, and nothing else: with a score it is over at once."""
    return episode is not None and episode.cause is Cause.UNWATCHED and episode.peak.ratio < 1.0


def _raise(
    state: AlertState,
    verdict: Verdict,
    t_ns: int,
    source: AlertSource,
    evidence: Evidence,
    condition: Condition | None,
) -> Stepped:
    onset = t_ns if state.onset_ns is None else state.onset_ns
    identity = alert_id(source, onset, Cause.SCORE if condition is None else condition.cause)
    parts = (verdict, evidence.shares)
    episode = Episode(identity, onset, t_ns, t_ns, *parts, similar=evidence.similar, condition=condition)
    state = replace(state, phase=Phase.ACTIVE, since_ns=t_ns, episode=episode)
    return (state, []) if state.silent else _publish(state, EventType.NEW, t_ns)


def _publish(state: AlertState, kind: EventType, t_ns: int) -> Stepped:
    assert state.episode is not None
    episode = replace(
        state.episode,
        published=True,
        published_ns=t_ns,
        published_ratio=state.episode.peak.ratio,
        seq=state.episode.seq + 1,
    )
    return replace(state, episode=episode), [Transition(kind, episode)]


def _join(state: AlertState, condition: Condition, t_ns: int) -> Stepped:
    """A condition stands now in an alert that is there already: subscribers are to know at once."""
    assert state.episode is not None
    joined = replace(state, episode=replace(state.episode, condition=condition))
    known = not state.silent and state.episode.published
    return _publish(joined, EventType.UPDATE, t_ns) if known else (joined, [])


def _with_peak(episode: Episode, verdict: Verdict, t_ns: int, evidence: Evidence) -> Episode:
    if verdict.ratio <= episode.peak.ratio:
        return episode
    known = evidence if evidence.shares else Evidence(episode.shares, episode.similar)
    return replace(episode, peak=verdict, peak_ns=t_ns, shares=known.shares, similar=known.similar)


def _update(state: AlertState, t_ns: int, rules: AlertRules, *, high: bool) -> Stepped:
    episode = state.episode
    assert episode is not None
    since_ns = t_ns - episode.published_ns
    if state.silent or not episode.published or since_ns < UPDATE_EVERY_NS:
        return state, []
    if 0 < rules.re_alarm_ns <= since_ns and not episode.acked and high:
        again = replace(episode, realarms=episode.realarms + 1)
        return _publish(replace(state, episode=again), EventType.UPDATE, t_ns)
    if episode.peak.ratio >= episode.published_ratio * UPDATE_GROWTH:
        return _publish(state, EventType.UPDATE, t_ns)
    return state, []


def _clear(state: AlertState, t_ns: int) -> Stepped:
    episode = state.episode
    assert episode is not None
    end = Transition(EventType.END, replace(episode, seq=episode.seq + 1), t_ns)
    cleared = replace(state, phase=Phase.NORMAL, since_ns=t_ns, episode=None)
    if state.shelving is Shelving.ONE_SHOT:
        cleared = replace(cleared, shelving=Shelving.UNSHELVED, shelved_until_ns=None)
    return cleared, [end] if episode.published else []


# -- what operators do; `t_ns`: the asset's event time, `now_ns`: the wall clock ---------------------------------


def acknowledge(state: AlertState, t_ns: int) -> Stepped:
    """An operator has seen it: no re-alarm any more. Published as an update where the alert is known."""
    if state.episode is None or state.episode.acked:
        return state, []
    known = state.episode.published
    state = replace(state, episode=replace(state.episode, acked=True))
    return _publish(state, EventType.UPDATE, t_ns) if known else (state, [])


def shelve(state: AlertState, now_ns: int, duration_ns: int | None, rules: AlertRules) -> AlertState:
    """Silence the asset for a time, or until its next return to normal (None); for `max_shelve_ns` at most."""
    kind = Shelving.ONE_SHOT if duration_ns is None else Shelving.TIMED
    longest = rules.max_shelve_ns if duration_ns is None else min(duration_ns, rules.max_shelve_ns)
    return replace(state, shelving=kind, shelved_until_ns=now_ns + longest)


def unshelve(state: AlertState, t_ns: int) -> Stepped:
    """End the silence of shelving."""
    return _after_silence(replace(state, shelving=Shelving.UNSHELVED, shelved_until_ns=None), t_ns)


def expire_shelving(state: AlertState, now_ns: int, t_ns: int, rules: AlertRules) -> Stepped:
    """End the shelving when its time has come.

    Where the wall clock was set back, what is left is cut to the longest that the owner allows.
    """
    until_ns = state.shelved_until_ns
    if until_ns is None:
        return state, []
    if now_ns >= until_ns:
        return unshelve(state, t_ns)
    longest_ns = now_ns + rules.max_shelve_ns
    return (replace(state, shelved_until_ns=longest_ns), []) if until_ns > longest_ns else (state, [])


def set_service(state: AlertState, in_service: bool, t_ns: int) -> Stepped:
    """Out of service: silent until put back."""
    return _after_silence(replace(state, in_service=in_service), t_ns)


def _after_silence(state: AlertState, t_ns: int) -> Stepped:
    """An alert that rose in silence is new to subscribers once the silence ends."""
    if state.silent or state.episode is None or state.episode.published:
        return state, []
    return _publish(state, EventType.NEW, t_ns)


def set_back(state: AlertState, by_ns: int) -> AlertState:
    """The asset's clock was set back: delays go on from where they were, or they would wait for the old time to return."""
    episode, onset = state.episode, state.onset_ns
    return replace(
        state,
        since_ns=state.since_ns - by_ns,
        onset_ns=None if onset is None else onset - by_ns,
        episode=None if episode is None else replace(episode, published_ns=episode.published_ns - by_ns),
    )


# -- restarts --------------------------------------------------------------------------------------------------

STATE = tuple(field.name for field in fields(AlertState))
RENAMED = {"told": "published", "told_ns": "published_ns", "told_ratio": "published_ratio"}  # since version 0.1


def snapshot(state: AlertState) -> dict[str, Any]:
    """Deep where there is an alert; most of the time there is none."""
    shallow = {name: getattr(state, name) for name in STATE}
    return shallow | {"episode": None if state.episode is None else asdict(state.episode)}


def restore(state: Mapping[str, Any]) -> AlertState:
    """The state of a snapshot, of version 0.1 too."""
    episode = None if state["episode"] is None else _episode(state["episode"])
    kept = {"phase": Phase(state["phase"]), "shelving": Shelving(state["shelving"]), "episode": episode}
    return AlertState(**(dict(state) | kept))


def _episode(saved: Mapping[str, Any]) -> Episode:
    similar, condition = saved.get("similar"), saved.get("condition")
    parts = {
        "peak": Verdict(**saved["peak"]),
        "shares": tuple(_share(share) for share in saved["shares"]),
        "similar": None if similar is None else Similar(**similar),
        "condition": None if condition is None else condition_of(condition),
    }
    return Episode(**({RENAMED.get(name, name): value for name, value in saved.items()} | parts))


def _share(saved: Mapping[str, Any]) -> Share:
    """JSON has no NaN, which is what a channel without a value in the whole window showed: it comes back as None."""
    known: dict[str, Any] = {name: math.nan if value is None else value for name, value in saved.items()}
    return Share(**known)


def condition_of(saved: Mapping[str, Any]) -> Condition:
    """The condition whose fields were kept."""
    return Condition(**(dict(saved) | {"cause": Cause(saved["cause"])}))
