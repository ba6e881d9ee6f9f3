"""How well a model does on recordings, with labels or without: the daemon's own pipeline, then the metrics.

    files ─► tables ─ edge_ae.offline ─► a score, a boundary and an alert for each row ─ judge ─► Quality ─► table, JSON

Counts and events of several recordings are pooled; figures of a whole curve (VUS-PR and the like) are averaged.
Without labels there is still something to say: how many alerts came, against how many the budget allows.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from edge_ae.core.alert import AlertRules
from edge_ae.core.detector import Watch
from edge_ae.core.events import slot_of
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Result, score_table
from edge_ae.store.recording_csv import Table
from edge_ae_train.data import recorded
from edge_ae_train.data.prepare import duration
from edge_ae_train.data.segments import episodes
from edge_ae_train.data.series import asset_name
from edge_ae_train.evaluation import metrics
from edge_ae_train.evaluation.metrics import Affiliation, Counts, Events

WEEK_NS = 7 * 24 * 3600 * SECOND
VUS_BUFFER = 100  # rows; one for all models, so that their figures compare
QUANTILES = (0.5, 0.95, 0.99, 1.0)
PIPE_WIDTH = 200  # a table in a pipe is not folded to a terminal's 80 columns
Say = Callable[[str], None]


@dataclass(frozen=True)
class Series:
    """One recording, judged: an entry for each row from the first score on."""

    name: str
    period_ns: int
    score: NDArray[np.float64]
    threshold: NDArray[np.float64]
    alert: NDArray[np.bool_]
    label: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Quality:
    """What there is to say of one recording. `truth` None: it has no labels."""

    name: str
    rows: int
    period_ns: int
    alerts: int
    alert_rows: int
    ratio_quantiles: tuple[float, ...]
    """score / threshold at QUANTILES: how close normal rows come to the boundary, 1.0"""
    truth: "Truth | None" = None

    @property
    def weeks(self) -> float:
        return self.rows * self.period_ns / WEEK_NS


@dataclass(frozen=True)
class Truth:
    """Quality against labels: at the model's own boundary (`counts`, `events`, `affiliation`), and of any boundary."""

    counts: Counts
    events: Events
    affiliation: Affiliation
    vus_pr: float
    auc_pr: float
    best_f1: float


@dataclass(frozen=True)
class Evaluation:
    model: str
    family: str
    period_ns: int
    budget_per_week: float
    series: tuple[Quality, ...]

    @property
    def labelled(self) -> tuple[Truth, ...]:
        return tuple(quality.truth for quality in self.series if quality.truth is not None)

    @property
    def alerts_per_week(self) -> float:
        return sum(q.alerts for q in self.series) / sum(q.weeks for q in self.series)

    @property
    def counts(self) -> Counts:
        return sum((truth.counts for truth in self.labelled), Counts())

    @property
    def events(self) -> Events:
        return sum((truth.events for truth in self.labelled), Events())


def evaluate(
    model_path: Path,
    paths: Iterable[str | Path],
    rules: AlertRules,
    *,
    ignore: Sequence[str] = (),
    label: str | None = None,
    asset_column: str | None = None,
    say: Say = lambda _text: None,
    note: Say = lambda _text: None,
) -> Evaluation:
    """Runs the recordings through the model as the daemon would, each for itself; BadData or BadModel when it cannot.

    `say` hears of the progress, `note` of what is odd about the recordings.
    """
    model = OnnxModel.load(model_path)
    results = []
    for one in recorded.read(paths, model.spec, ignore=ignore, label=label, asset_column=asset_column, note=note):
        say(f"scoring {one.asset}")
        results.append((one.table, score_table(one.table, model, Watch(model, rules), asset=asset_name(one.table))))
    say("measuring")
    judged = compress(results, have_scores(results, model.spec, note))
    return summary(model, rules, [series_of(*pair, model.spec) for pair in judged])


def summary(model: OnnxModel, rules: AlertRules, series: Sequence[Series]) -> Evaluation:
    spec = model.spec
    budget = WEEK_NS / rules.interval_ns
    return Evaluation(spec.name, spec.family, spec.period_ns, budget, tuple(judge(one) for one in series))


def have_scores(results: Sequence[tuple[Table, Result]], spec: ModelSpec, note: Say) -> list[bool]:
    """Whether there is a score in each; `note` hears of those without, and of lines that were not used. BadData where there
    is none in any."""
    have = [bool(np.isfinite(result.score).any()) for _, result in results]
    lacking = [
        f"{table.path}: {len(table)} lines do not fill one window of {spec.length} rows "
        f"of {spec.period_ns / SECOND:g} s; no score can be made"
        for (table, _), there in zip(results, have, strict=True)
        if not there
    ]
    if not any(have):
        raise BadData(lacking[0])
    unused = [result.unused(table.path) for table, result in compress(results, have)]
    for text in filter(None, [*lacking, *unused]):
        note(text)
    return have


def series_of(table: Table, result: Result, spec: ModelSpec) -> Series:
    """The rows from the first score on, with the last score where there is none: between two hops, or in a hole.

    The last line of each slot speaks for its row."""
    slot = slot_of(table.t_ns, spec.period_ns)
    scored = np.maximum.accumulate(np.where(np.isfinite(result.score), np.arange(len(table)), -1))
    rows = np.flatnonzero(np.append(slot[1:] != slot[:-1], True) & (scored >= 0))
    newest = scored[rows]
    label = None if table.labels is None else table.labels[rows]
    arrays = (result.score[newest], result.threshold[newest], result.alert[rows])
    return Series(asset_name(table), spec.period_ns, *arrays, label)


def judge(series: Series) -> Quality:
    ratio = series.score / series.threshold
    return Quality(
        name=series.name,
        rows=len(series.score),
        period_ns=series.period_ns,
        alerts=len(episodes(series.alert)),
        alert_rows=int(series.alert.sum()),
        ratio_quantiles=tuple(np.quantile(ratio, QUANTILES).tolist()),
        truth=None if series.label is None else _truth(series, series.label),
    )


def _truth(series: Series, label: NDArray[np.bool_]) -> Truth:
    return Truth(
        counts=metrics.count(series.alert, label),
        events=metrics.match_events(series.alert, label),
        affiliation=metrics.affiliation(series.alert, label),
        vus_pr=metrics.vus_pr(series.score, label, VUS_BUFFER),
        auc_pr=metrics.average_precision(series.score, label),
        best_f1=metrics.best_f1(series.score, label),
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
)
LABELLED_HEADER += ("per 1,000 rows", "per week", "VUS-PR", "AUC-PR", "affiliation F1", "best F1")
UNLABELLED_HEADER: Cells = (
    "recording",
    "rows",
    "alerts",
    "per week",
    "rows in alert %",
    *(f"ratio {q:.0%}" for q in QUANTILES),
)


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


TOTAL = "all"


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
    came = f"{alerts} alert{'' if alerts == 1 else 's'} in {duration(time_ns)}"
    if evaluation.labelled:
        came += f", {evaluation.events.false_alerts} of them false"
    asked = f"the budget is {evaluation.budget_per_week:.4g} a week on normal data"
    if allowed < 1:
        return f"{came}; {asked}, which so short a recording cannot show."
    return f"{came}; {asked}, which allows {allowed:.3g}."
