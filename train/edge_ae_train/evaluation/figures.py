"""The figures of an evaluation: as JSON for programs, as a table and a sentence for people."""

import math
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from edge_ae.core.timestamps import SECOND, duration_text
from edge_ae_train.evaluation.clock import WEEK_NS, asset_time
from edge_ae_train.evaluation.evaluate import QUANTILES, Evaluation, Quality
from edge_ae_train.evaluation.metrics import Counts, Events

PIPE_WIDTH = 200  # a table in a pipe is not folded to a terminal's 80 columns
TOTAL = "all"
WATCHED_WORTH_SAYING = 0.99  # of the recorded time: less is said in the sentence, not in the table alone

Cells = tuple[str, ...]
LABELLED_HEADER: Cells = (
    "recording",
    "recorded",
    "watched",
    "rows",
    "F1",
    "false alarm %",
    "missed %",
    "events found",
    "median delay",
    "false alerts",
    "per 1,000 rows",
    "per asset-week",
    "VUS-PR",
    "AUC-PR",
    "affiliation F1",
    "best F1",
)
UNLABELLED_HEADER: Cells = (
    "recording",
    "recorded",
    "watched",
    "rows",
    "alerts",
    "per asset-week",
    "time in alert %",
    *(f"ratio {q:.0%}" for q in QUANTILES),
)


# -- JSON --------------------------------------------------------------------------------------------------


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """JSON-ready; a figure that does not exist (a rate without a case) is null."""
    return {
        "model": evaluation.model,
        "family": evaluation.family,
        "sample_period_s": evaluation.period_ns / SECOND,
        "recorded_s": sum(quality.recorded_ns for quality in evaluation.series) / SECOND,
        "watched_s": sum(quality.watched_ns for quality in evaluation.series) / SECOND,
        "alerts_per_week": {
            "budget": _number(evaluation.budget_per_week),
            "realised": _number(evaluation.alerts_per_week),
        },
        "total": _total_dict(evaluation) if evaluation.labelled else None,
        "series": [quality_dict(quality) for quality in evaluation.series],
    }


def _total_dict(evaluation: Evaluation) -> dict[str, Any]:
    truths = evaluation.labelled
    return {
        **_boundary_dict(evaluation.counts, evaluation.events, evaluation.period_ns, evaluation.normal_ns),
        "affiliation_f1": _number(_mean([truth.affiliation.f1 for truth in truths])),
        "vus_pr": _number(_mean([truth.vus_pr for truth in truths])),
        "auc_pr": _number(_mean([truth.auc_pr for truth in truths])),
        "best_f1": _number(_mean([truth.best_f1 for truth in truths])),
    }


def quality_dict(quality: Quality) -> dict[str, Any]:
    """Of one recording, JSON-ready."""
    found: dict[str, Any] = {
        "name": quality.name,
        "recorded_s": quality.recorded_ns / SECOND,
        "watched_s": quality.watched_ns / SECOND,
        "rows": quality.rows,
        "alerts": quality.alerts,
        "alert_rows": quality.alert_rows,
        "alerts_per_week": _number(quality.alerts / quality.weeks),
        "ratio_quantiles": dict(zip(map(str, QUANTILES), map(_number, quality.ratio_quantiles), strict=True)),
    }
    truth = quality.truth
    if truth is None:
        return found
    return found | {
        **_boundary_dict(truth.counts, truth.events, quality.period_ns, truth.normal_ns),
        "affiliation_precision": _number(truth.affiliation.precision),
        "affiliation_recall": _number(truth.affiliation.recall),
        "affiliation_f1": _number(truth.affiliation.f1),
        "vus_pr": _number(truth.vus_pr),
        "auc_pr": _number(truth.auc_pr),
        "best_f1": _number(truth.best_f1),
    }


