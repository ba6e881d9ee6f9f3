"""Verdicts -> the life of an alert, in the words of OPC UA Part 9 (ISA-18.2). One table, one frozen state.

              HIGH                    HIGH for on-delay             LOW
    NORMAL ─────────► PENDING ───────────────────────► ACTIVE ─────────► CLEARING
       ▲      LOW        │                               ▲      HIGH        │
       └─────────────────┘                               └──────────────────┘
       └────────────────────────────── LOW for off-delay ───────────────────┘

HIGH is ratio >= 1; LOW is ratio < 1 - deadband; in between nothing changes, and delays run on. `step` is pure: it takes a state and
gives the next one and what to tell, so that a caller may also ask "what if". All times are event times.
Operators act beside the table: they acknowledge, shelve, and take an asset out of service.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from edge_ae.core.events import EventType, Share, Verdict
from edge_ae.core.model_spec import Similar
from edge_ae.core.timestamps import SECOND


class Phase(StrEnum):
    NORMAL = "normal"
    PENDING = "pending"
    ACTIVE = "active"
    CLEARING = "clearing"


class Level(StrEnum):
    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"


class Shelving(StrEnum):
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

UPDATE_EVERY_NS = 60 * SECOND  # an episode's updates are at least this far apart,
UPDATE_GROWTH = 1.25  # and each tells of a peak this much higher

BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/|per)\s*(hour|day|week|month)\s*", re.I)
HOURS = {"hour": 1, "day": 24, "week": 168, "month": 720}


Why = tuple[tuple[Share, ...], Similar | None]  # what a window's explanation says


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The owner's settings. `interval_ns`: mean time between the alerts that the owner accepts on normal data."""

    interval_ns: int
    on_delay_ns: int = 0
    off_delay_ns: int | None = None  # None: ten windows' hops
    deadband: float = 0.2
    re_alarm_ns: int = 0  # 0: never
    max_shelve_ns: int = 8 * 3600 * SECOND


def budget_ns(text: str) -> int:
    """The mean time between alerts that a budget such as "1/week" or "2 per day" asks for; ValueError."""
    match = BUDGET.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise ValueError('should be a number of alerts per hour, day, week or month, such as "1/week"')
    return round(HOURS[match[2].lower()] * 3600 * SECOND / float(match[1]))


@dataclass(frozen=True, slots=True)
class Episode:
    """One excursion that became an alert. `told`: subscribers know of it, so they must hear its end."""

    id: str
    onset_ns: int
    raised_ns: int
    peak_ns: int
    peak: Verdict
    shares: tuple[Share, ...]
    seq: int = 0
    told: bool = False
    told_ns: int = 0
    told_ratio: float = 0.0
    acked: bool = False
    realarms: int = 0
    similar: Similar | None = None


@dataclass(frozen=True, slots=True)
class AlertState:
    phase: Phase = Phase.NORMAL
    since_ns: int = 0  # when the phase, or its run of HIGH or LOW, began
    onset_ns: int | None = None  # first row of the present run of windows that are not LOW
    episode: Episode | None = None
    shelving: Shelving = Shelving.UNSHELVED
    shelved_until_ns: int | None = None
    in_service: bool = True

    @property
    def active(self) -> bool:
        return self.phase in (Phase.ACTIVE, Phase.CLEARING)

    @property
    def silent(self) -> bool:
        return self.shelving is not Shelving.UNSHELVED or not self.in_service


@dataclass(frozen=True, slots=True)
class Told:
    """What a step makes known: the type of event, and the episode as it stands with it."""

    type: EventType
    episode: Episode
    cleared_ns: int | None = None


def level(verdict: Verdict, deadband: float) -> Level:
    if verdict.ratio >= 1.0:
        return Level.HIGH
    return Level.LOW if verdict.ratio < 1.0 - deadband else Level.MIDDLE


def wants_shares(state: AlertState, verdict: Verdict) -> bool:
    """Whether the next step may tell of this window, so that it needs the window's explanation."""
    if verdict.ratio < 1.0:
        return False
    return state.episode is None or verdict.ratio >= state.episode.peak.ratio


def alert_id(node: str, asset: str, model: str, onset_ns: int) -> str:
    """The same excursion has the same id in every run over the same data."""
    key = "\n".join((node, asset, model, str(onset_ns)))
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def step(
    state: AlertState,
    verdict: Verdict,
    t_ns: int,
    rules: AlertRules,
    off_delay_ns: int,
    names: tuple[str, str, str],
    shares: Sequence[Share] = (),
    similar: Similar | None = None,
) -> tuple[AlertState, list[Told]]:
    """One verdict further. `names`: node, asset, model; `shares`, `similar`: the window's, where `wants_shares` said so."""
    why = tuple(shares), similar
    state = _unshelve_when_due(state, t_ns)
    state, told_unshelved = tell_unshelved(state, t_ns)
    where = level(verdict, rules.deadband)
    onset = None if where is Level.LOW else (t_ns if state.onset_ns is None else state.onset_ns)
    if onset != state.onset_ns:
        state = replace(state, onset_ns=onset)
    phase = NEXT[state.phase, where]
    if phase is not state.phase:
        state = replace(state, phase=phase, since_ns=t_ns)
    if phase is Phase.PENDING and t_ns - state.since_ns >= rules.on_delay_ns and where is Level.HIGH:
        return _raise(state, verdict, t_ns, names, why)
    if state.episode is None:
        return state, []
    state = replace(state, episode=_with_peak(state.episode, verdict, t_ns, why))
    if phase is Phase.CLEARING and t_ns - state.since_ns >= off_delay_ns:
        state, told = _clear(state, t_ns)
        return state, told_unshelved + told
    state, told = _update(state, verdict, t_ns, rules)
    return state, told_unshelved or told


