"""The protobuf of Sparkplug B, read: payloads -> metrics. `sparkplug_writing` is the other way.

Only the fields that a reading needs are read, and of others no more than their length: a reader of its own is 60 lines, where
the library's wheel and what is generated for it are two megabytes on the device.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_ae.core.formats.values import NOT_FINITE
from edge_ae.errors import BadPayload

MAX_METRICS = 10_000  # of one payload
COMPRESSED = b"SPBV1.0_COMPRESSED"
REBIRTH = "Node Control/Rebirth"
BAD, STALE = 0, 500  # of the property "Quality"

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
INTEGERS: Mapping[int, tuple[int, bool]] = {
    **{datatype: (8 << index, True) for index, datatype in enumerate((1, 2, 3, 4))},  # Int8 to Int64: bits, signed
    **{datatype: (8 << index, False) for index, datatype in enumerate((5, 6, 7, 8))},  # UInt8 to UInt64
}
INT64, UINT64, FLOAT, DOUBLE, BOOLEAN, STRING, TEXT = 4, 8, 9, 10, 11, 12, 14
OTHER_TYPES = ("DateTime", "", "UUID", "DataSet", "Bytes", "File", "Template", "PropertySet", "PropertySetList")

Fields = dict[int, Any]  # a field's number -> an int of a varint, the bytes of all else; of the same number the last


@dataclass(frozen=True, slots=True)
class SparkplugMetric:
    """One metric. `stamp`: ms since the epoch. `fields`: as they came, its value among them."""

    name: str | None
    alias: int | None
    stamp: int | None
    datatype: int
    fields: Fields

    @property
    def is_bad(self) -> bool:
        """Whether its property "Quality" says that the value is none to rely on."""
        properties = self.fields.get(9)
        return isinstance(properties, bytes) and _quality(properties) in (BAD, STALE)


@dataclass(frozen=True, slots=True)
class SparkplugPayload:
    """A payload. `stamp`: ms since the epoch; `more`: metrics beyond MAX_METRICS, which are left out."""

    stamp: int | None
    seq: int | None
    metrics: list[SparkplugMetric]
    more: int = 0


def payload_of(data: bytes) -> SparkplugPayload:
    """Raises BadPayload where it is none."""
    own: Fields = {}
    metrics: list[SparkplugMetric] = []
    more = 0
    for number, value in fields_of(data):
        if number != 2:
            own[number] = value
        elif len(metrics) < MAX_METRICS:
            metrics.append(_metric(value))
        else:
            more += 1
    if own.get(4) == COMPRESSED:
        raise BadPayload("compressed", "its metrics are compressed; let the edge node send them uncompressed")
    return SparkplugPayload(_whole(own, 1), _whole(own, 3), metrics, more)


def value_of(metric: SparkplugMetric, datatype: int) -> Any:
    """What a metric says: int, float, NOT_FINITE, bool, str, or None where it says that there is no value. Raises BadPayload
    with the reason `datatype` where it is of a type that holds no number, or its value is not of its type.
    """
    fields = metric.fields
    if _whole(fields, 7):
        return None
    if datatype in INTEGERS:
        found = _whole(fields, 10)
        return _integer(_whole(fields, 11) if found is None else found, *INTEGERS[datatype])
    if datatype in (FLOAT, DOUBLE):
        return _float(fields)
    if datatype == BOOLEAN:
        found = _whole(fields, 14)
        return None if found is None else found != 0
    if datatype in (STRING, TEXT):
        return _text(fields, 15)
    raise BadPayload("datatype", f"is of the type {type_name(datatype)}, which is no number")


def type_name(datatype: int) -> str:
    """As the standard calls the types that hold no number."""
    return (
        OTHER_TYPES[datatype - 13]
        if 13 <= datatype <= 21
        else f"{datatype}, an array"
        if datatype <= 34
        else str(datatype)
    )


# -- the wire ----------------------------------------------------------------------------------------------


def fields_of(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a message. Raises BadPayload where the bytes are none."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == BYTES:
            size, at = _varint(data, at)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise BadPayload("wrong_type", f"no protobuf: a field of the kind {wire} at byte {at}")
        if number == 0 or at + size > end:
            raise BadPayload("wrong_type", f"no protobuf, or cut off: a field of {size} bytes at byte {at} of {end}")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a byte, and where it ends."""
    value = 0
    for shift, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + shift + 1
    raise BadPayload("wrong_type", f"no protobuf, or cut off: a number without an end at byte {at}")


def _metric(data: Any) -> SparkplugMetric:
    if not isinstance(data, bytes):
        raise BadPayload("wrong_type", "no Sparkplug payload: a number where a metric is expected")
    fields = dict(fields_of(data))
    return SparkplugMetric(_text(fields, 1), _whole(fields, 2), _whole(fields, 3), _whole(fields, 4) or 0, fields)


def _quality(properties: bytes) -> int | None:
    """The property "Quality" of a property set, if it has one."""
    found = list(fields_of(properties))
    keys = [value for number, value in found if number == 1]
    values = [value for number, value in found if number == 2 and isinstance(value, bytes)]
    inner = next((value for key, value in zip(keys, values, strict=False) if key == b"Quality"), b"")
    return _whole(dict(fields_of(inner)), 3)


def _whole(fields: Fields, number: int) -> int | None:
    value = fields.get(number)
    return value if isinstance(value, int) else None


def _text(fields: Fields, number: int) -> str | None:
    value = fields.get(number)
    return value.decode(errors="replace") if isinstance(value, bytes) else None


def _float(fields: Fields) -> Any:
    for number, size, form in ((12, 4, "<f"), (13, 8, "<d")):
        value = fields.get(number)
        if isinstance(value, bytes) and len(value) == size:
            number_in_it = struct.unpack(form, value)[0]
            return number_in_it if math.isfinite(number_in_it) else NOT_FINITE
    return None


def _integer(value: int | None, bits: int, signed: bool) -> int | None:
    """Two's complement, whether its sender extended the sign or not."""
    if value is None:
        return None
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value
