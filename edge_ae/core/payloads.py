"""Events -> JSON-ready dicts, as the contract of the topics has them: the only maker of these shapes.

Scalars stand at the top, for the many consumers that cannot reach into arrays. Numbers are rounded to six significant
digits; times are RFC 3339 UTC with milliseconds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from edge_ae.core.alert_events import Alert, AlertWord, EventType, FloodSummary, OtherBudgets
from edge_ae.core.events import Row, Share, Signals, Verdict
from edge_ae.core.health_events import AssetHealth
from edge_ae.core.lesson_events import LessonInForce
from edge_ae.core.model_spec import Floats, ModelSpec
from edge_ae.core.rules import RuleInForce
from edge_ae.core.suppression import Silence
from edge_ae.core.timestamps import SECOND, parse_time_ns, rfc3339

SCHEMA = 1
DEFAULT_BUDGET = "default"  # where no command has set another than that of the settings
SEVERITY_LEVELS = {None: 0, "low": 1, "medium": 2, "high": 3}  # for consumers that take numbers alone
OF_A_PAST_ALERT = (
    "id",
    "ts_onset",
    "ts_raised",
    "ts_cleared",
    "duration_s",
    "ratio",
    "severity",
    "top_channel",
    "reason",
)
REASON_OF_A_LESSON = 120  # characters; health, which is retained, repeats those of all lessons each time
CHANNELS_LISTED = 16  # a reader needs the first few; the payload stays below a few kB


def significant(value: float | None) -> float | None:
    """Six significant digits; None, JSON's null, where there is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _time(t_ns: int | None) -> str | None:
    return None if t_ns is None else rfc3339(t_ns)


