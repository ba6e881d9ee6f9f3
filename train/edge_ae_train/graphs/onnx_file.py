"""The ONNX format: a graph as plain data, and the bytes of a file. Knows nothing of what a graph computes.

The bytes are protobuf (the encoding: https://protobuf.dev/programming-guides/encoding), their fields those of `onnx.proto` in
https://github.com/onnx/onnx. A device writes them too, and there the `onnx` package, of 16 MB and more, has no business.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

OPSET = 20  # of the standard domain: the first with Gelu, of which networks are full
IR_VERSION = 9  # the first with that operator set
BATCH = "batch"  # what the one axis is called whose size is not in the file

ELEMENTS = {np.dtype(np.float32): 1, np.dtype(np.int64): 7, np.dtype(np.bool_): 9, np.dtype(np.float16): 10}
FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS = range(1, 8)  # kinds of an attribute
METADATA = 14  # the field of a model with its properties
VARINT, BYTES, SINGLE = 0, 2, 5  # how a field's value is written
FIXED = {1: 8, SINGLE: 4}  # bytes of those that always have as many

Array = NDArray[Any]
Attribute = Union[int, float, str, tuple[int, ...], tuple[float, ...], Array, "OnnxGraph"]


@dataclass(frozen=True, slots=True)
class Port:
    """A value that goes into a graph or comes out of it; `shape` None: as it comes; an axis of None: the batch."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One operation: `inputs` and `outputs` are names of values; an input that is not given has an empty one."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """`nodes` in an order in which they can be computed; `constants` by their names."""

    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def model_bytes(graph: OnnxGraph) -> bytes:
    """A model file without properties."""
    opset = _text(1, "") + _number(2, OPSET)
    return _number(1, IR_VERSION) + _text(2, "edge-ae") + _message(7, _graph(graph)) + _message(8, opset)


def properties(model: bytes) -> dict[str, str]:
    """What a model file says of itself, by key. Raises ValueError where it is cut short."""
    found = [payload for number, payload, _ in _fields(model) if number == METADATA]
    pairs = [{number: text.decode() for number, text, _ in _fields(payload)} for payload in found]
    return {pair[1]: pair.get(2, "") for pair in pairs}


def with_properties(model: bytes, values: Mapping[str, str]) -> bytes:
    """The model file with these in the place of those that it has. Raises ValueError where it is cut short."""
    others = [field for number, _, field in _fields(model) if number != METADATA]
    own = [_message(METADATA, _text(1, key) + _text(2, value)) for key, value in values.items()]
    return b"".join(others + own)


# -- the parts of a file ---------------------------------------------------------------------------------------


def _graph(graph: OnnxGraph) -> bytes:
    parts = [_message(1, _node(node)) for node in graph.nodes]
    parts.append(_text(2, "graph"))
    parts += [_message(5, _tensor(value, name)) for name, value in graph.constants.items()]
    parts += [_message(11, _port(port)) for port in graph.inputs]
    parts += [_message(12, _port(port)) for port in graph.outputs]
    return b"".join(parts)


def _node(node: OnnxNode) -> bytes:
    parts = [_text(1, name) for name in node.inputs] + [_text(2, name) for name in node.outputs]
    parts.append(_text(4, node.operator))
    parts += [_message(5, _text(1, name) + _attribute(value)) for name, value in node.attributes.items()]
    return b"".join(parts)


def _attribute(value: Attribute) -> bytes:
    if isinstance(value, OnnxGraph):
        return _message(6, _graph(value)) + _number(20, GRAPH)
    if isinstance(value, np.ndarray):
        return _message(5, _tensor(value)) + _number(20, TENSOR)
    if isinstance(value, str):
        return _text(4, value) + _number(20, STRING)
    if isinstance(value, int):
        return _number(3, value) + _number(20, INT)
    if isinstance(value, float):
        return _single(2, value) + _number(20, FLOAT)
    if any(isinstance(one, float) for one in value):
        return b"".join(_single(7, one) for one in value) + _number(20, FLOATS)
    return b"".join(_number(8, int(one)) for one in value) + _number(20, INTS)


def _tensor(value: Array, name: str = "") -> bytes:
    shape = b"".join(_number(1, size) for size in value.shape)
    data = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
    return shape + _number(2, ELEMENTS[value.dtype]) + _text(8, name) + _message(9, data)


def _port(port: Port) -> bytes:
    kind = _number(1, ELEMENTS[port.dtype])
    if port.shape is not None:
        sizes = [_text(2, BATCH) if size is None else _number(1, size) for size in port.shape]
        kind += _message(2, b"".join(_message(1, size) for size in sizes))
    return _text(1, port.name) + _message(2, _message(1, kind))


# -- protobuf --------------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; of a negative number the 64 bits of its complement."""
    value &= 2**64 - 1
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | VARINT) + _varint(value)


def _single(number: int, value: float) -> bytes:
    return _varint(number << 3 | SINGLE) + struct.pack("<f", value)


def _message(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(payload)) + payload


def _text(number: int, value: str) -> bytes:
    return _message(number, value.encode())


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Of each field its number, its value (of a text or a message what is in it), and all of its bytes."""
    first = 0
    while first < len(message):
        key, at = _read_varint(message, first)
        start, end = _extent(message, at, key & 7)
        if end > len(message):
            raise ValueError("a field is cut short")
        yield key >> 3, message[start:end], message[first:end]
        first = end


def _extent(message: bytes, at: int, kind: int) -> tuple[int, int]:
    """The first byte of a field's value, and the one behind it."""
    if kind == BYTES:
        size, start = _read_varint(message, at)
        return start, start + size
    if kind == VARINT:
        return at, _read_varint(message, at)[1]
    if kind not in FIXED:
        raise ValueError(f"a field is written in an unknown way, {kind}")
    return at, at + FIXED[kind]


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """The number, and the place of the byte behind it."""
    value = shift = 0
    while at < len(message):
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at
    raise ValueError("a number is cut short")
