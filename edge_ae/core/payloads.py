"""What an alert says: the JSON bodies of DESIGN's contract, and the sentence that a technician reads.

Scalars stand at the top, for the many consumers that cannot reach into arrays. Numbers are rounded to six significant digits.
"""

import math
from typing import Any

from edge_ae.core.alert import AlertState, Episode, Phase, Shelving, Told
from edge_ae.core.events import Row, Share, SickChannel, Verdict
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.timestamps import SECOND, rfc3339

SCHEMA = 1
SEVERITY = ((4.0, "high"), (2.0, "medium"), (0.0, "low"))  # peak ratio from here on
CHANNELS_LISTED = 16  # a reader needs the first few; the body stays below a few kB
CHANNELS_IN_REASON = 3
DIGITS, MOST_DIGITS = 4, 8  # of a value in the reason; a float32 has no more
WORTH_NAMING = 0.1  # a share below this is not part of the reason


def significant(value: float) -> float | None:
    """Six significant digits; None, JSON's null, where there is no number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def severity(ratio: float) -> str:
    return next(word for start, word in SEVERITY if ratio >= start)


def reason(shares: tuple[Share, ...]) -> str:
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
    digits = _digits(share.observed, share.expected)
    return f"{share.name} {share.observed:.{digits}g}{unit}, expected {share.expected:.{digits}g} ({side}, {percent} %)"


def _digits(observed: float, expected: float) -> int:
    """Four, and as many more as tell the two apart: 1000030 is not the 1e+06 that was expected."""
    apart, largest = abs(observed - expected), max(abs(observed), abs(expected))
    if not 0.0 < apart <= largest < math.inf:
        return DIGITS
    return min(max(DIGITS, 3 + math.floor(math.log10(largest / apart))), MOST_DIGITS)


def alert_body(node: str, asset: str, spec: ModelSpec, state: AlertState, told: Told | None) -> dict[str, Any]:
    """The alert as it stands. `told`: what is being told of it; None while there is nothing to tell."""
    episode = told.episode if told is not None else state.episode
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "id": None if episode is None else episode.id,
        "type": None if told is None else str(told.type),
        "asset": asset,
        "node": node,
        "state": _state_word(state),
        "acked": episode is not None and episode.acked,
        "shelved": state.shelving is not Shelving.UNSHELVED,
        "shelved_until": None if state.shelved_until_ns is None else rfc3339(state.shelved_until_ns),
    }
    body |= _episode_fields(episode, None if told is None else told.cleared_ns)
    body["model"] = {"name": spec.name, "version": spec.trained_at, "sha256": spec.sha256}
    body["seq"] = 0 if episode is None else episode.seq
    return body


def _state_word(state: AlertState) -> str:
    if not state.in_service:
        return "out_of_service"
    return str(Phase.ACTIVE if state.phase is Phase.CLEARING else state.phase)


def _episode_fields(episode: Episode | None, cleared_ns: int | None) -> dict[str, Any]:
    if episode is None:
        empty = ("severity", "score", "threshold", "ratio", "ts_onset", "ts_raised", "ts_peak", "ts_cleared")
        return dict.fromkeys(
            (*empty, "duration_s", "top_channel", "top_share", "reason", "similar_to", "similar_distance")
        ) | {"channels": []}
    top = episode.shares[0] if episode.shares else None
    last_ns = episode.told_ns if cleared_ns is None else cleared_ns
    return {
        "severity": severity(episode.peak.ratio),
        "score": significant(episode.peak.score),
        "threshold": significant(episode.peak.threshold),
        "ratio": significant(episode.peak.ratio),
        "ts_onset": rfc3339(episode.onset_ns),
        "ts_raised": rfc3339(episode.raised_ns),
        "ts_peak": rfc3339(episode.peak_ns),
        "ts_cleared": None if cleared_ns is None else rfc3339(cleared_ns),
        "duration_s": max(last_ns - episode.onset_ns, 0) / SECOND,
        "top_channel": None if top is None else top.name,
        "top_share": None if top is None else significant(top.share),
        "reason": reason(episode.shares),
        "similar_to": None if episode.similar is None else episode.similar.mode,
        "similar_distance": None if episode.similar is None else significant(episode.similar.distance),
        "channels": [_channel(share) for share in episode.shares[:CHANNELS_LISTED]],
    }


def _channel(share: Share) -> dict[str, Any]:
    return {
        "name": share.name,
        "unit": share.unit,
        "share": significant(share.share),
        "observed": significant(share.observed),
        "expected": significant(share.expected),
        "direction": share.direction,
    }


def score_body(t_ns: int, verdict: Verdict) -> dict[str, Any]:
    return {
        "ts": rfc3339(t_ns),
        "score": significant(verdict.score),
        "threshold": significant(verdict.threshold),
        "ratio": significant(verdict.ratio),
    }


def denoised_body(spec: ModelSpec, row: Row) -> dict[str, Any]:
    """A restored row, flat as a sensor would send it; the time is `ts` even where a channel has that name."""
    values = {name: significant(value) for name, value in zip(spec.names, row.values, strict=True)}
    return values | {"ts": rfc3339(row.slot * spec.period_ns)}


def health_body(
    node: str,
    asset: str,
    spec: ModelSpec,
    sick: tuple[SickChannel, ...],
    watched: bool,
    asset_fault: str | None,
    since_ns: int | None,
) -> dict[str, Any]:
    """`faults`: channel -> fault. `asset_fault`: what is wrong with all channels together. `watched`: it is scored still."""
    return {
        "schema": SCHEMA,
        "asset": asset,
        "node": node,
        "state": "ok" if not sick and asset_fault is None else "fault",
        "watched": watched,
        "asset_fault": asset_fault,
        "asset_fault_since": None if since_ns is None else rfc3339(since_ns),
        "faults": {one.channel: str(one.fault) for one in sick},
        "channels": [
            {"name": one.channel, "fault": str(one.fault), "since": rfc3339(one.since_slot * spec.period_ns)}
            for one in sick
        ],
    }
