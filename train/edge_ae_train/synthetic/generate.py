"""A synthetic recording of normal operation, from a model file alone.

    generator (metadata) ─ walk ─► latents ─ decoder (the graph behind `latent`) ─► windows ─ join ─┐
                         ─ noise ────────────────────────────────────────────────────────────────────┴─► rows

The decoder needs no file of its own: the graph of a model file computes `reconstruction` from `latent`.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx.utils import Extractor

from edge_ae.core.counters import readings_of
from edge_ae.core.model_spec import Channel, Floats, Kind, ModelSpec
from edge_ae.core.season import day_course
from edge_ae.core.timestamps import parse_time_ns, rfc3339
from edge_ae.errors import BadModel
from edge_ae.model.onnx_model import PREFIX, OnnxModel
from edge_ae_train.synthetic import sampler
from edge_ae_train.synthetic.sampler import Sampler

MS = 1_000_000
BATCH = 1024
FINE = 1e-4  # of a channel's range: its step where the training showed none


@dataclass(frozen=True)
class Synthetic:
    """`values` [row, channel] in physical units; `times` as a CSV shows them."""

    times: list[str]
    names: tuple[str, ...]
    values: NDArray[np.float64]


def generate(path: Path, rows: int, seed: int = 0) -> Synthetic:
    """`rows` rows of a machine that never was, on the model's grid from the time of its training on. Raises BadModel."""
    spec = OnnxModel.load(path).spec
    proto = onnx.load(path)
    law, decoder = _law(proto, path), _decoder(proto)
    step = sampler.step_of(spec.length)
    rng = np.random.default_rng(seed)
    latents, followed = sampler.walk(law, math.ceil((rows + 2 * spec.length) / step), rng)
    smooth = _joined(_decode(decoder, latents), spec)
    loudness = sampler.join(np.repeat(law.loudness[followed][:, None], spec.length, axis=1))
    noisy = smooth + loudness * sampler.noise(law, len(smooth), rng)
    whole = noisy[spec.length : spec.length + rows].astype(np.float64)  # at both ends few windows overlap
    course = day_course(spec)
    if course is not None:
        whole += course.of(_first_slot(spec), rows)
    signals = np.column_stack([_as_sensor(whole[:, i], channel) for i, channel in enumerate(spec.channels)])
    return Synthetic(_times(spec, rows), spec.names, readings_of(signals, spec.channels, spec.period_ns))


def _law(proto: onnx.ModelProto, path: Path) -> Sampler:
    texts = {prop.key: prop.value for prop in proto.metadata_props}
    if PREFIX + sampler.KEY not in texts:
        raise BadModel(f"{path}: cannot generate, only the family vae can; train a model with fit --family vae")
    try:
        return sampler.from_text(texts[PREFIX + sampler.KEY])
    except (KeyError, TypeError, ValueError) as error:
        raise BadModel(f"{path}: its generator cannot be read ({error}); export the model again") from error


def _decoder(proto: onnx.ModelProto) -> ort.InferenceSession:
    latent = _explained(proto.graph)
    part = Extractor(proto).extract_model([latent], ["reconstruction"])
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _explained(graph: onnx.GraphProto) -> str:
    """Puts what is computed where reasons are asked for in the place of its branch; the name of the latent that the rest is computed
    from. A file of an earlier version has no such branch."""
    asked = next((node for node in graph.node if node.op_type == "If" and "latent" in node.output), None)
    if asked is None:
        return "latent"
    branch = next(one.g for one in asked.attribute if one.name == "then_branch")
    named = {inner.name: outer for inner, outer in zip(branch.output, asked.output, strict=True)}
    for node in branch.node:
        node.output[:] = [named.get(name, name) for name in node.output]
    graph.node.remove(asked)
    graph.node.extend(branch.node)
    graph.initializer.extend(branch.initializer)
    copied = next(
        node.input[0] for node in branch.node if "latent" in node.output
    )  # an output of a branch is a value of its own
    shape = next(one.type for one in graph.output if one.name == "latent")
    graph.value_info.append(onnx.ValueInfoProto(name=copied, type=shape))
    return str(copied)


def _decode(decoder: ort.InferenceSession, latents: Floats) -> Floats:
    (latent,) = (one.name for one in decoder.get_inputs())
    parts = [latents[first : first + BATCH] for first in range(0, len(latents), BATCH)]
    return np.concatenate([decoder.run(["reconstruction"], {latent: part})[0] for part in parts])


def _joined(windows: Floats, spec: ModelSpec) -> Floats:
    """Windows [window, length, channel] as rows; angles are faded into each other round the turn."""
    rows = sampler.join(windows)
    for index, channel in enumerate(spec.channels):
        if channel.kind == Kind.ANGLE:
            radians = windows[:, :, index : index + 1] * (2.0 * math.pi / channel.turn)
            parts = sampler.join(np.concatenate([np.sin(radians), np.cos(radians)], axis=2))
            rows[:, index] = np.arctan2(parts[:, 0], parts[:, 1]) * (channel.turn / (2.0 * math.pi))
    return rows


def _as_sensor(values: NDArray[np.float64], channel: Channel) -> NDArray[np.float64]:
    """In the channel's steps, and within what it showed in training."""
    if channel.kind == Kind.ANGLE:
        values = np.mod(values - channel.low, channel.turn) + channel.low
    width = channel.high - channel.low
    coarse = channel.resolution if channel.resolution > FINE * width else FINE * width
    if not 0 < coarse < math.inf:
        return np.full_like(values, channel.low)  # it never moved
    step = float(f"{coarse:.2g}")  # a difference of two float32 has no more digits
    decimals = max(0, 1 - math.floor(math.log10(step)))
    return np.round(np.round(np.clip(values, channel.low, channel.high) / step) * step, decimals) + 0.0  # no -0.0


def _first_slot(spec: ModelSpec) -> int:
    return parse_time_ns(spec.trained_at) // spec.period_ns


def _times(spec: ModelSpec, rows: int) -> list[str]:
    first = _first_slot(spec)
    t_ns = [(first + row) * spec.period_ns for row in range(rows)]
    return [rfc3339(t) for t in t_ns] if spec.period_ns % MS == 0 else [str(t) for t in t_ns]