def _boundary_dict(counts: Counts, events: Events, period_ns: int, normal_ns: int) -> dict[str, Any]:
    """`normal_ns`: for which assets were watched that nothing was wrong with, all together."""
    return {
        "f1": _number(counts.f1),
        "precision": _number(counts.precision),
        "recall": _number(counts.recall),
        "false_alarm_rate": _number(counts.false_alarm_rate),
        "missed_rate": _number(counts.missed_rate),
        "events": events.events,
        "events_found": events.found,
        "event_recall": _number(events.recall),
        "median_delay_s": _number(events.median_delay_rows * period_ns / SECOND),
        "false_alerts": events.false_alerts,
        "false_alerts_per_1000_rows": _number(events.false_alerts_per(1000)),
        "false_alerts_per_week": _number(events.false_alerts * WEEK_NS / normal_ns if normal_ns > 0 else math.nan),
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


# -- table -------------------------------------------------------------------------------------------------


def show(evaluation: Evaluation, file: IO[str] | None = None) -> None:
    """The table for people: colours and folding on a terminal, plain text in a pipe."""
    from rich.console import Console  # a device that judges by figures has none to show
    from rich.markup import escape
    from rich.table import Table as Grid

    console = Console(file=file)
    if not console.is_terminal:
        console = Console(file=file, width=PIPE_WIDTH)
    header, rows = table_rows(evaluation)
    grid = Grid(title=escape(f"{evaluation.model} ({evaluation.family})"), title_justify="left")
    for index, title in enumerate(header):
        grid.add_column(title, justify="left" if index == 0 else "right")
    for row in rows:
        grid.add_row(escape(row[0]), *row[1:], style="bold" if row[0] == TOTAL else None)
    console.print(grid)
    console.print(conclusion(evaluation), highlight=False, soft_wrap=True)


def table_rows(evaluation: Evaluation) -> tuple[Cells, list[Cells]]:
    """Header and rows as text, for the terminal and for the report."""
    if evaluation.labelled:
        judged = [quality for quality in evaluation.series if quality.truth is not None]
        rows = [_labelled_row(quality.name, [quality], quality_dict(quality)) for quality in judged]
        total = _labelled_row(TOTAL, judged, _total_dict(evaluation))
        return LABELLED_HEADER, [*rows, total] if len(rows) > 1 else rows
    return UNLABELLED_HEADER, [_unlabelled_row(quality) for quality in evaluation.series]


def _extent(series: Sequence[Quality]) -> Cells:
    """Recorded and watched time, and rows, of all together."""
    sums = (sum(q.recorded_ns for q in series), sum(q.watched_ns for q in series), sum(q.rows for q in series))
    return duration_text(sums[0]), duration_text(sums[1]), f"{sums[2]:,}"


def _labelled_row(name: str, series: Sequence[Quality], figures: dict[str, Any]) -> Cells:
    return (
        name,
        *_extent(series),
        _text(figures["f1"], ".3f"),
        _text(figures["false_alarm_rate"], ".1%").removesuffix("%"),
        _text(figures["missed_rate"], ".1%").removesuffix("%"),
        f"{figures['events_found']} of {figures['events']}",
        _text(figures["median_delay_s"], ",.0f", " s"),
        f"{figures['false_alerts']}",
        _text(figures["false_alerts_per_1000_rows"], ".2f"),
        _text(figures["false_alerts_per_week"], ",.4g"),
        *(_text(figures[key], ".3f") for key in ("vus_pr", "auc_pr", "affiliation_f1", "best_f1")),
    )


def _unlabelled_row(quality: Quality) -> Cells:
    return (
        quality.name,
        *_extent([quality]),
        f"{quality.alerts}",
        f"{quality.alerts / quality.weeks:,.4g}",
        f"{100 * quality.alert_ns / quality.watched_ns:.1f}",
        *(f"{ratio:.2f}" for ratio in quality.ratio_quantiles),
    )


def _text(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def conclusion(evaluation: Evaluation) -> str:
    """The budget in a sentence: what was asked, what came, and whether the recordings are long enough to tell."""
    series = evaluation.series
    alerts = sum(quality.alerts for quality in series)
    allowed = evaluation.budget_per_week * sum(quality.weeks for quality in series)
    came = f"{alerts} alert{'' if alerts == 1 else 's'} in {_time(series)}"
    if evaluation.labelled:
        came += f", {evaluation.events.false_alerts} of them false"
    each = " for each asset" if len({quality.name for quality in series}) > 1 else ""
    asked = f"the budget is {evaluation.budget_per_week:.4g} a week{each} on normal data"
    if allowed < 1:
        return f"{came}; {asked}, which so short a recording cannot show."
    return f"{came}; {asked}, which allows {allowed:.3g}."


def _time(series: Sequence[Quality]) -> str:
    """By the clock, and what of it was watched."""
    recorded = sum(quality.recorded_ns for quality in series)
    watched = sum(quality.watched_ns for quality in series)
    spans = [(quality.name, quality.recorded_ns) for quality in series]
    return asset_time(spans, watched if watched < WATCHED_WORTH_SAYING * recorded else None)
