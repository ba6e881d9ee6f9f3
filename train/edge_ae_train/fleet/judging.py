"""A job that judges: an asset's recordings through the daemon's own pipeline with the model it has, and what came of it.

What another budget or delay would have done is answered from the same scores, by the daemon's own boundary and alert life.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core import alert
from edge_ae.core.alert_events import AlertEvent, ModelName
from edge_ae.core.alert_state import AlertSource, AlertState
from edge_ae.core.detector import Watch
from edge_ae.core.events import slot_of
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.payloads import alert_payload
from edge_ae.core.rules import AlertRules, budget_ns
from edge_ae.core.threshold import Threshold
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Result, score_table
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.table import Table
from edge_ae_train.data import recorded
from edge_ae_train.evaluation import figures
from edge_ae_train.evaluation.clock import WEEK_NS
from edge_ae_train.evaluation.evaluate import judge, scored_rows
from edge_ae_train.evaluation.metrics import match_events
from edge_ae_train.fleet.jobs import FleetJob, Product
from edge_ae_train.fleet.places import places_of
from edge_ae_train.fleet.sources import AssetSource
from edge_ae_train.fleet.work import JudgeOptions

MOST_ALERTS = 50  # the newest, that a row lists
BUDGETS = ("1/month", "1/week", "2/week", "1/day")
ON_DELAYS_S = (60, 600, 3600)


@dataclass(frozen=True)
class Judged:
    """One asset's lines with the daemon's answers."""

    asset: str
    table: Table
    result: Result
    model: OnnxModel


def judge_job(job: FleetJob) -> Product:
    """What there is to say of the job's asset."""
    options: JudgeOptions = job.options
    model = OnnxModel.load(Path(options.model.path))
    (source,) = job.sources
    table = series_of(source, model.spec, options.columns)
    result = score_table(table, model, Watch(model, options.rules), asset=source.asset)
    if result.scored == 0:
        raise BadData(
            f"{table.path}: {len(table)} lines do not fill one window of {model.spec.length} rows of "
            f"{model.spec.period_ns / SECOND:g} s; no score can be made: {result.note}"
        )
    return Product(facts_of(Judged(source.asset, table, result, model), options))


def series_of(source: AssetSource, spec: ModelSpec, columns: ReadOptions) -> Table:
    """The asset's lines in time, with the model's channels. BadData where they do not fit the model."""
    (series,) = recorded.series_of([source.table(columns)], spec)
    recorded.require_period([series], spec)
    return series.table


def facts_of(judged: Judged, options: JudgeOptions) -> dict[str, Any]:
    spec, result, table = judged.model.spec, judged.result, judged.table
    rows = replace(scored_rows(table, result, spec), name=judged.asset)
    quality = judge(rows)
    alerts = list(last_words(result.events))
    middle, spread = places_of(table.values)
    return {
        **figures.quality_dict(quality),
        "model": options.model.key,
        "model_sha256": options.model.sha256,
        "budget_per_week": WEEK_NS / options.rules.interval_ns,
        "weeks": quality.weeks,
        "allowed": quality.weeks * WEEK_NS / options.rules.interval_ns,
        "alert_share": quality.alert_ns / quality.watched_ns if quality.watched_ns > 0 else 0.0,
        "active": bool(result.alert[-1]),
        "first": rfc3339(int(table.t_ns[0])),
        "newest": rfc3339(int(table.t_ns[-1])),
        "by_month": dict(Counter(one["raised"][:7] for one in alerts)),
        "newest_alerts": alerts[-MOST_ALERTS:],
        "channels": list(spec.names),
        "middle": middle,
        "spread": spread,
        "note": result.note,
        "what_if": list(_others(judged, options.rules)) if options.what_if else [],
    }


def last_words(events: Sequence[AlertEvent]) -> Iterator[dict[str, Any]]:
    """What was said last of each alert, in short."""
    for body in {event.id: alert_payload(event.alert) for event in events}.values():
        yield {
            "raised": body["ts_raised"],
            "cleared": body["ts_cleared"],
            "ratio": body["ratio"],
            "top_channel": body["top_channel"],
            "reason": body["reason"],
        }


# -- other rules -----------------------------------------------------------------------------------------------


def _others(judged: Judged, rules: AlertRules) -> Iterator[dict[str, Any]]:
    """The alerts that other budgets, and longer delays at the same budget, would have raised."""
    budgets = [(f"budget {text}", replace(rules, interval_ns=budget_ns(text))) for text in BUDGETS]
    delays = [(f"on-delay {s} s", replace(rules, on_delay_ns=s * SECOND)) for s in ON_DELAYS_S]
    for name, other in [*budgets, *delays]:
        slots, active, labels = _supposed(judged, other)
        found = match_events(active, labels, slots)
        known = {} if judged.table.labels is None else {"events_found": found.found, "false_alerts": found.false_alerts}
        yield {"rule": name, "alerts": found.alerts, **known}


def _supposed(judged: Judged, rules: AlertRules) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """The slots that have a score, whether there would have been an alert at each, and whether it is labelled."""
    table, spec = judged.table, judged.model.spec
    every = slot_of(table.t_ns, spec.period_ns)
    last = np.append(every[1:] != every[:-1], True)
    lines = np.flatnonzero(last & np.isfinite(judged.result.score))
    labels = np.zeros(len(lines), np.bool_) if table.labels is None else table.labels[lines]
    active = alerts_under(rules, spec, every[lines], judged.result.score[lines])
    return every[lines], active, labels


def alerts_under(
    rules: AlertRules, spec: ModelSpec, slots: NDArray[np.int64], scores: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether there is an alert at each slot: the boundary and the alert's life as the daemon has them."""
    hop_ns = spec.hop * spec.period_ns
    rules = rules.completed(hop_ns, spec.tail.on_delay)
    threshold, state = Threshold(spec, hop_ns / rules.interval_ns), AlertState()
    source = AlertSource("offline", spec.name, ModelName(spec.name, spec.trained_at, spec.sha256))
    active = np.zeros(len(slots), np.bool_)
    for at, (slot, score) in enumerate(zip(slots.tolist(), scores.tolist(), strict=True)):
        verdict = threshold.judge(slot, score)
        state, _ = alert.step(state, verdict, slot * spec.period_ns, rules, source)
        threshold.learn(verdict, state.episode is not None)
        active[at] = state.raised
    return active
