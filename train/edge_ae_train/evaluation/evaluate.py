"""How well a model does on recordings, with labels or without: the daemon's own pipeline, then the metrics.

    files ─► tables ─ edge_ae.offline ─► a score, a boundary and an alert for each row ─ judge ─► Quality ─► figures

Counts and events of several recordings are pooled; figures of a whole curve (VUS-PR and the like) are averaged.
Without labels there is still something to say: how many alerts came, against how many the budget allows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.detector import Watch
from edge_ae.core.events import slot_of
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Result, score_table
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae.store.recording_csv import Table
from edge_ae_train.data import recorded
from edge_ae_train.data.segments import episodes
from edge_ae_train.data.series import asset_name
from edge_ae_train.evaluation import clock, metrics
from edge_ae_train.evaluation.clock import WEEK_NS
from edge_ae_train.evaluation.metrics import Affiliation, Counts, Events
from edge_ae_train.progress import SILENT, Reporter, in_parts

VUS_BUFFER = 100  # rows; one for all models, so that their figures compare
READ, SCORED = 0.2, 0.97  # shares of the work that are done with reading, and with scoring
QUANTILES = (0.5, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class ScoredRows:
    """One recording, judged: an entry for each row from the first score on.

    `recorded_ns`: from its first line to its last. `slot` [row]: on the model's grid. `watched_ns` [row]: for how long the
    answer at the row stands.
    """

    name: str
    period_ns: int
    recorded_ns: int
    slot: NDArray[np.int64]
    watched_ns: NDArray[np.int64]
    score: NDArray[np.float64]
    threshold: NDArray[np.float64]
    alert: NDArray[np.bool_]
    label: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Quality:
    """What there is to say of one recording, times by the clock. `truth` None: it has no labels."""

    name: str
    rows: int
    period_ns: int
    recorded_ns: int
    watched_ns: int
    """for which a score stood: without gaps, and without the rows of the first window"""
    alerts: int
    alert_rows: int
    alert_ns: int
    ratio_quantiles: tuple[float, ...]
    """score / threshold at QUANTILES: how close normal rows come to the boundary, 1.0"""
    truth: "Truth | None" = None

    @property
    def weeks(self) -> float:
        return self.watched_ns / WEEK_NS


@dataclass(frozen=True)
class Truth:
    """Quality against labels: at the model's own boundary (`counts`, `events`, `affiliation`), and of any boundary."""

    counts: Counts
    events: Events
    normal_ns: int
    """watched, and not labelled"""
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
        """Of an asset: those of all, by the weeks for which each was watched."""
        return sum(q.alerts for q in self.series) / sum(q.weeks for q in self.series)

    @property
    def normal_ns(self) -> int:
        return sum(truth.normal_ns for truth in self.labelled)

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
    columns: ReadOptions = AS_IT_IS,
    reporter: Reporter = SILENT,
) -> Evaluation:
    """Runs the recordings through the model as the daemon would, each for itself; BadData or BadModel when it cannot."""
    model = OnnxModel.load(model_path)
    series = recorded.read(paths, model.spec, columns, reporter.part(0.0, READ))
    results = []
    for one, part in zip(
        series, in_parts(reporter.part(READ, SCORED), [len(one.table) for one in series]), strict=True
    ):
        said = part.counting(f"scoring {one.asset}")
        asset = asset_name(one.table)
        results.append((one.table, score_table(one.table, model, Watch(model, rules), asset=asset, progress=said)))
    reporter.step("measuring", SCORED)
    judged = compress(results, have_scores(results, model.spec, reporter))
    return summary(model, rules, [scored_rows(*pair, model.spec) for pair in judged])


def summary(model: OnnxModel, rules: AlertRules, series: Sequence[ScoredRows]) -> Evaluation:
    spec = model.spec
    budget = WEEK_NS / rules.interval_ns
    return Evaluation(spec.name, spec.family, spec.period_ns, budget, tuple(judge(one) for one in series))


def have_scores(results: Sequence[tuple[Table, Result]], spec: ModelSpec, reporter: Reporter) -> list[bool]:
    """Whether there is a score in each; notes on those without, and on lines that were not used. BadData where there
    is none in any."""
    have = [bool(np.isfinite(result.score).any()) for _, result in results]
    lacking = [
        f"{table.path}: {len(table)} lines do not fill one window of {spec.length} rows "
        f"of {spec.period_ns / SECOND:g} s; no score can be made: {result.note}"
        for (table, result), there in zip(results, have, strict=True)
        if not there
    ]
    if not any(have):
        raise BadData(lacking[0])
    unused = [result.unused(table.path) for table, result in compress(results, have)]
    for text in filter(None, [*lacking, *unused]):
        reporter.note(text)
    return have


def scored_rows(table: Table, result: Result, spec: ModelSpec) -> ScoredRows:
    """The rows from the first score on, with the last score where there is none: between two hops, or in a hole.

    The last line of each slot speaks for its row."""
    slot = slot_of(table.t_ns, spec.period_ns)
    scored = np.maximum.accumulate(np.where(np.isfinite(result.score), np.arange(len(table)), -1))
    rows = np.flatnonzero(np.append(slot[1:] != slot[:-1], True) & (scored >= 0))
    newest = scored[rows]
    label = None if table.labels is None else table.labels[rows]
    watched_ns = clock.watched_ns(slot[rows], slot[newest], spec)
    recorded_ns = int(table.t_ns[-1] - table.t_ns[0]) + spec.period_ns
    arrays = (slot[rows], watched_ns, result.score[newest], result.threshold[newest], result.alert[rows])
    return ScoredRows(asset_name(table), spec.period_ns, recorded_ns, *arrays, label)


def judge(series: ScoredRows) -> Quality:
    ratio = series.score / series.threshold
    return Quality(
        name=series.name,
        rows=len(series.score),
        period_ns=series.period_ns,
        recorded_ns=series.recorded_ns,
        watched_ns=int(series.watched_ns.sum()),
        alerts=len(episodes(series.alert)),
        alert_rows=int(series.alert.sum()),
        alert_ns=int(series.watched_ns[series.alert].sum()),
        ratio_quantiles=tuple(np.quantile(ratio, QUANTILES).tolist()),
        truth=None if series.label is None else _truth(series, series.label),
    )


def _truth(series: ScoredRows, label: NDArray[np.bool_]) -> Truth:
    return Truth(
        counts=metrics.count(series.alert, label),
        events=metrics.match_events(series.alert, label, series.slot),
        normal_ns=int(series.watched_ns[~label].sum()),
        affiliation=metrics.affiliation(series.alert, label),
        vus_pr=metrics.vus_pr(series.score, label, VUS_BUFFER),
        auc_pr=metrics.average_precision(series.score, label),
        best_f1=metrics.best_f1(series.score, label),
    )
