"""Payloads of Sparkplug B, written by hand from the numbers of the standard's protobuf."""

import struct
from typing import Any

INT8, INT32, INT64, UINT64, FLOAT, DOUBLE, BOOLEAN, STRING, DATETIME, DATASET, TEMPLATE = (
    1,
    3,
    4,
    8,
    9,
    10,
    11,
    12,
    13,
    16,
    19,
)
FIELD_OF = {INT8: 10, INT32: 10, INT64: 11, UINT64: 11, FLOAT: 12, DOUBLE: 13, BOOLEAN: 14, STRING: 15, DATETIME: 11, DATASET: 17, TEMPLATE: 18}  # fmt: skip
T_MS = 1_790_000_000_000


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def block(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def value_field(datatype: int, value: Any) -> bytes:
    number = FIELD_OF[datatype]
    if datatype == FLOAT:
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if datatype == DOUBLE:
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if datatype in (STRING, DATASET, TEMPLATE):
        return block(number, value.encode())
    bits = 32 if number == 10 else 64
    return whole(number, value & (1 << bits) - 1)


def metric(
    name: str = "",
    datatype: int = DOUBLE,
    value: Any = None,
    *,
    alias: int | None = None,
    t_ms: int | None = None,
    typed: bool = True,
    quality: int | None = None,
) -> bytes:
    """`typed`: it names its datatype, as in a birth."""
    out = block(1, name.encode()) if name else b""
    out += b"" if alias is None else whole(2, alias)
    out += b"" if t_ms is None else whole(3, t_ms) + whole(5, 1)
    out += whole(4, datatype) if typed else b""
    out += b"" if quality is None else block(9, block(1, b"Quality") + block(2, whole(1, INT32) + whole(3, quality)))
    return block(2, out + (whole(7, 1) if value is None else value_field(datatype, value)))


def payload(*metrics: bytes, seq: int | None = None, t_ms: int | None = T_MS) -> bytes:
    return (b"" if t_ms is None else whole(1, t_ms)) + b"".join(metrics) + (b"" if seq is None else whole(3, seq))


def bd_seq(number: int) -> bytes:
    return metric("bdSeq", UINT64, number)
