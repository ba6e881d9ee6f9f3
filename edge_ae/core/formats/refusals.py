"""Why a payload cannot be used, for people: what was sought, what is there instead, and what the payload looks like."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from edge_ae.core.field_paths import is_there, leaves_of, way_into, way_through
from edge_ae.core.formats.omissions import quoted, reads
from edge_ae.errors import BadPayload

MOST_NAMES = 8
DEFAULT_VALUE = "value"  # what is sought where the topic names the channel
TIME_NAMES = (
    "ts",
    "time",
    "timestamp",
    "t",
    "datetime",
    "date",
    "time_ns",
    "time_ms",
    "received_at",
    "sourcetimestamp",
)


def listed(names: Sequence[str]) -> str:
    """Some names in quotes; how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(map(quoted, names[:MOST_NAMES])) + (f" and {more} more" if more > 0 else "")


def names_there(record: Any) -> str:
    """ "there are 'time', 'temp'": the paths of a payload, in its order."""
    found = leaves_of(record)
    return f"there {'is' if len(found) == 1 else 'are'} {listed(found)}" if found else "nothing is there"


def missing_time(path: str, record: Any) -> BadPayload:
    """The refusal of a record without a time at `path`."""
    return BadPayload("bad_time", partial(_no_time, path, record))


def _no_time(path: str, record: Any) -> str:
    if is_there(record, path):
        return f"its time at {quoted(path)} is null"
    text = f"its time is sought at {quoted(path)}, which is not there; {names_there(record)}"
    return text + (_meant([path], record) or _meant(TIME_NAMES, record))


def no_known_channel(sought: Sequence[str], record: Any) -> BadPayload:
    """The refusal of a record in which none of the paths leads to a value."""
    return (
        BadPayload("unknown_channel", partial(_no_channel, sought, record))
        if record
        else BadPayload("empty", "nothing in it")
    )


def _no_channel(sought: Sequence[str], record: Any) -> str:
    if not sought:
        return f"no number in it; {names_there(record)}"
    text = f"no value of a known channel in it: sought {listed(sought)}; {names_there(record)}"
    way = way_into(record) or (way_through("", [record]) if list(sought) != [DEFAULT_VALUE] else None)
    return text + (_meant(sought, record) if way is None else reads(way))


def nothing_there(value: str, document: Any) -> BadPayload:
    """The refusal of a document in which the path of the values leads nowhere, or to numbers whose channels nothing names."""
    return BadPayload("unknown_channel", partial(_nowhere, value, document))


def _nowhere(value: str, document: Any) -> str:
    amiss = "where nothing is" if "{channel}" in value else "where nothing names a channel"
    way = way_into(document)
    text = f"its values are sought at {quoted(value)}, {amiss}; {names_there(document)}"
    return text + ("" if way is None else reads(way))


def not_all_there(absent: Sequence[str], unknown: Sequence[str]) -> str:
    """A sentence on a record without some of its channels, and with names that are no channels."""
    sought = f"nothing at {listed(absent)}; no channels of the model are {listed(unknown)}"
    return sought + _meant(absent, dict.fromkeys(unknown))


def _meant(sought: Iterable[str], record: Any) -> str:
    """A question where a name that is there differs only in case, in signs, or in where it stands."""
    there = {_plain(path): path for path in leaves_of(record)}
    near = next((there[_plain(path)] for path in sought if _plain(path) in there), None)
    return "" if near is None else f"; is {quoted(near)} meant?"


def _plain(path: str) -> str:
    return re.sub(r"[\W_]", "", re.split(r"[.\]]", path)[-1].casefold())


def looks_like(topic: str, payload: bytes, format_name: str) -> str:
    """What a payload is that is not in the stream's format, with the way out where there is one."""
    own = f'set format = "{format_name}"'
    return next(what for what, test in SHAPES if own not in what and test(topic, payload))


def _begins(*heads: bytes) -> Callable[[str, bytes], bool]:
    return lambda _topic, payload: payload.startswith(heads)


