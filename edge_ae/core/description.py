"""An alert's state -> the `Alert` that subscribers see, with the sentence in it that a technician reads."""

import math
from collections.abc import Sequence
from dataclasses import replace

from edge_ae.core.alert_events import Alert, AlertWord
from edge_ae.core.alert_state import AlertSource, AlertState, Episode, Phase, Shelving, Transition
from edge_ae.core.events import Share
from edge_ae.core.health_events import CommonStop
from edge_ae.core.model_spec import Similar
from edge_ae.core.timestamps import minute_text, rfc3339

BY_RATIO = ((4.0, "high"), (2.0, "medium"), (0.0, "low"))  # at the peak, from here on
BY_MAGNITUDE = ((10.0, "high"), (5.0, "medium"), (0.0, "low"))  # normal deviations at the peak, from here on
SERIOUS = "medium"  # at least, is what raises an alert whatever the score says
CHANNELS_IN_REASON = 3
WORTH_NAMING = 0.1  # a share below this is not part of the reason
DIGITS, MOST_DIGITS = 4, 8  # of a value in the reason; a float32 has no more


def describe(source: AlertSource, state: AlertState, transition: Transition | None = None) -> Alert:
    """The alert as it stands. `transition`: what is being published of it; None: its present state."""
    episode = state.episode if transition is None else transition.episode
    alert = Alert(
        asset=source.asset,
        node=source.node,
        model=source.model,
        state=_word(state),
        acked=episode is not None and episode.acked,
        shelved=state.shelving is not Shelving.UNSHELVED,
        shelved_until_ns=state.shelved_until_ns,
        type=None if transition is None else transition.type,
        suppression=state.suppression if transition is None else transition.suppression,
    )
    cleared_ns = None if transition is None else transition.cleared_ns
    return alert if episode is None else _with_episode(alert, episode, cleared_ns)


def _word(state: AlertState) -> AlertWord:
    if not state.in_service:
        return AlertWord.OUT_OF_SERVICE
    if state.suppression is not None:
        return AlertWord.SUPPRESSED
    return AlertWord.ACTIVE if state.phase is Phase.CLEARING else AlertWord(state.phase)


def _with_episode(alert: Alert, episode: Episode, cleared_ns: int | None) -> Alert:
    last_ns = episode.published_ns if cleared_ns is None else cleared_ns
    return replace(
        alert,
        id=episode.id,
        seq=episode.seq,
        severity=_severity(episode),
        score=episode.peak.score,
        threshold=episode.peak.threshold,
        ratio=episode.peak.ratio,
        magnitude=episode.magnitude,
        onset_ns=episode.onset_ns,
        raised_ns=episode.raised_ns,
        peak_ns=episode.peak_ns,
        cleared_ns=cleared_ns,
        duration_ns=max(last_ns - episode.onset_ns, 0),
        channels=episode.shares,
        reason=_reason(episode),
        similar=episode.similar,
        cause=str(episode.cause),
    )


def _reason(episode: Episode) -> str:
    """What stands whatever the score says comes first; then the score's, where it has one; then what was like it before."""
    stands = [] if episode.condition is None else [episode.condition.text]
    score = [reason(episode.shares)] if episode.shares or not stands else []
    similar = episode.similar
    named = [] if similar is None or similar.count == 0 else [similar_text(similar)]
    return "; ".join([*stands, *score, *named])


def similar_text(similar: Similar) -> str:
    """Such as "similar to: closing valve (3 times, last 2026-11-02)"."""
    often = "once" if similar.count == 1 else f"{similar.count} times"
    last = "" if similar.last_ns is None else f", last {rfc3339(similar.last_ns)[:10]}"
    return f"similar to: {similar.mode} ({often}{last})"


def stop_text(stop: CommonStop, period_ns: int) -> str:
    """Such as "25 of 52 channels stopped moving together at 2026-11-24 14:03 UTC: flow, speed, level and 22 more"."""
    count, named = len(stop.channels), ", ".join(stop.channels[:CHANNELS_IN_REASON])
    more = f" and {count - CHANNELS_IN_REASON} more" if count > CHANNELS_IN_REASON else ""
    when = minute_text(stop.since_slot * period_ns)
    return f"{count} of {stop.of} channels stopped moving together at {when}: {named}{more}"


def _severity(episode: Episode) -> str:
    word = severity(episode.peak.ratio, episode.magnitude)
    return SERIOUS if episode.condition is not None and word == "low" else word


def severity(ratio: float, magnitude: float | None = None) -> str:
    """ "low", "medium" or "high", by how far an alert's peak is from normal; where nobody knows, by its ratio. Both are 0 or more."""
    value, table = (ratio, BY_RATIO) if magnitude is None else (magnitude, BY_MAGNITUDE)
    return next(word for start, word in table if value >= start)


def reason(shares: Sequence[Share]) -> str:
    """Such as "flow 3.1 m3/h, expected 4.2 (low, 62 % of the deviation); vibration 9 mm/s, expected 2 (high, 31 %)"."""
    named = [s for s in shares[:CHANNELS_IN_REASON] if s.share >= WORTH_NAMING] or list(shares[:1])
    if not named:
        return "the reconstruction error exceeds its threshold"
    first, *rest = (_clause(share) for share in named)
    return "; ".join([first.replace(" %)", " % of the deviation)"), *rest])


def _clause(share: Share) -> str:
    unit = f" {share.unit}" if share.unit else ""
    side = {"high": "high", "low": "low", "none": "changed pattern"}[share.direction]
    percent = round(100 * share.share)
    if share.unusual:
        return f"{share.name} {share.observed:.{DIGITS}g}{unit}, {share.unusual} ({percent} %)"
    digits = _digits(share.observed, share.expected)
    return f"{share.name} {share.observed:.{digits}g}{unit}, expected {share.expected:.{digits}g} ({side}, {percent} %)"


def _digits(observed: float, expected: float) -> int:
    """Four, and as many more as make the two differ: 1000030 is not the 1e+06 that was expected."""
    apart, largest = abs(observed - expected), max(abs(observed), abs(expected))
    if not 0.0 < apart <= largest < math.inf:
        return DIGITS
    return min(max(DIGITS, 3 + math.floor(math.log10(largest / apart))), MOST_DIGITS)
