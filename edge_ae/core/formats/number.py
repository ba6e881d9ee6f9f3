"""A bare number a message, as ESPHome and Homie send it: `4.2`, or `ON`."""

import math
from typing import Any

from edge_ae.core.formats.record import ARRIVAL, FormatOptions, Reader, Record
from edge_ae.core.formats.values import NOT_FINITE
from edge_ae.core.words import LONGEST
from edge_ae.errors import BadPayload

STRUCTURES = (b"{", b"[", b"<")  # what begins so is no word


def number_reader(_options: FormatOptions) -> Reader:
    """Reads payloads that are a number."""

    def read(_topic: str, payload: bytes) -> list[Record]:
        return [(number_or_text(payload), ARRIVAL)]

    return read


def number_or_text(payload: bytes) -> Any:
    """A number, or a short text that may yet say one, such as ON or 21.5 °C. Raises BadPayload."""
    try:
        return number_of(payload)
    except BadPayload:
        if len(payload) > LONGEST or payload.lstrip()[:1] in STRUCTURES:
            raise
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise BadPayload("wrong_type", "no text, and so no number") from None


def number_of(text: bytes) -> Any:
    """The number that a text is, NOT_FINITE for NaN and Infinity. Raises BadPayload."""
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is None or b"_" in text:
        raise BadPayload("wrong_type", f"{text[:40]!r} is no number")
    return value if math.isfinite(value) else NOT_FINITE
