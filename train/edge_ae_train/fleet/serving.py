"""Jobs that find out what an asset is like, and whether a model that it shares with others serves it as well as its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from edge_ae.core.model_spec import Explanation, Floats, ModelSpec
from edge_ae.core.rules import AlertRules
from edge_ae.model.onnx_model import OnnxModel
from edge_ae_train import fit, retrain
from edge_ae_train.data.clean import in_order
from edge_ae_train.data.period import sample_period_ns
from edge_ae_train.data.prepare import recording_of
from edge_ae_train.data.segments import Recording, stretches, values_of
from edge_ae_train.evaluation.clock import WEEK_NS
from edge_ae_train.export import Origin, spec_of
from edge_ae_train.fleet.fitting import first_part, spread, trained
from edge_ae_train.fleet.jobs import FleetJob, Product
from edge_ae_train.fleet.places import places_of
from edge_ae_train.fleet.work import UNTIL, ServeOptions
from edge_ae_train.scoring.graph import ScoredNetwork

MOST_LINES = 20_000  # of an asset, that the test looks at
WEEKLY = AlertRules(WEEK_NS)


class GraphModel:
    """What was fitted, as the core asks for a model: exporting it would take ten times as long as fitting it."""

    def __init__(self, graph: ScoredNetwork, spec: ModelSpec) -> None:
        self._graph, self.spec = graph, spec

    def score(self, windows: Floats) -> Floats:
        return self._graph(windows)[0]

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        return [Explanation(*parts) for parts in zip(*self._graph(windows)[1:], strict=True)]


def look_job(job: FleetJob) -> Product:
    """Channels and period of an asset, and where each channel lies."""
    table = in_order(job.sources[0].table(job.options.columns))
    order = sorted(table.names)
    values = table.values[:, [table.names.index(name) for name in order]]
    middle, moves = places_of(values)
    return Product({"channels": order, "period_ns": sample_period_ns([table]), "middle": middle, "spread": moves})


def serve_job(job: FleetJob) -> Product:
    """Whether a shared model serves an asset as well as its own does; `worse` in its facts: how it does not."""
    options: ServeOptions = job.options
    shared = OnnxModel.load(Path(options.shared.path))
    table = spread(in_order(job.sources[0].table(options.fitting.columns)), MOST_LINES)
    recording, fitted = trained([first_part(table, UNTIL)], options.fitting)
    own = model_of(recording, fitted)
    whole = recording_of([table], options.fitting.rows, options.fitting.columns.label)
    length = max(own.spec.length, shared.spec.length)
    train, held_out = retrain.split(whole.segments, length)
    chosen = fit.Options(length=length, seed=options.fitting.seed, channels=recording.channels)
    injected = retrain.injections(train, held_out, length, chosen)
    trial = retrain.Trial(WEEKLY, (), tuple(held_out), injected)
    outcome = retrain.compare(cast(OnnxModel, own), shared, trial)  # of either no more is asked than the core asks
    return Product({"shared": options.shared.key, "serves": outcome.replaced, "worse": outcome.worse})


def model_of(recording: Recording, fitted: fit.Fitted) -> GraphModel:
    """What was fitted to a recording, as the core asks for a model."""
    rows = values_of(stretches(recording.segments, fitted.candidate.length))
    return GraphModel(fitted.graph, spec_of(fitted, recording, Origin("own"), rows))
