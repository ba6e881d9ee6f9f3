"""What a detector says of a case, and what that comes to: ours the whole way, and the classics. A process of its own makes each.

Ours is fitted with every default, exported, and goes the daemon's way over the rows; a row alerts while an alert is active, as
in the file that `score` writes. What a baseline needs to be chosen, its boundary, comes from the rows that it learned from.
Labels are looked at once, for the figures.
"""

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from edge_ae_train.evaluation.metrics import affiliation, average_precision, best_f1, match_events, vus_pr
from numpy.typing import NDArray

from edge_ae.core.alert_events import AlertEvent, EventType
from edge_ae.core.detector import Watch
from edge_ae.core.rules import AlertRules
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import score_table
from tests.bench import health, series
from tests.bench.aims import OURS
from tests.bench.baselines import BASELINES, QUANTILE
from tests.bench.series import Case

ROWS_PER_ALERT = 1000  # the budget of the leaderboards: one alert in as many rows
BUDGETS = (1000, 10_000)  # rows


@dataclass(frozen=True)
class Answer:
    """What a detector says of the judged rows: how unusual, and whether it alerts."""

    score: NDArray[np.float64]
    alert: NDArray[np.bool_]
    note: str = ""


def ours(case: Case, seed: int, rows_per_alert: int = ROWS_PER_ALERT) -> tuple[Answer, int]:
    """The answer, and the number of alerts raised in the judged rows that are normal."""
    model = trained(case, seed)
    return judged(case, model, rows_per_alert)


def trained(case: Case, seed: int) -> OnnxModel:
    """Fit with every default, and export."""
    from edge_ae_train import fit
    from edge_ae_train.data.prepare import recording_of
    from edge_ae_train.export import Origin, save

    with tempfile.TemporaryDirectory() as folder:
        table = series.part(case.table, 0, case.start)
        recording = recording_of([table])
        fitted = fit.fit(
            recording.segments, fit.Options(seed=seed, channels=recording.channels, period_ns=recording.period_ns)
        )
        return save(fitted, recording, Origin(case.name), Path(folder) / "model.onnx")


def judged(case: Case, model: OnnxModel, rows_per_alert: int) -> tuple[Answer, int]:
    rules = AlertRules(interval_ns=rows_per_alert * model.spec.period_ns)
    result = score_table(case.table, model, Watch(model, rules), asset=case.name)
    raised = sum(_raised_on_normal(event, case) for event in result.events)
    return Answer(np.nan_to_num(result.score)[case.start :], result.alert[case.start :], model.spec.family), raised


def _raised_on_normal(event: AlertEvent, case: Case) -> bool:
    if event.type is not EventType.NEW or event.alert.raised_ns is None:
        return False
    row = int(np.searchsorted(case.table.t_ns, event.alert.raised_ns))
    return row >= case.start and not case.label[min(row, len(case.label) - 1)]


def baseline(name: str, case: Case, seed: int) -> Answer:
    scores = BASELINES[name](case.train, np.nan_to_num(case.table.values), seed)
    boundary = float(np.quantile(scores[: case.start], QUANTILE))
    judged_scores = scores[case.start :]
    return Answer(judged_scores, judged_scores > boundary)


def figures(case: Case, answer: Answer) -> dict[str, Any]:
    label = case.label[case.start :]
    events = match_events(answer.alert, label)
    return {
        "case": case.name,
        "tp": int((answer.alert & label).sum()),
        "fp": int((answer.alert & ~label).sum()),
        "fn": int((~answer.alert & label).sum()),
        "tn": int((~answer.alert & ~label).sum()),
        "vus_pr": vus_pr(answer.score, label),
        "auc_pr": average_precision(answer.score, label),
        "best_f1": best_f1(answer.score, label),
        "affiliation_f1": affiliation(answer.alert, label).f1,
        "events": events.events,
        "found": events.found,
        "note": answer.note,
    }


def figures_of(detector: str, case: Case, seed: int) -> dict[str, Any]:
    """Of one detector on a case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = ours(case, seed)[0] if detector == OURS else baseline(detector, case, seed)
        return figures(case, answer)


def budget_of(case: Case) -> dict[str, Any]:
    """The normal rows judged, and the alerts raised in them at each budget."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = trained(case, 0)
        rows = int((~case.label[case.start :]).sum())
        raised = [judged(case, model, per)[1] for per in BUDGETS]
        return {"case": f"{case.name}, {model.spec.family}", "rows": rows, "raised": raised}


def broken_sensors() -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(health.sensor_faults())
