"""JSON: an object, a batch of objects, an object of columns, or a bare value.

{"ts": ..., "flow": 4.2, "motor": {"current": 7.1}}      an object, flat or nested
[{"ts": ..., "flow": 4.2}, {"ts": ..., "flow": 4.3}]     a batch
{"ts": [..., ...], "flow": [4.2, 4.3]}                   columns
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from edge_ae.core.field_paths import find
from edge_ae.core.formats.number import number_or_text
from edge_ae.core.formats.omissions import quoted
from edge_ae.core.formats.record import ARRIVAL, FormatOptions, Reader, Record, kind_of
from edge_ae.core.formats.values import NOT_FINITE
from edge_ae.errors import BadPayload


def document_of(payload: bytes, *, bare: bool) -> Any:
    """What a payload of JSON says. `bare`: it may be a word without quotes. Raises BadPayload."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return _of_python(payload, str(error), bare=bare)


def json_reader(options: FormatOptions) -> Reader:
    """Reads payloads of JSON."""
    time, bare = options.time, options.bare

    def read(_topic: str, payload: bytes) -> list[Record]:
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            document = _of_python(payload, str(error), bare=bare)
        if type(document) is dict:
            if time is None:
                return [(document, ARRIVAL)]
            stamp = find(document, time)
            if type(stamp) is not list or time not in document:
                return [(document, stamp)]
            document = _transposed(document, len(stamp))
        if type(document) is list:
            return [_element(one, time) for one in document]
        if bare:
            return [(document, ARRIVAL)]
        raise BadPayload(
            "wrong_type",
            f"a bare {kind_of(document)} ({quoted(document)}) where an object or an array of objects is expected; if the topic "
            "names the channel, put {channel} in place of that level",
        )

    return read


def _element(element: Any, time: str | None) -> Record:
    if type(element) is not dict:
        return BadPayload("wrong_type", f"a {kind_of(element)} where an object is expected")
    return element, ARRIVAL if time is None else find(element, time)


def _transposed(columns: Mapping[str, Any], rows: int) -> list[dict[str, Any]]:
    """{"ts": [1, 2], "a": [3, 4]} -> [{"ts": 1, "a": 3}, {"ts": 2, "a": 4}]; what is no array says nothing of a row."""
    arrays = {name: values for name, values in columns.items() if type(values) is list}
    uneven = [name for name, values in arrays.items() if len(values) != rows]
    if uneven:
        raise BadPayload("wrong_type", f"column {uneven[0][:40]!r} is not as long as the column of times")
    return [dict(zip(arrays, row, strict=True)) for row in zip(*arrays.values(), strict=True)]


def _of_python(payload: bytes, fault: str, *, bare: bool) -> Any:
    """The same text once more, now with NaN and Infinity allowed, so that one sick channel costs only itself.

    `bare`: the topic names the channel, and a word without quotes, such as ON, is its value.
    """
    try:
        return json.loads(payload, parse_constant=lambda _: NOT_FINITE, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise BadPayload("too_deep", "nested too deep to be read") from None
    except ValueError:
        if bare:
            return number_or_text(payload)
        raise BadPayload("not_json", f"no JSON: {fault}") from None


def _finite(text: str) -> Any:
    value = float(text)
    return value if math.isfinite(value) else NOT_FINITE


def _whole(text: str) -> Any:
    return int(text) if len(text) < 20 else _finite(text)