def _matches(pattern: bytes) -> Callable[[str, bytes], bool]:
    compiled = re.compile(pattern, re.DOTALL)
    return lambda _topic, payload: compiled.match(payload[:512]) is not None


def _binary(_topic: str, payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return True
    return re.search(rb"[\x00-\x08\x0e-\x1f]", payload) is not None


def _binary_map(low: int, high: int, *others: int) -> Callable[[str, bytes], bool]:
    """A binary document that begins with a map of texts."""
    return lambda topic, payload: (
        _binary(topic, payload) and len(payload) > 1 and (low <= payload[0] <= high or payload[0] in others)
    )


BRACKETS = ((b"{", b"}"), (b"[", b"]"))
_COMPRESSED = "compressed data ({}), which cannot be read; let the sender leave it uncompressed"
_ENCODED = "{}, which cannot be read; let the sender write JSON"
SHAPES: Sequence[tuple[str, Callable[[str, bytes], bool]]] = (
    (
        'Sparkplug B; set format = "sparkplug", and topic as in docs/payloads.md',
        lambda topic, payload: topic.startswith("spBv1.0/") or (payload[:1] == b"\x08" and payload[7:8] == b"\x12"),
    ),
    (_COMPRESSED.format("gzip"), _begins(b"\x1f\x8b")),
    (_COMPRESSED.format("zlib"), _begins(b"\x78\x01", b"\x78\x9c", b"\x78\xda")),
    (_COMPRESSED.format("zstd"), _begins(b"\x28\xb5\x2f\xfd")),
    ("a picture", _begins(b"\xff\xd8\xff", b"\x89PNG")),
    (_ENCODED.format("CBOR"), _binary_map(0xA1, 0xBF, 0xD9)),
    (_ENCODED.format("MessagePack"), _binary_map(0x81, 0x9F, 0xDE, 0xDF, 0xDC)),
    (_ENCODED.format("binary data"), _binary),
    (_ENCODED.format("XML or HTML"), _matches(rb"\s*<[?!a-zA-Z]")),
    ("a Python dict; JSON has double quotes", _matches(rb"\s*\{\s*'")),
    ("JSON documents, one a line; let the sender write an array", _matches(rb"\s*\{[^\n]*\}\s*\n\s*\{")),
    ('JSON; set format = "json"', lambda _topic, payload: (payload.strip()[:1], payload.strip()[-1:]) in BRACKETS),
    ("JSON that is cut off or damaged", _matches(rb'\s*(?:\{\s*"|\[\s*[{\["\d])')),
    ('lines of the Influx protocol; set format = "influx"', _matches(rb"[\w\\ -]+(?:,[^\s=]+=[^\s=]+)* [^\s=,]+=[-\d\"tf]")),
    (_ENCODED.format("pairs of key=value"), _matches(rb"\s*[\w.-]+\s*=\s*[^=&;,\n]+(?:[&;,\n]\s*[\w.-]+\s*=|\s*\Z)")),
    (_ENCODED.format("pairs of key: value"), _matches(rb"\s*[A-Za-z][\w. -]*:\s*[^:,;\n]+(?:[,;\n]|\s*\Z)")),
    (_ENCODED.format("CSV"), _matches(rb"[^,;\t\n]*[,;\t][^\n]*\d")),
    (
        'a bare number; set format = "number", with {channel} in place of the topic\'s level that names the channel',
        _matches(rb"\s*[+-]?[\d.]+(?:[eE][+-]?\d+)?\s*\Z"),
    ),
    ("text", lambda _topic, _payload: True),
)  # fmt: skip
"""What payloads look like, the surest first."""


def with_likeness(fault: BadPayload, topic: str, payload: bytes, format_name: str) -> BadPayload:
    """The refusal of a payload, and what it looks like where it is not in the stream's format."""
    if fault.reason != "not_json" and (fault.reason != "wrong_type" or format_name == "json"):
        return fault
    likeness = looks_like(topic, payload, format_name)
    return BadPayload(fault.reason, f"{fault}; it looks like {likeness} ({quoted(payload[:64])})")