def _raise(
    state: AlertState, verdict: Verdict, t_ns: int, names: tuple[str, str, str], why: Why
) -> tuple[AlertState, list[Told]]:
    onset = t_ns if state.onset_ns is None else state.onset_ns
    shares, similar = why
    episode = Episode(alert_id(*names, onset), onset, t_ns, t_ns, verdict, shares, similar=similar)
    state = replace(state, phase=Phase.ACTIVE, since_ns=t_ns, episode=episode)
    return (state, []) if state.silent else _tell(state, EventType.NEW, t_ns)


def _tell(state: AlertState, kind: EventType, t_ns: int) -> tuple[AlertState, list[Told]]:
    assert state.episode is not None
    episode = replace(
        state.episode,
        told=True,
        told_ns=t_ns,
        told_ratio=state.episode.peak.ratio,
        seq=state.episode.seq + 1,
    )
    return replace(state, episode=episode), [Told(kind, episode)]


def _with_peak(episode: Episode, verdict: Verdict, t_ns: int, why: Why) -> Episode:
    if verdict.ratio <= episode.peak.ratio:
        return episode
    shares, similar = why if why[0] else (episode.shares, episode.similar)
    return replace(episode, peak=verdict, peak_ns=t_ns, shares=shares, similar=similar)


def _update(state: AlertState, verdict: Verdict, t_ns: int, rules: AlertRules) -> tuple[AlertState, list[Told]]:
    episode = state.episode
    assert episode is not None
    if state.silent or not episode.told or t_ns - episode.told_ns < UPDATE_EVERY_NS:
        return state, []
    if 0 < rules.re_alarm_ns <= t_ns - episode.told_ns and not episode.acked and verdict.ratio >= 1.0:
        return _tell(replace(state, episode=replace(episode, realarms=episode.realarms + 1)), EventType.UPDATE, t_ns)
    if episode.peak.ratio >= episode.told_ratio * UPDATE_GROWTH:
        return _tell(state, EventType.UPDATE, t_ns)
    return state, []


def _clear(state: AlertState, t_ns: int) -> tuple[AlertState, list[Told]]:
    episode = state.episode
    assert episode is not None
    told = [Told(EventType.END, replace(episode, seq=episode.seq + 1), t_ns)] if episode.told else []
    cleared = replace(state, phase=Phase.NORMAL, since_ns=t_ns, episode=None)
    return unshelve(cleared) if state.shelving is Shelving.ONE_SHOT else cleared, told


def _unshelve_when_due(state: AlertState, now_ns: int) -> AlertState:
    until = state.shelved_until_ns
    return unshelve(state) if until is not None and now_ns >= until else state


def tell_unshelved(state: AlertState, t_ns: int) -> tuple[AlertState, list[Told]]:
    """An alert that rose in silence is told as new once the silence ends."""
    if state.silent or state.episode is None or state.episode.told:
        return state, []
    return _tell(state, EventType.NEW, t_ns)


def acknowledge(state: AlertState, t_ns: int) -> tuple[AlertState, list[Told]]:
    """An operator has seen it: no re-alarm any more. Told as an update where the alert is known."""
    if state.episode is None or state.episode.acked:
        return state, []
    state = replace(state, episode=replace(state.episode, acked=True))
    known = state.episode is not None and state.episode.told
    return _tell(state, EventType.UPDATE, t_ns) if known else (state, [])


def shelve(state: AlertState, now_ns: int, duration_ns: int | None, rules: AlertRules) -> AlertState:
    """Silence the asset for a time, or until its next return to normal (None); for `max_shelve_ns` at most."""
    kind = Shelving.ONE_SHOT if duration_ns is None else Shelving.TIMED
    longest = rules.max_shelve_ns if duration_ns is None else min(duration_ns, rules.max_shelve_ns)
    return replace(state, shelving=kind, shelved_until_ns=now_ns + longest)


def unshelve(state: AlertState) -> AlertState:
    return replace(state, shelving=Shelving.UNSHELVED, shelved_until_ns=None)


def set_back(state: AlertState, by_ns: int) -> AlertState:
    """The asset's clock was set back: delays go on from where they were, or they would wait for the old time to return."""
    episode, onset, until = state.episode, state.onset_ns, state.shelved_until_ns
    return replace(
        state,
        since_ns=state.since_ns - by_ns,
        onset_ns=None if onset is None else onset - by_ns,
        shelved_until_ns=None if until is None else until - by_ns,
        episode=None if episode is None else replace(episode, told_ns=episode.told_ns - by_ns),
    )


STATE = tuple(field.name for field in fields(AlertState))


def snapshot(state: AlertState) -> dict[str, Any]:
    """Deep where there is an alert; most of the time there is none."""
    shallow = {name: getattr(state, name) for name in STATE}
    return shallow | {"episode": None if state.episode is None else asdict(state.episode)}


def restore(state: Mapping[str, Any]) -> AlertState:
    episode = state["episode"]
    if episode is not None:
        similar = episode.get("similar")
        parts = {
            "peak": Verdict(**episode["peak"]),
            "shares": tuple(Share(**share) for share in episode["shares"]),
            "similar": None if similar is None else Similar(**similar),
        }
        episode = Episode(**(dict(episode) | parts))
    kept = {"phase": Phase(state["phase"]), "shelving": Shelving(state["shelving"]), "episode": episode}
    return AlertState(**(dict(state) | kept))
