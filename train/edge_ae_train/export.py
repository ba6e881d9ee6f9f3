"""A fitted model -> one ONNX file that proves itself: metadata, golden vectors, digest; and onnxruntime must agree with numpy."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_ae.core.channel_profile import with_profile
from edge_ae.core.model_spec import Channel, Floats, Kind, ModelSpec
from edge_ae.model.onnx_model import EXPLAIN, MAGNITUDE, NO_DIGEST, OUTPUTS, PREFIX, SCHEMA_VERSION, OnnxModel, digest
from edge_ae.store.atomic import write_whole
from edge_ae_train.data.dataset import MODE_WINDOWS, in_chunks, some_windows, spread_over
from edge_ae_train.data.segments import Recording, stretches, values_of
from edge_ae_train.deviation import deviations
from edge_ae_train.fit import Fitted
from edge_ae_train.graphs.compact import compact
from edge_ae_train.graphs.onnx_file import model_bytes, properties, with_properties
from edge_ae_train.graphs.trace import trace
from edge_ae_train.models.families import VARIATIONAL
from edge_ae_train.scoring import modes
from edge_ae_train.scoring.graph import ScoredNetwork
from edge_ae_train.scoring.habits import common_values

GOLDEN_WINDOWS = 3
GOLDEN_BYTES = 64_000  # of wide windows there are fewer, one at the least
DIGEST = PREFIX + "digest"
PROOF_TOLERANCE = 5e-5  # of the score, relative where it is above 1; a device allows twice as much of the golden ones
Graph = Callable[[Floats], tuple[Floats, ...]]
"""OUTPUTS, and MAGNITUDE where it is known, of windows [batch, length, channel]: array code, which can be traced."""

READABLE = 0o666  # less the umask: a model is no secret, and is copied by other users


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model is from: its name in alerts, the unit of each channel that has one, RFC 3339, and the recordings' digest."""

    name: str
    trained_at: str = ""
    data_sha256: str = ""
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a model file says beside its graph. `extra`: optional metadata, by its key without the prefix."""

    spec: ModelSpec
    report: Mapping[str, Any]
    data_sha256: str
    extra: Mapping[str, str] = field(default_factory=dict)


def save(fitted: Fitted, recording: Recording, origin: Origin, out: Path) -> OnnxModel:
    """Export what was fitted to the recording, and prove it on windows from all over its rows."""
    graph, length = fitted.graph, fitted.candidate.length
    parts = stretches(fitted.seen(recording.segments), length)
    rows = values_of(stretches(recording.segments, length))
    extra = _generator(fitted, values_of(parts)) if fitted.candidate.family == VARIATIONAL else {}
    extra |= modes.metadata(latents(graph, some_windows(parts, length, MODE_WINDOWS)))
    contents = Contents(spec_of(fitted, recording, origin, rows), fitted.report, origin.data_sha256, extra)
    return export(graph, contents, some_windows(parts, length), out)


def _generator(fitted: Fitted, rows: Sequence[Floats]) -> dict[str, str]:
    """What a variational model makes new rows from."""
    from edge_ae_train.synthetic import sampler  # loads torch

    graph = fitted.graph
    return sampler.metadata(graph.measure.views.network, rows, graph.standardise, fitted.candidate.length)


def spec_of(fitted: Fitted, recording: Recording, origin: Origin, rows: Sequence[Floats]) -> ModelSpec:
    """What a model file says of what was fitted. `rows`: the stretches that channel profiles are measured on."""
    calibration, units = fitted.candidate.calibration, origin.units
    errors = deviations(fitted.candidate, fitted.graph.standardise, recording.turns)
    seasons = [()] * len(recording.names) if fitted.season is None else fitted.season.weights
    channels = [
        channel(replace(known, unit=units.get(known.name, ""), deviation=error, season=season), rows, index)
        for index, (known, error, season) in enumerate(zip(recording.channels, errors, seasons, strict=True))
    ]
    return ModelSpec(
        name=origin.name,
        sha256="",
        family=fitted.candidate.family,
        channels=with_profile(channels, rows),
        period_ns=recording.period_ns,
        length=fitted.candidate.length,
        hop=fitted.hop,
        tail=calibration.tail,
        typical=calibration.typical,
        trained_at=origin.trained_at,
        hold_rows=recording.hold_rows,
        when=recording.when,
        zone="UTC" if fitted.season is None else str(fitted.season.zone),
    )


def channel(known: Channel, segments: Sequence[Floats], index: int) -> Channel:
    """A channel with its range and smallest step in the rows; with its values, where it has few."""
    readings = np.concatenate([segment[:, index] for segment in segments])
    values = np.unique(readings[np.isfinite(readings)])
    steps = np.diff(values)
    resolution = float(steps.min()) if len(steps) > 0 else 0.0
    low, high = (float(values[0]), float(values[-1])) if len(values) > 0 else (-np.inf, np.inf)
    few = tuple(common_values(readings).tolist()) if known.kind == Kind.DISCRETE else ()
    return replace(known, low=low, high=high, resolution=resolution, values=few)


def latents(graph: ScoredNetwork, windows: Floats) -> Floats:
    """[window, latent] of windows [window, length, channel] in physical units, as the model file will give them."""
    return np.concatenate([graph(part)[3] for part in in_chunks(windows)])


def export(graph: Graph, contents: Contents, windows: Floats, out: Path) -> OnnxModel:
    """Write the model file whole, load it as a device would, and compare it with the graph itself on `windows` (physical).

    Raises BadModel or RuntimeError where the file does not prove itself; what was in `out` stays then.
    """
    expected = graph(windows)[0]
    shape = contents.spec.length, len(contents.spec.channels)
    bare = model_bytes(compact(trace(graph, shape, "window", (*OUTPUTS, MAGNITUDE), option=EXPLAIN)))
    golden = spread_over(len(windows), max(1, min(GOLDEN_WINDOWS, GOLDEN_BYTES // windows[:1].nbytes)))
    model = _sealed(bare, _metadata(contents, windows[golden], expected[golden]))

    def prove(written: Path) -> None:
        difference = np.abs(OnnxModel.load(written).score(windows) - expected) / np.maximum(expected, 1.0)
        if not float(difference.max()) <= PROOF_TOLERANCE:
            raise RuntimeError(f"onnxruntime and numpy differ by {difference.max():.2g} in the score")

    write_whole(out, model, mode=READABLE, check=prove)
    return OnnxModel.load(out)


def with_report(source: Path, report: Mapping[str, Any], out: Path) -> OnnxModel:
    """The model of the file `source` with another report, written whole to `out`."""
    model = source.read_bytes()
    metadata = properties(model) | {PREFIX + "report": json.dumps(report)}
    write_whole(out, _sealed(model, metadata), mode=READABLE, check=OnnxModel.load)
    return OnnxModel.load(out)


# -- the metadata ----------------------------------------------------------------------------------------------


def _metadata(contents: Contents, golden: Floats, scores: Floats) -> dict[str, str]:
    """`golden`: windows [window, length, channel] that a machine can be checked by, and their scores [window]."""
    spec = contents.spec
    channels = [_channel_facts(channel) for channel in spec.channels]
    vectors = {"windows": b64encode(golden.astype("<f4").tobytes()).decode(), "scores": scores.tolist()}
    values = {
        "schema_version": str(SCHEMA_VERSION),
        "name": spec.name,
        "channels": json.dumps(channels),
        "sample_period_ns": str(spec.period_ns),
        "hop": str(spec.hop),
        "hold_rows": str(spec.hold_rows),
        "family": spec.family,
        "tail": json.dumps(_tail_facts(spec)),
        "golden": json.dumps(vectors),
        "trained_at": spec.trained_at,
        "train_data_sha256": contents.data_sha256,
        "report": json.dumps(contents.report),
    }
    errors = [channel.deviation for channel in spec.channels]
    known = {"deviations": json.dumps(errors)} if any(error > 0.0 for error in errors) else {}
    known |= {"when": spec.when} if spec.when else {}
    known |= {"zone": spec.zone} if any(channel.season for channel in spec.channels) else {}
    return {PREFIX + key: value for key, value in {**contents.extra, **known, **values}.items()}


def _tail_facts(spec: ModelSpec) -> dict[str, float]:
    facts = asdict(spec.tail) | {"typical": spec.typical}
    return {key: value for key, value in facts.items() if value != np.inf}  # JSON has no infinity


def _channel_facts(channel: Channel) -> dict[str, Any]:
    """What is as usual goes unsaid, for versions before 0.3 know none of these keys and refuse a file that has one. Therefore
    deviations have a key of their own in the metadata."""
    usual = {key: getattr(Channel(channel.name), key) for key in ("kind", "turn", "error_values", "values", "season")}
    facts = {key: value for key, value in asdict(channel).items() if value not in (np.inf, -np.inf)}
    del facts["deviation"]
    return {key: value for key, value in facts.items() if key not in usual or value != usual[key]}


def _sealed(model: bytes, metadata: Mapping[str, str]) -> bytes:
    """The file with this metadata, and the digest over all of it."""
    others = {key: value for key, value in metadata.items() if key != DIGEST}
    unsealed = with_properties(model, others | {DIGEST: NO_DIGEST})
    return with_properties(model, others | {DIGEST: digest(unsealed, NO_DIGEST)})
