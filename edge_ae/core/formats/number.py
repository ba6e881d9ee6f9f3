"""A bare number a message, as ESPHome and Homie send it: `4.2`."""

import math
from typing import Any

from edge_ae.core.field_paths import NOT_FINITE
from edge_ae.core.formats.record import ARRIVAL, FormatOptions, Reader, Record
from edge_ae.errors import BadPayload


def number_reader(_options: FormatOptions) -> Reader:
    """Reads payloads that are a number."""

    def read(payload: bytes) -> list[Record]:
        return [(number_of(payload), ARRIVAL)]

    return read


def number_of(text: bytes) -> Any:
    """The number that a text is, NOT_FINITE for NaN and Infinity. Raises BadPayload."""
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is None or b"_" in text:
        raise BadPayload("wrong_type", f"{text[:40]!r} is no number")
    return value if math.isfinite(value) else NOT_FINITE
