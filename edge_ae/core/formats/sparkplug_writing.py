"""The protobuf of Sparkplug B, written: metrics -> payloads. `sparkplug_payload` is the other way, and has the numbers of types."""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edge_ae.core.formats.sparkplug_payload import (
    BOOLEAN,
    BYTES,
    DOUBLE,
    FIXED64,
    INT64,
    REBIRTH,
    STRING,
    VARINT,
)


def payload_bytes(t_ms: int, metrics: Iterable[bytes], seq: int | None = None) -> bytes:
    """A payload of metrics as `metric_bytes` makes them; `t_ms`: since the epoch."""
    body = _number(1, t_ms) + b"".join(_bytes(2, metric) for metric in metrics)
    return body if seq is None else body + _number(3, seq)


def metric_bytes(
    datatype: int, value: Any, t_ms: int, *, name: str | None = None, alias: int | None = None, typed: bool = True
) -> bytes:
    """One metric; `value` None: it has none. `typed`: it says its type, as a birth must. Types are INT64, DOUBLE, BOOLEAN, STRING."""
    out = b"" if name is None else _bytes(1, name.encode())
    out += b"" if alias is None else _number(2, alias)
    out += _number(3, t_ms) + (_number(4, datatype) if typed else b"")
    return out + (_number(7, 1) if value is None else VALUES[datatype](value))


def rebirth_command(now_ms: int) -> bytes:
    """The payload of the NCMD that asks an edge node for its births."""
    return payload_bytes(now_ms, [metric_bytes(BOOLEAN, True, now_ms, name=REBIRTH)])


# -- the wire ----------------------------------------------------------------------------------------------


def _number(number: int, value: int) -> bytes:
    return _varint_bytes(number << 3 | VARINT) + _varint_bytes(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint_bytes(number << 3 | BYTES) + _varint_bytes(len(value)) + value


def _double(number: int, value: float) -> bytes:
    return _varint_bytes(number << 3 | FIXED64) + struct.pack("<d", value)


def _varint_bytes(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


VALUES: Mapping[int, Callable[[Any], bytes]] = {
    INT64: lambda value: _number(11, value),
    DOUBLE: lambda value: _double(13, value),
    BOOLEAN: lambda value: _number(14, int(value)),
    STRING: lambda value: _bytes(15, value.encode()),
}
