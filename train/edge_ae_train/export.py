"""A trained graph -> one ONNX file that proves itself: metadata, golden vectors, digest; and onnxruntime must agree with torch."""

import json
import logging
import os
import warnings
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import torch

from edge_ae.core.model_spec import Floats, ModelSpec
from edge_ae.model.onnx_model import NO_DIGEST, OUTPUTS, PREFIX, SCHEMA_VERSION, OnnxModel, digest
from edge_ae_train.data.dataset import spread_over
from edge_ae_train.scoring.graph import ScoredNetwork

GOLDEN_WINDOWS = 3
DIGEST = PREFIX + "digest"
PROOF_TOLERANCE = 1e-5  # of the score, relative where it is above 1


def export(
    graph: ScoredNetwork,
    spec: ModelSpec,
    report: Mapping[str, Any],
    data_sha256: str,
    windows: Floats,
    out: Path,
    extra: Mapping[str, str] = MappingProxyType({}),
) -> OnnxModel:
    """Write the model file whole, load it as a device would, and compare it with torch on `windows` (physical).

    `extra`: metadata beside what the spec holds, by its key without the prefix.
    """
    graph = graph.eval()
    with torch.no_grad():
        expected = graph(torch.from_numpy(windows))[0].numpy()
    proto = _to_onnx(graph, spec)
    golden = spread_over(len(windows), GOLDEN_WINDOWS)
    _add_metadata(proto, spec, report, data_sha256, windows[golden], expected[golden], extra)
    temporary = out.with_name(out.name + ".part")
    try:
        _write_whole(proto.SerializeToString(), temporary)
        model = OnnxModel.load(temporary)
        difference = np.abs(model.score(windows) - expected) / np.maximum(expected, 1.0)
        if not float(difference.max()) <= PROOF_TOLERANCE:
            raise RuntimeError(f"onnxruntime and torch differ by {difference.max():.2g} in the score")
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return OnnxModel.load(out)


def _to_onnx(graph: ScoredNetwork, spec: ModelSpec) -> onnx.ModelProto:
    example = torch.zeros(2, spec.length, len(spec.channels))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=["window"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"window": {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    _tidy(proto.graph)
    return proto


def _tidy(graph: onnx.GraphProto) -> None:
    """Values are named by their order, for the exporter's own names change from one export to the next; where in torch's
    source a node came from is nothing that a device needs."""
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    for node in _nodes(graph):
        for values in (node.input, node.output):
            for index, name in enumerate(values):
                values[index] = names.setdefault(name, f"v{len(names)}") if name else ""
        node.name = node.doc_string = ""
        del node.metadata_props[:]
    for part in _graphs(graph):
        part.name = "graph"
        del part.value_info[:], part.metadata_props[:]
        initializers = [value for value in part.initializer if value.name in names]  # the others nothing reads
        for value in (*initializers, *part.output):
            value.name = names[value.name]
        initializers.sort(key=lambda value: value.name)
        del part.initializer[:]
        part.initializer.extend(initializers)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of branches among them, in order."""
    for node in graph.node:
        yield node
        for branch in _branches(node):
            yield from _nodes(branch)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for branch in _branches(node):
            yield from _graphs(branch)


def _branches(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    return (attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH)


def _add_metadata(
    proto: onnx.ModelProto,
    spec: ModelSpec,
    report: Mapping[str, Any],
    data_sha256: str,
    golden: Floats,
    scores: Floats,
    extra: Mapping[str, str],
) -> None:
    channels = [{k: v for k, v in asdict(c).items() if v not in (np.inf, -np.inf)} for c in spec.channels]
    values = {
        "schema_version": str(SCHEMA_VERSION),
        "name": spec.name,
        "channels": json.dumps(channels),
        "sample_period_ns": str(spec.period_ns),
        "hop": str(spec.hop),
        "hold_rows": str(spec.hold_rows),
        "family": spec.family,
        "tail": json.dumps(asdict(spec.tail) | {"typical": spec.typical}),
        "golden": json.dumps(
            {"windows": b64encode(golden.astype("<f4").tobytes()).decode(), "scores": scores.tolist()}
        ),
        "trained_at": spec.trained_at,
        "train_data_sha256": data_sha256,
        "report": json.dumps(report),
    }
    _seal(proto, {PREFIX + key: value for key, value in {**extra, **values}.items()})


def _seal(proto: onnx.ModelProto, metadata: Mapping[str, str]) -> None:
    """Gives the file its metadata, and the digest over all of it."""
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {**metadata, DIGEST: NO_DIGEST})
    seal = next(prop for prop in proto.metadata_props if prop.key == DIGEST)
    seal.value = digest(proto.SerializeToString(), NO_DIGEST)


def with_report(source: Path, report: Mapping[str, Any], out: Path) -> OnnxModel:
    """The model of the file `source` with another report, written whole to `out`."""
    proto = onnx.load(source)
    metadata = {prop.key: prop.value for prop in proto.metadata_props}
    _seal(proto, metadata | {PREFIX + "report": json.dumps(report)})
    temporary = out.with_name(out.name + ".part")
    try:
        _write_whole(proto.SerializeToString(), temporary)
        OnnxModel.load(temporary)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return OnnxModel.load(out)


def _write_whole(data: bytes, path: Path) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
