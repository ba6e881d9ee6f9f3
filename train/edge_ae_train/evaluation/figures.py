"""The figures of an evaluation: as JSON for programs, as a table and a sentence for people."""

import math
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from edge_ae.core.timestamps import SECOND, duration_text
from edge_ae_train.evaluation.evaluate import QUANTILES, WEEK_NS, Evaluation, Quality
from edge_ae_train.evaluation.metrics import Counts, Events

PIPE_WIDTH = 200  # a table in a pipe is not folded to a terminal's 80 columns
TOTAL = "all"

Cells = tuple[str, ...]
LABELLED_HEADER: Cells = (
    "recording",
    "rows",
    "F1",
    "false alarm %",
    "missed %",
    "events found",
    "median delay",
    "false alerts",
    "per 1,000 rows",
    "per week",
    "VUS-PR",
    "AUC-PR",
    "affiliation F1",
    "best F1",
)
UNLABELLED_HEADER: Cells = (
    "recording",
    "rows",
    "alerts",
    "per week",
    "rows in alert %",
    *(f"ratio {q:.0%}" for q in QUANTILES),
)


# -- JSON --------------------------------------------------------------------------------------------------


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """JSON-ready; a figure that does not exist (a rate without a case) is null."""
    return {
        "model": evaluation.model,
        "family": evaluation.family,
        "sample_period_s": evaluation.period_ns / SECOND,
        "alerts_per_week": {
            "budget": _number(evaluation.budget_per_week),
            "realised": _number(evaluation.alerts_per_week),
        },
        "total": _total_dict(evaluation) if evaluation.labelled else None,
        "series": [_quality_dict(quality) for quality in evaluation.series],
    }


def _total_dict(evaluation: Evaluation) -> dict[str, Any]:
    truths = evaluation.labelled
    return {
        **_boundary_dict(evaluation.counts, evaluation.events, evaluation.period_ns),
        "affiliation_f1": _number(_mean([truth.affiliation.f1 for truth in truths])),
        "vus_pr": _number(_mean([truth.vus_pr for truth in truths])),
        "auc_pr": _number(_mean([truth.auc_pr for truth in truths])),
        "best_f1": _number(_mean([truth.best_f1 for truth in truths])),
    }


def _quality_dict(quality: Quality) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": quality.name,
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
        **_boundary_dict(truth.counts, truth.events, quality.period_ns),
        "affiliation_precision": _number(truth.affiliation.precision),
        "affiliation_recall": _number(truth.affiliation.recall),
        "affiliation_f1": _number(truth.affiliation.f1),
        "vus_pr": _number(truth.vus_pr),
        "auc_pr": _number(truth.auc_pr),
        "best_f1": _number(truth.best_f1),
    }


def _boundary_dict(counts: Counts, events: Events, period_ns: int) -> dict[str, Any]:
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
        "false_alerts_per_week": _number(events.false_alerts_per(WEEK_NS / period_ns)),
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


# -- table -------------------------------------------------------------------------------------------------


def show(evaluation: Evaluation, file: IO[str] | None = None) -> None:
    """The table for people: colours and folding on a terminal, plain text in a pipe."""
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
        rows = [_labelled_row(q.name, q.rows, _quality_dict(q)) for q in evaluation.series if q.truth is not None]
        total = _labelled_row(TOTAL, sum(q.rows for q in evaluation.series), _total_dict(evaluation))
        return LABELLED_HEADER, [*rows, total] if len(rows) > 1 else rows
    return UNLABELLED_HEADER, [_unlabelled_row(quality) for quality in evaluation.series]


def _labelled_row(name: str, rows: int, figures: dict[str, Any]) -> Cells:
    return (
        name,
        f"{rows:,}",
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
        f"{quality.rows:,}",
        f"{quality.alerts}",
        f"{quality.alerts / quality.weeks:,.4g}",
        f"{100 * quality.alert_rows / quality.rows:.1f}",
        *(f"{ratio:.2f}" for ratio in quality.ratio_quantiles),
    )


def _text(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def conclusion(evaluation: Evaluation) -> str:
    """The budget in a sentence: what was asked, what came, and whether the recordings are long enough to tell."""
    time_ns = sum(quality.rows * quality.period_ns for quality in evaluation.series)
    alerts = sum(quality.alerts for quality in evaluation.series)
    allowed = evaluation.budget_per_week * time_ns / WEEK_NS
    came = f"{alerts} alert{'' if alerts == 1 else 's'} in {duration_text(time_ns)}"
    if evaluation.labelled:
        came += f", {evaluation.events.false_alerts} of them false"
    asked = f"the budget is {evaluation.budget_per_week:.4g} a week on normal data"
    if allowed < 1:
        return f"{came}; {asked}, which so short a recording cannot show."
    return f"{came}; {asked}, which allows {allowed:.3g}."
