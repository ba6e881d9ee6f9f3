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
Operators act beside the table: they acknowledge, shelve, and take an asset out of service. What the owner's rules suppress lives by
the same table, and its steps are withheld: the node knows of them, and subscribers do not. Where it still stands once nothing is against
it any more, it becomes an alert then.
"""

import hashlib
from dataclasses import replace

from edge_ae.core.alert_events import EventType
from edge_ae.core.alert_state import (
    NO_EVIDENCE,
    AlertSource,
    AlertState,
    Cause,
    Condition,
    Episode,
    Evidence,
    Level,
    Phase,
    Shelving,
    Stepped,
    Transition,
)
from edge_ae.core.events import Verdict
from edge_ae.core.rules import AlertRules
from edge_ae.core.suppression import Suppression, cooldown
from edge_ae.core.timestamps import SECOND

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


def level(verdict: Verdict, deadband: float) -> Level:
    """On which side of the two thresholds a verdict is; `deadband`: a part of the threshold."""
    if verdict.ratio >= 1.0:
        return Level.HIGH
    return Level.LOW if verdict.ratio < 1.0 - deadband else Level.MIDDLE


def wants_evidence(state: AlertState, ratio: float) -> bool:
    """Whether the next step needs the explanation of a window with this ratio: it may publish it, or is to remember what it looks like."""
    if ratio < 1.0:
        return False
    episode = state.episode
    if episode is None or episode.ruled_out is not None or ratio >= episode.peak.ratio:
        return True
    return episode.course.wants(ratio)


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
    silenced: Suppression | None = None,
) -> Stepped:
    """One verdict further. `evidence`: the window's, where `wants_evidence` was true; `rules` have their delays; `silenced`: what
    the owner has set against any alert at this time."""
    if condition is None and _only_unwatched(state.episode):
        cleared, end = _clear(replace(state, onset_ns=None), t_ns, rules)
        state, events = step(cleared, verdict, t_ns, rules, source, evidence, None, silenced)
        return state, end + events
    state = _at(state, t_ns, silenced)
    where = level(verdict, rules.deadband) if condition is None else Level.HIGH
    began_ns = t_ns if condition is None else condition.since_ns
    onset = None if where is Level.LOW else (began_ns if state.onset_ns is None else state.onset_ns)
    if onset != state.onset_ns:
        state = replace(state, onset_ns=onset)
    phase = NEXT[state.phase, where]
    if phase is not state.phase:
        state = replace(state, phase=phase, since_ns=t_ns)
    assert rules.on_delay_ns is not None
    held = condition is not None or t_ns - state.since_ns >= rules.on_delay_ns
    if phase is Phase.PENDING and held and where is Level.HIGH:
        return _raise(state, verdict, t_ns, source, evidence, condition)
    if state.episode is None:
        return state, []
    episode = _with_course(_with_peak(state.episode, verdict, t_ns, evidence), verdict, evidence)
    if episode.ruled_out is not None and condition is None:
        episode = _reconsidered(episode, verdict, t_ns, evidence, where, rules.on_delay_ns)
    joins = condition is not None and condition != episode.condition
    if joins:
        episode = replace(episode, condition=condition, ruled_out=None)
    state = replace(state, episode=episode)
    assert rules.off_delay_ns is not None
    if phase is Phase.CLEARING and t_ns - state.since_ns >= rules.off_delay_ns:
        return _clear(state, t_ns, rules)
    if not episode.published:
        return _unpublished(state, t_ns)
    if state.silent:
        return state, []
    if joins:  # subscribers are to know at once
        return _publish(state, EventType.UPDATE, t_ns)
    return _update(state, t_ns, rules, high=where is Level.HIGH)


def _at(state: AlertState, t_ns: int, silenced: Suppression | None) -> AlertState:
    """What is silent at a time, and whether a cooldown is over."""
    against = cooldown(state.cooldown_until_ns, t_ns)
    if against is None and state.cooldown_until_ns is not None:
        state = replace(state, cooldown_until_ns=None)
    silenced = against if silenced is None else silenced
    return state if silenced == state.silenced else replace(state, silenced=silenced)


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
    episode = Episode(
        identity,
        onset,
        t_ns,
        t_ns,
        verdict,
        evidence.shares,
        similar=evidence.similar,
        condition=condition,
        ruled_out=evidence.ruled_out if condition is None else None,
        magnitude=evidence.magnitude,
    )
    episode = _with_course(episode, verdict, evidence)
    return _unpublished(replace(state, phase=Phase.ACTIVE, since_ns=t_ns, episode=episode), t_ns)


def _unpublished(state: AlertState, t_ns: int) -> Stepped:
    """What becomes of an alert that subscribers do not know of: it is new to them now, unless something stands against that."""
    episode, suppression = state.episode, state.suppression
    assert episode is not None
    if suppression is None:
        raised_ns = episode.raised_ns if episode.withheld is None else t_ns
        announced = replace(state, episode=replace(episode, raised_ns=raised_ns))
        return (state, []) if state.silent else _publish(announced, EventType.NEW, t_ns)
    if episode.withheld is None:
        return _withhold(state, EventType.NEW, t_ns, suppression)
    return _withhold(state, EventType.UPDATE, t_ns, suppression) if _has_grown(episode, t_ns) else (state, [])


def _publish(state: AlertState, kind: EventType, t_ns: int) -> Stepped:
    assert state.episode is not None
    episode = replace(_shown(state.episode, t_ns), published=True, seq=state.episode.seq + 1)
    return replace(state, episode=episode), [Transition(kind, episode)]


def _withhold(state: AlertState, kind: EventType, t_ns: int, suppression: Suppression) -> Stepped:
    assert state.episode is not None
    episode = replace(_shown(state.episode, t_ns), withheld=suppression)
    return replace(state, episode=episode), [Transition(kind, episode, suppression=suppression)]


def _shown(episode: Episode, t_ns: int) -> Episode:
    return replace(episode, published_ns=t_ns, published_ratio=episode.peak.ratio)


def _with_course(episode: Episode, verdict: Verdict, evidence: Evidence) -> Episode:
    if verdict.ratio < 1.0:
        return episode
    return replace(episode, course=episode.course.further(verdict.ratio, evidence.signature))


def _with_peak(episode: Episode, verdict: Verdict, t_ns: int, evidence: Evidence) -> Episode:
    if verdict.ratio <= episode.peak.ratio:
        return episode
    known = evidence if evidence.shares else Evidence(episode.shares, episode.similar, magnitude=episode.magnitude)
    return _at_peak(episode, verdict, t_ns, known)


def _at_peak(episode: Episode, verdict: Verdict, t_ns: int, evidence: Evidence) -> Episode:
    known = replace(episode, shares=evidence.shares, similar=evidence.similar, magnitude=evidence.magnitude)
    return replace(known, peak=verdict, peak_ns=t_ns)


def _reconsidered(
    episode: Episode, verdict: Verdict, t_ns: int, evidence: Evidence, where: Level, on_delay_ns: int
) -> Episode:
    """A suppressed alert goes on being so as long as its windows are of channels that do not count.

    Once they have been of one that does, for the on-delay, it is the alert of that window, however high an excused peak was before.
    """
    if where is Level.LOW or evidence.ruled_out is not None:
        # The peak's, or it would change with each window.
        newest = evidence.ruled_out if episode.peak_ns == t_ns else None
        return replace(episode, counted_ns=None, ruled_out=episode.ruled_out if newest is None else newest)
    if where is not Level.HIGH or not evidence.shares:
        return episode
    counted_ns = t_ns if episode.counted_ns is None else episode.counted_ns
    if t_ns - counted_ns < on_delay_ns:
        return replace(episode, counted_ns=counted_ns)
    return replace(_at_peak(episode, verdict, t_ns, evidence), counted_ns=None, ruled_out=None)


def _update(state: AlertState, t_ns: int, rules: AlertRules, *, high: bool) -> Stepped:
    episode = state.episode
    assert episode is not None
    since_ns = t_ns - episode.published_ns
    if since_ns >= UPDATE_EVERY_NS and 0 < rules.re_alarm_ns <= since_ns and not episode.acked and high:
        again = replace(episode, realarms=episode.realarms + 1)
        return _publish(replace(state, episode=again), EventType.UPDATE, t_ns)
    return _publish(state, EventType.UPDATE, t_ns) if _has_grown(episode, t_ns) else (state, [])


def _has_grown(episode: Episode, t_ns: int) -> bool:
    """Whether an update is worth it."""
    late_enough = t_ns - episode.published_ns >= UPDATE_EVERY_NS
    return late_enough and episode.peak.ratio >= episode.published_ratio * UPDATE_GROWTH


def _clear(state: AlertState, t_ns: int, rules: AlertRules) -> Stepped:
    episode = state.episode
    assert episode is not None
    cleared = replace(state, phase=Phase.NORMAL, since_ns=t_ns, episode=None)
    if state.shelving is Shelving.ONE_SHOT:
        cleared = replace(cleared, shelving=Shelving.UNSHELVED, shelved_until_ns=None)
    if not episode.published:
        withheld = episode.withheld
        return cleared, [] if withheld is None else [Transition(EventType.END, episode, t_ns, withheld)]
    if rules.cooldown_ns > 0:
        cleared = replace(cleared, cooldown_until_ns=t_ns + rules.cooldown_ns)
    return cleared, [Transition(EventType.END, replace(episode, seq=episode.seq + 1), t_ns)]


def leave(state: AlertState, t_ns: int, rules: AlertRules) -> Stepped:
    """The asset has left the state in which it is watched: there is nothing that an alert could go on by."""
    left = replace(state, onset_ns=None)
    if state.episode is not None:
        return _clear(left, t_ns, rules)
    return (left if state.phase is Phase.NORMAL else replace(left, phase=Phase.NORMAL, since_ns=t_ns)), []


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


def reconsider(state: AlertState, t_ns: int, silenced: Suppression | None, ruled_out: Suppression | None) -> Stepped:
    """The owner's rules have changed. `ruled_out`: what those of the channels have against the peak of a suppressed alert."""
    episode = state.episode
    if episode is not None and episode.ruled_out is not None:
        state = replace(state, episode=replace(episode, ruled_out=ruled_out))
    return _after_silence(_at(state, t_ns, silenced), t_ns)


def _after_silence(state: AlertState, t_ns: int) -> Stepped:
    """An alert that rose in silence is new to subscribers once the silence ends."""
    return (state, []) if state.episode is None or state.episode.published else _unpublished(state, t_ns)


def set_back(state: AlertState, by_ns: int) -> AlertState:
    """The asset's clock was set back: delays go on from where they were, or they would wait for the old time to return."""
    episode = state.episode
    return replace(
        state,
        since_ns=state.since_ns - by_ns,
        onset_ns=_back(state.onset_ns, by_ns),
        cooldown_until_ns=_back(state.cooldown_until_ns, by_ns),
        episode=None if episode is None else _episode_back(episode, by_ns),
    )


def _episode_back(episode: Episode, by_ns: int) -> Episode:
    return replace(episode, published_ns=episode.published_ns - by_ns, counted_ns=_back(episode.counted_ns, by_ns))


def _back(t_ns: int | None, by_ns: int) -> int | None:
    return None if t_ns is None else t_ns - by_ns
