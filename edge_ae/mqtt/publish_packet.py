"""The properties of a PUBLISH of MQTT 5, read from its bytes (section 3.3.2.3 of the standard).

Only where an answer goes and what it is called are wanted; the rest is stepped over. paho refuses the whole connection
over a property that it does not like, such as a text with U+FEFF, which is legal; the broker would send it again for ever.
"""

from collections.abc import Callable, Mapping

ONE_MORE = 0x80  # the bit of a variable byte integer by which another byte follows
VARIABLE_BYTES = 4


class MalformedPublish(ValueError):
    """Bytes that are no PUBLISH, or properties that are none."""


def properties_end(packet: bytes | bytearray, start: int) -> tuple[int, int]:
    """Where the properties that begin at `start` with their length have their first byte, and where the payload begins."""
    length, begin = _variable(packet, start)
    if begin + length > len(packet):
        raise MalformedPublish("the properties are longer than the packet")
    return begin, begin + length


def answer_address(properties: bytes) -> tuple[bytes | None, bytes | None]:
    """The response topic, not yet decoded, and the correlation data. Raises MalformedPublish."""
    wanted: dict[int, bytes] = {}
    at = 0
    while at < len(properties):
        kind, at = properties[at], at + 1
        if kind not in ENDS or (kind in wanted and kind != USER_PROPERTY):
            raise MalformedPublish(f"property {kind} is unknown here, or comes twice")
        end = ENDS[kind](properties, at)
        if end > len(properties):
            raise MalformedPublish(f"property {kind} is cut off")
        wanted[kind], at = properties[at:end], end
    topic, correlation = wanted.get(RESPONSE_TOPIC), wanted.get(CORRELATION_DATA)
    return None if topic is None else topic[2:], None if correlation is None else correlation[2:]


def _variable(data: bytes | bytearray, start: int) -> tuple[int, int]:
    """A variable byte integer and where it ends."""
    value = 0
    for place in range(VARIABLE_BYTES):
        if start + place >= len(data):
            break
        byte = data[start + place]
        value |= (byte & ~ONE_MORE) << 7 * place
        if byte < ONE_MORE:
            return value, start + place + 1
    raise MalformedPublish("a variable byte integer does not end")


def _text_end(data: bytes, start: int) -> int:
    """Text and binary data: two bytes with the length of what follows."""
    return start + 2 + int.from_bytes(data[start : start + 2])


USER_PROPERTY, RESPONSE_TOPIC, CORRELATION_DATA = 38, 8, 9
# For each property that a PUBLISH may have, where its value ends.
ENDS: Mapping[int, Callable[[bytes, int], int]] = {
    1: lambda _, start: start + 1,  # payload format indicator
    2: lambda _, start: start + 4,  # message expiry interval
    3: _text_end,  # content type
    RESPONSE_TOPIC: _text_end,
    CORRELATION_DATA: _text_end,
    11: lambda data, start: _variable(data, start)[1],  # subscription identifier
    35: lambda _, start: start + 2,  # topic alias
    USER_PROPERTY: lambda data, start: _text_end(data, _text_end(data, start)),
}
