"""Jobs that hold two models against each other by the law of `retrain`: the one in use and a candidate, asset by asset.

`compare_job` takes a candidate that is there, `retrain_job` trains one on the assets' normal rows. Either judges both on
held-out normal rows and on faults injected into them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import rfc3339
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.recording.options import ReadOptions
from edge_ae_train import fit, retrain
from edge_ae_train.data.history import Hindsight, Past, recall
from edge_ae_train.data.recorded import Series
from edge_ae_train.export import Origin
from edge_ae_train.fleet.fitting import digest_of, share_of, spread
from edge_ae_train.fleet.jobs import FleetJob, Product, file_name
from edge_ae_train.fleet.judging import series_of
from edge_ae_train.fleet.sources import AssetSource
from edge_ae_train.fleet.work import CompareOptions, RetrainOptions
from edge_ae_train.training_options import AUTO


def compare_job(job: FleetJob) -> Product:
    """How two models do on one asset's recordings; `replaced` in its facts: the candidate is no worse."""
    options: CompareOptions = job.options
    current, candidate = (OnnxModel.load(Path(one.path)) for one in (options.model, options.other))
    if set(current.spec.names) != set(candidate.spec.names):
        raise BadData(
            f"{options.other.path}: watches other channels than {options.model.path}: they cannot be compared"
        )
    past, _ = _past(job.sources, current, options.rules, Hindsight(), options.columns)
    length = max(current.spec.length, candidate.spec.length)
    chosen = _fit_options(current.spec, AUTO, length, options.seed)
    train, held_out = retrain.split(past.normal, length)
    injected = retrain.injections(train, held_out, length, chosen)
    trial = retrain.Trial(past.rules, past.assets, tuple(held_out), injected)
    return Product(_facts(retrain.compare(current, candidate, trial), options.model.key, past))


def retrain_job(job: FleetJob) -> Product:
    """The better of the model in use and a candidate, as the job's model file, and how the two did."""
    options: RetrainOptions = job.options
    current = OnnxModel.load(Path(options.model.path))
    past, left_out = _past(job.sources, current, options.rules, options.hindsight, options.columns)
    name = f"{file_name(job.key)}.onnx"
    tables = [asset.table for asset in past.assets]
    units = {channel.name: channel.unit for channel in current.spec.channels}
    newest = max(int(table.t_ns[-1]) for table in tables)
    origin = Origin(current.spec.name, rfc3339(newest), digest_of(tables), units)
    chosen = _fit_options(current.spec, options.family, options.length, options.seed)
    chosen = replace(chosen, thorough=options.thorough, zone=options.columns.time_zone)
    with TemporaryDirectory() as scratch:
        out = Path(scratch, name)
        outcome = retrain.retrain(past, chosen, origin, out)
        data = (out if outcome.replaced else Path(options.model.path)).read_bytes()
    facts = _facts(outcome, options.model.key, past) | {"left_out": left_out, "newest": origin.trained_at}
    return Product(facts | {"assets": [s.asset for s in job.sources if s.asset not in left_out]}, {name: data})


def _past(
    sources: Sequence[AssetSource], model: OnnxModel, rules: AlertRules, hindsight: Hindsight, columns: ReadOptions
) -> tuple[Past, dict[str, str]]:
    """What the model says of the assets' recordings, and why some could not be read. BadData where none could."""
    series, left_out = [], {}
    for place, source in enumerate(sources):
        if (share := share_of(place, len(sources))) == 0:
            continue
        try:
            table = series_of(source, model.spec, columns)
            series.append(Series(source.asset, spread(table, share, place / len(sources))))
        except BadData as fault:
            if len(sources) == 1:
                raise
            left_out[source.asset] = source.named(str(fault))
    if not series:
        raise BadData("; ".join(dict.fromkeys(left_out.values())))
    past = recall(series, model, rules, hindsight)
    return past, left_out


def _fit_options(spec: ModelSpec, family: str, length: int | None, seed: int) -> fit.Options:
    return fit.Options(family, length, spec.hop, seed, spec.channels)


def _facts(outcome: retrain.Outcome, model: str, past: Past) -> dict[str, Any]:
    return {**retrain.as_dict(outcome), "model": model, "notes": list(past.notes)}