def alert_payload(alert: Alert) -> dict[str, Any]:
    """What the topics `alert` and `event` say."""
    top = alert.channels[0] if alert.channels else None
    return {
        "schema": SCHEMA,
        "id": alert.id,
        "type": None if alert.type is None else str(alert.type),
        "asset": alert.asset,
        "node": alert.node,
        "state": str(alert.state),
        "active": int(alert.state is AlertWord.ACTIVE),
        "suppressed": alert.suppression is not None,
        "suppressed_by": None if alert.suppression is None else alert.suppression.text,
        "acked": alert.acked,
        "shelved": alert.shelved,
        "shelved_until": _time(alert.shelved_until_ns),
        "severity": alert.severity,
        "severity_level": SEVERITY_LEVELS[alert.severity if alert.suppression is None else None],
        "score": significant(alert.score),
        "threshold": significant(alert.threshold),
        "ratio": significant(alert.ratio),
        "magnitude": significant(alert.magnitude),
        "quality": significant(alert.quality),
        "ts_onset": _time(alert.onset_ns),
        "ts_raised": _time(alert.raised_ns),
        "ts_peak": _time(alert.peak_ns),
        "ts_cleared": _time(alert.cleared_ns),
        "duration_s": None if alert.duration_ns is None else alert.duration_ns / SECOND,
        "top_channel": None if top is None else top.name,
        "top_share": None if top is None else significant(top.share),
        "reason": alert.reason,
        "cause": alert.cause,
        "similar_to": None if alert.similar is None else alert.similar.mode,
        "similar_distance": None if alert.similar is None else significant(alert.similar.distance),
        "similar_count": 0 if alert.similar is None else alert.similar.count,
        "similar_last": None if alert.similar is None else _time(alert.similar.last_ns),
        "channels": [_channel(share) for share in alert.channels[:CHANNELS_LISTED]],
        "model": {"name": alert.model.name, "version": alert.model.version, "sha256": alert.model.sha256},
        "seq": alert.seq,
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


def ended(payload: Mapping[str, Any], t_ns: int) -> dict[str, Any]:
    """The end, at `t_ns`, of an alert of which only what was published last is left: an `alert_payload` that is no end."""
    changes = {
        "type": str(EventType.END),
        "state": str(AlertWord.NORMAL),
        "active": 0,
        "ts_cleared": rfc3339(t_ns),
        "duration_s": max(t_ns - parse_time_ns(payload["ts_onset"]), 0) / SECOND,
        "seq": payload["seq"] + 1,
    }
    return dict(payload) | changes


def flood_payload(summary: FloodSummary) -> dict[str, Any]:
    """What the topic `flood` says."""
    return {
        "schema": SCHEMA,
        "id": summary.id,
        "type": str(summary.type),
        "node": summary.node,
        "count": summary.count,
        "assets": list(summary.assets),
        "ts_onset": rfc3339(summary.onset_ns),
        "ts": rfc3339(summary.t_ns),
        "reason": f"more than {summary.limit} new alerts within {summary.window_ns // SECOND} s: "
        f"{summary.count} not told one by one",
        "seq": summary.seq,
    }


def score_payload(t_ns: int, verdict: Verdict) -> dict[str, Any]:
    """What the topic `score` says."""
    return {
        "ts": rfc3339(t_ns),
        "score": significant(verdict.score),
        "threshold": significant(verdict.threshold),
        "ratio": significant(verdict.ratio),
    }


def denoised_payload(spec: ModelSpec, row: Row) -> dict[str, Any]:
    """A restored row, flat as a sensor would send it; the time is `ts` even where a channel has that name."""
    values = {name: significant(value) for name, value in zip(spec.names, row.values, strict=True)}
    return values | {"ts": rfc3339(row.slot * spec.period_ns)}


def signals_payload(signals: Signals) -> dict[str, Any]:
    """What the topic `signals` says: columns, oldest row first."""
    verdicts = signals.verdicts
    return {
        "schema": SCHEMA,
        "ts": [rfc3339(t_ns) for t_ns in signals.t_ns],
        "score": [None if verdict is None else significant(verdict.score) for verdict in verdicts],
        "threshold": [None if verdict is None else significant(verdict.threshold) for verdict in verdicts],
        "channels": [
            {
                "name": channel.name,
                "unit": channel.signal_unit,
                "observed": _column(signals.observed, index),
                "expected": _column(signals.expected, index),
                "deviation": significant(channel.deviation) if channel.deviation > 0.0 else None,
                "low": significant(channel.low),
                "high": significant(channel.high),
            }
            for index, channel in enumerate(signals.channels)
        ],
    }


def past_alert_payload(
    body: Mapping[str, Any], announced: bool, feedback: tuple[str, str, str] | None
) -> dict[str, Any]:
    """An alert of the topic `history`. `body`: its `alert_payload`, of an earlier version too; `feedback`: label, note and name."""
    label, note, name = (None, None, None) if feedback is None else feedback
    return {
        **{key: body.get(key) for key in OF_A_PAST_ALERT},
        "severity_level": SEVERITY_LEVELS.get(body.get("severity"), 0),
        "cause": body.get("cause", "score"),  # before version 0.3 there was no other
        "announced": announced,
        "suppressed": body.get("suppressed", False),
        "suppressed_by": body.get("suppressed_by"),
        "label": label,
        "note": note,
        "name": name or None,
    }


def history_payload(
    node: str, asset: str, alerts: Sequence[Mapping[str, Any]], more: bool, supposed: Mapping[str, Any]
) -> dict[str, Any]:
    """What the topic `history` says. `alerts`: as `past_alert_payload` gives them, newest first; `supposed`: `what_if_payload`."""
    return {"schema": SCHEMA, "asset": asset, "node": node, "alerts": alerts, "more": more, "what_if": supposed}


def what_if_payload(found: OtherBudgets, days: float, other_alerts: int) -> dict[str, Any]:
    """The part of the topic `history` on other budgets. `other_alerts`: those that no budget moves."""
    return {
        "days": days,
        "budget": found.budget,
        "boundary": significant(found.boundary),
        "budgets": [
            {"budget": one.budget, "boundary": significant(one.boundary), "alerts": one.alerts} for one in found.budgets
        ],
        "other_alerts": other_alerts,
        "hours": [[rfc3339(t_ns), significant(level)] for t_ns, level in found.hours],
    }


def _column(rows: Floats, index: int) -> list[float | None]:
    return [significant(value) for value in rows[:, index].tolist()]


def _rule(in_force: RuleInForce) -> dict[str, Any]:
    rule = in_force.rule
    return {
        "channel": in_force.channel,
        "mute": rule.mute is True,
        "direction": rule.direction or "both",
        "min_deviation": None if rule.min_deviation is None else rule.min_deviation.shown,
        "source": in_force.source,
    }


def _silence(silence: Silence) -> dict[str, Any]:
    return {"from": rfc3339(silence.from_ns), "until": rfc3339(silence.until_ns), "note": silence.note}


def _lesson(known: LessonInForce) -> dict[str, Any]:
    lesson = known.lesson
    return {
        "id": lesson.id,
        "label": "false_alarm" if lesson.false_alarm else "true_alarm",
        "name": lesson.name or None,
        "reason": lesson.reason[:REASON_OF_A_LESSON],
        "ts_raised": rfc3339(lesson.raised_ns),
        "until": _time(lesson.until_ns),
        "count": known.use.count,
        "last": _time(known.use.last_ns),
        "idle": known.idle,
    }


def health_payload(health: AssetHealth) -> dict[str, Any]:
    """What the topic `health` says; `faults`: channel -> fault."""
    return {
        "schema": SCHEMA,
        "asset": health.asset,
        "node": health.node,
        "state": "ok" if not health.channels and health.fault is None else "fault",
        "watched": health.watched,
        "watching": str(health.watching),
        "budget": health.budget or DEFAULT_BUDGET,
        "reason": health.reason,
        "rules": [_rule(one) for one in health.rules],
        "when": health.when,
        "silences": [_silence(one) for one in health.silences],
        "lessons": [_lesson(one) for one in health.lessons],
        "rows": None if health.warm_up is None else health.warm_up.rows,
        "rows_needed": None if health.warm_up is None else health.warm_up.needed,
        "first_score": None if health.warm_up is None else _time(health.warm_up.first_score_ns),
        "pace": health.pace,
        "learning": None if health.learning is None else health.learning.text,
        "learned_h": None if health.learning is None else health.learning.hours,
        "beside": health.beside,
        "advice": health.advice,
        "moved": [
            {"name": one.channel, "level": one.level, "spread": one.spread} for one in health.moved[:CHANNELS_LISTED]
        ],
        "asset_fault": health.fault,
        "asset_fault_since": _time(health.fault_since_ns),
        "faults": {one.channel: str(one.fault) for one in health.channels},
        "channels": [
            {"name": one.channel, "fault": str(one.fault), "since": rfc3339(one.since_ns)} for one in health.channels
        ],
    }
