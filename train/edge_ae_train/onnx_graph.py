"""A network -> its ONNX graph. Tracing one takes many seconds, so a process traces each structure once: networks that differ in
the values of their tensors alone get the same graph with their own values.

    network ─► structure ─► traced once, no constant folded ─► copy ─► own tensors ─► optimised ─► tidied
               all that is pickled of it but the values of its tensors

What is folded and renamed comes after a network's own values are in, so that a graph is the same to the bit whether its
structure was traced for it or for another.
"""

import io
import logging
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from edge_ae.model.onnx_model import MAGNITUDE, OUTPUTS

MOST_STRUCTURES = 16  # that a process keeps, some MB each; the one used longest ago goes


@dataclass(frozen=True, slots=True)
class _Structure:
    """`text`: all that a trace depends on. `network`: one that has it."""

    text: bytes
    rows: int
    channels: int
    network: nn.Module = field(compare=False)


def onnx_graph(network: nn.Module, rows: int, channels: int) -> onnx.ModelProto:
    """The graph of a network, evaluating, that takes windows [batch, rows, channels] and gives OUTPUTS, and MAGNITUDE
    where it is known."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    structure = _Structure(_all_but_values(network), rows, channels, network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.ONNXProgram(_traced(structure).clone(), None)
        program.apply_weights(network.state_dict())
        program.optimize()
    proto = program.model_proto
    _tidy(proto.graph)
    return proto


@lru_cache(MOST_STRUCTURES)
def _traced(structure: _Structure) -> Any:
    """The graph as onnx_ir has it, in which each tensor of the network still goes by its name."""
    example = torch.zeros(2, structure.rows, structure.channels)
    with torch.no_grad():
        given = len(structure.network(example))
    program = torch.onnx.export(
        structure.network,
        (example,),
        input_names=["window"],
        output_names=[*OUTPUTS, MAGNITUDE][:given],
        dynamic_shapes={"window": {0: torch.export.Dim("batch")}},
        dynamo=True,
        verbose=False,
        optimize=False,
    )
    assert program is not None
    return program.model


def _all_but_values(network: nn.Module) -> bytes:
    text = io.BytesIO()
    _StructurePickler(text, network).dump(network)
    return text.getvalue()


class _StructurePickler(pickle.Pickler):
    """Writes types, names and attributes; of a registered tensor its place and form instead of what is in it. A tensor that
    is not registered is an attribute as any other, value and all."""

    def __init__(self, text: io.BytesIO, network: nn.Module) -> None:
        super().__init__(text)
        self._forms = {id(tensor): _form(name, tensor) for name, tensor in network.state_dict(keep_vars=True).items()}

    def persistent_id(self, obj: Any) -> str | None:
        if not isinstance(obj, Tensor):
            return None
        form = self._forms.get(id(obj))
        return f"{obj.dtype} {obj.tolist()}" if form is None else form


def _form(name: str, tensor: Tensor) -> str:
    return f"{name} {type(tensor).__name__} {tensor.dtype} {tuple(tensor.shape)} {tensor.stride()}"


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
