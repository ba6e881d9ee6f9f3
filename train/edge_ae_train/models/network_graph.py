"""A torch network -> its ONNX graph. Tracing one takes many seconds, so a process traces each structure once: networks that differ
in the values of their tensors alone get the same graph with their own values.

    network ─► structure ─► traced once, no constant folded ─► copy ─► own tensors ─► optimised ─► as plain data
               all that is pickled of it but the values of its tensors

What is folded comes after a network's own values are in, so that a graph is the same to the bit whether its structure was traced for
it or for another.
"""

import io
import logging
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edge_ae_train.graphs.onnx_file import OPSET, Attribute, OnnxGraph, OnnxNode, Port

WINDOW, OUTPUTS = "window", ("latent", "restored")
MOST_STRUCTURES = 16  # that a process keeps, some MB each; the one used longest ago goes


@dataclass(frozen=True, slots=True)
class _Structure:
    """`text`: all that a trace depends on. `network`: one that has it."""

    text: bytes
    rows: int
    channels: int
    network: nn.Module = field(compare=False)


def network_graph(network: nn.Module, rows: int, channels: int) -> OnnxGraph:
    """The graph of a network, evaluating, that takes windows [batch, rows, channels] and gives OUTPUTS."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    structure = _Structure(_all_but_values(network), rows, channels, network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.ONNXProgram(_traced(structure).clone(), None)
        program.apply_weights(network.state_dict())
        program.optimize()
    return _plain(program.model_proto.graph)


@lru_cache(MOST_STRUCTURES)
def _traced(structure: _Structure) -> Any:
    """The graph as onnx_ir has it, in which each tensor of the network still goes by its name."""
    example = torch.zeros(2, structure.rows, structure.channels)
    program = torch.onnx.export(
        structure.network,
        (example,),
        input_names=[WINDOW],
        output_names=OUTPUTS,
        dynamic_shapes={WINDOW: {0: torch.export.Dim("batch")}},
        opset_version=OPSET,
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


def _plain(graph: onnx.GraphProto) -> OnnxGraph:
    """Without what the exporter says of where in torch's source a node came from, and without constants that nothing reads."""
    nodes = tuple(
        OnnxNode(node.op_type, tuple(node.input), tuple(node.output), {one.name: _value(one) for one in node.attribute})
        for node in graph.node
    )
    read = {name for node in nodes for name in node.inputs}
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer if one.name in read}
    return OnnxGraph(nodes, constants, _ports(graph.input), _ports(graph.output))


def _ports(values: Sequence[onnx.ValueInfoProto]) -> tuple[Port, ...]:
    return tuple(Port(value.name, np.dtype(np.float32)) for value in values)


def _value(attribute: onnx.AttributeProto) -> Attribute:
    """No network of ours has a branch."""
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return value if isinstance(value, int | float) else tuple(value)
