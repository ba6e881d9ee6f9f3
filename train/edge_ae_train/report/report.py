"""A model and what it says of recordings, for the people at the plant: one HTML file, and Markdown and JSON beside it.

    files ─► the daemon's pipeline ─► Shown ─► pictures, tables, a sentence at each ─► Chapter ─► HTML | Markdown

The HTML file carries its pictures in itself, so that it can be sent by mail.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, tzinfo
from itertools import compress
from pathlib import Path

from edge_ae.core.rules import AlertRules
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae_train.data import recorded
from edge_ae_train.data.recorded import Series
from edge_ae_train.evaluation import evaluate, figures
from edge_ae_train.evaluation.evaluate import Evaluation
from edge_ae_train.progress import SILENT, Reporter, in_parts
from edge_ae_train.report.latent_map import latent_section
from edge_ae_train.report.model_card import model_section, training_section
from edge_ae_train.report.page import Chapter, make_folder, write
from edge_ae_train.report.recordings import MOST_RECORDINGS, recording_section, summary_section
from edge_ae_train.report.shown import Shown, shown_of

DRAWN_FROM = 0.8  # the share of the work that is done when drawing begins


def report(
    model_path: Path,
    paths: Sequence[str | Path],
    out: Path,
    rules: AlertRules,
    columns: ReadOptions = AS_IT_IS,
    reporter: Reporter = SILENT,
    zone: tzinfo = UTC,
) -> Path:
    """Writes report.html, report.md with its pictures, and report.json into `out`; returns the HTML file's path.

    `zone`: in which times are shown; those in report.json are UTC.
    """
    model = OnnxModel.load(model_path)
    make_folder(out)
    series = recorded.read(paths, model.spec, columns, reporter.part(0.0, evaluate.READ)) if paths else []
    return report_of(model, series, out, rules, reporter, zone)


def report_of(
    model: OnnxModel,
    series: Sequence[Series],
    out: Path,
    rules: AlertRules,
    reporter: Reporter = SILENT,
    zone: tzinfo = UTC,
) -> Path:
    """As `report`, of recordings that are read already; none: of the model alone."""
    make_folder(out)
    shown = _scored(model, series, rules, reporter, zone) if series else []
    reporter.step("drawing", DRAWN_FROM)
    evaluation = _evaluate(model, rules, shown)
    sections = list(_sections(model, shown, evaluation))
    title = f"{model.spec.name}: what it learned" if evaluation is None else f"{model.spec.name}: what it saw"
    return write(out, title, sections, _facts(model, evaluation, shown))


def _scored(
    model: OnnxModel, series: Sequence[Series], rules: AlertRules, reporter: Reporter, zone: tzinfo
) -> list[Shown]:
    parts = in_parts(reporter.part(evaluate.READ, DRAWN_FROM), [len(one.table) for one in series])
    shown = [shown_of(one, model, rules, zone, part) for one, part in zip(series, parts, strict=True)]
    results = [(one.table, one.result) for one in shown]
    return list(compress(shown, evaluate.have_scores(results, model.spec, reporter)))


def _evaluate(model: OnnxModel, rules: AlertRules, shown: Sequence[Shown]) -> Evaluation | None:
    if not shown:
        return None
    series = [evaluate.scored_rows(one.table, one.result, model.spec) for one in shown]
    return evaluate.summary(model, rules, series)


def _facts(model: OnnxModel, evaluation: Evaluation | None, shown: Sequence[Shown]) -> bytes:
    """What the pages say, for programs."""
    spec = model.spec
    facts = {
        "model": {"name": spec.name, "family": spec.family, "sha256": spec.sha256, "trained_at": spec.trained_at},
        "training": dict(model.report),
        "evaluation": None if evaluation is None else figures.as_dict(evaluation),
        "alerts": {one.name: one.alerts for one in shown},
    }
    return json.dumps(facts, indent=2).encode() + b"\n"


def _sections(model: OnnxModel, shown: Sequence[Shown], evaluation: Evaluation | None) -> Iterable[Chapter]:
    if evaluation is not None:
        yield summary_section(shown, evaluation)
        for number, one in enumerate(shown[:MOST_RECORDINGS]):
            yield recording_section(one, model, f"recording{number + 1}")
        yield from latent_section(model, shown)
    yield model_section(model)
    yield from training_section(model)
