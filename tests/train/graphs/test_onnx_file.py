"""The bytes are those that the onnx package reads, whatever is in a graph."""

from typing import Any

import numpy as np
import onnx
import pytest
from edge_ae_train.graphs.onnx_file import BATCH, OnnxGraph, OnnxNode, Port, model_bytes, properties, with_properties

F4 = np.dtype(np.float32)
ATTRIBUTES: dict[str, Any] = {
    "negative": -3,
    "large": 2**40,
    "ratio": 0.25,
    "word": "edge",
    "axes": (0, -1, 300),
    "scales": (0.5, -1.0),
    "table": np.arange(6, dtype=np.int64).reshape(2, 3),
}
CONSTANTS = {
    "weight": np.linspace(-1, 1, 200, dtype=np.float32).reshape(2, 100),
    "flags": np.array([True, False]),
    "place": np.array(-7, np.int64),
    "nothing": np.zeros((0, 3), np.float32),
}


def graph() -> OnnxGraph:
    inner = OnnxGraph((OnnxNode("Neg", ("window",), ("less",)),), {}, (), (Port("less", F4),))
    nodes = (OnnxNode("Any", ("window", "", "weight"), ("a", "b"), {**ATTRIBUTES, "body": inner}),)
    return OnnxGraph(nodes, CONSTANTS, (Port("window", F4, (None, 4)),), (Port("a", F4, (None,)), Port("b", F4)))


def test_every_part_of_a_graph_is_read_as_it_was_written() -> None:
    found = onnx.load_from_string(model_bytes(graph())).graph
    (node,) = found.node
    assert (node.op_type, list(node.input), list(node.output)) == ("Any", ["window", "", "weight"], ["a", "b"])
    values = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    assert [values[name] for name in ("negative", "large", "ratio", "word")] == [-3, 2**40, 0.25, b"edge"]
    assert (list(values["axes"]), list(values["scales"])) == ([0, -1, 300], [0.5, -1.0])
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(values["table"]), ATTRIBUTES["table"])
    assert values["body"].node[0].op_type == "Neg"
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in found.initializer}
    for name, value in CONSTANTS.items():
        np.testing.assert_array_equal(constants[name], value)
        assert constants[name].dtype == value.dtype
    batch, rows = found.input[0].type.tensor_type.shape.dim
    assert (batch.dim_param, rows.dim_value) == (BATCH, 4)
    assert not found.output[1].type.tensor_type.HasField("shape")


def test_properties_take_the_place_of_those_before_and_leave_the_rest() -> None:
    bare = model_bytes(graph())
    first = with_properties(bare, {"name": "pump", "long": "x" * 70_000, "empty": ""})
    assert properties(first) == {"name": "pump", "long": "x" * 70_000, "empty": ""}
    other = with_properties(first, {"name": "pümpe"})
    assert {prop.key: prop.value for prop in onnx.load_from_string(other).metadata_props} == {"name": "pümpe"}
    assert with_properties(other, {}) == bare


@pytest.mark.parametrize("end", [1, 7, 40])
def test_file_that_is_cut_short_is_refused(end: int) -> None:
    with pytest.raises(ValueError, match="cut short"):
        properties(with_properties(model_bytes(graph()), {"name": "pump"})[:-end])
