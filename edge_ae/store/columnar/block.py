"""Rows of an asset, or marks on its time, as one block of bytes that stands for itself; found again among damage.

    EAR1 │ kind │ lines │ bytes │ first and last time │ CRC of the rest │ CRC of the head ║ names, times, a column for each channel

A block names its channels, so that a file needs no head, may begin anywhere, and takes a new channel in its stride. Its two CRCs
say that it is whole: what was cut off, or has rotted, costs this block and no other. Numbers are little-endian.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from edge_ae.errors import BadData
from edge_ae.store.columnar.column import decode_times, decode_values, encode_times, encode_values

MAGIC = b"EAR1"
ROWS, MARKS = 1, 2
MOST_LINES = 1 << 16
MOST_BYTES = 1 << 26  # of a block: what a reader is ready to hold
MOST_CHANNELS = 1_024
MOST_TEXT = 1 << 20  # bytes of names, or of marks

_HEAD = struct.Struct("<4sBIIqqII")
_SIZE = struct.Struct("<I")
HEAD_BYTES = _HEAD.size


class BlockHead(NamedTuple):
    """What a block is, before it is read. `lines`: rows, or marks. `size`: bytes that follow."""

    kind: int
    lines: int
    size: int
    first_ns: int
    last_ns: int
    crc: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as they came: `values` [line, channel] is NaN where missing."""

    names: tuple[str, ...]
    t_ns: NDArray[np.int64]
    values: NDArray[np.float64]


ALERT, SICK = "alert ", "sick "  # the reason of a mark, with an alert's id, or a channel's name, behind it


class Mark(NamedTuple):
    """A stretch of an asset's time that was not normal, both ends included.

    One that begins at the same time for the same reason and ends later takes the place of this one, as while an alert lasts.
    `why`: ALERT or SICK with what follows it, such as "alert 3f2a" or "sick flow".
    """

    from_ns: int
    until_ns: int
    why: str


def encode_rows(rows: Rows) -> bytes:
    """At least one row, MOST_LINES and MOST_CHANNELS at most."""
    names = zlib.compress(orjson.dumps(rows.names))
    columns = [encode_values(column) for column in rows.values.T]
    body = b"".join(_SIZE.pack(len(part)) + part for part in (names, encode_times(rows.t_ns), *columns))
    return _framed(ROWS, len(rows.t_ns), int(rows.t_ns.min()), int(rows.t_ns.max()), body)


def encode_marks(marks: Sequence[Mark]) -> bytes:
    """At least one mark."""
    body = zlib.compress(orjson.dumps([tuple(mark) for mark in marks]))
    return _framed(MARKS, len(marks), min(m.from_ns for m in marks), max(m.until_ns for m in marks), body)


def _framed(kind: int, lines: int, first_ns: int, last_ns: int, body: bytes) -> bytes:
    head = _HEAD.pack(MAGIC, kind, lines, len(body), first_ns, last_ns, zlib.crc32(body), 0)[: -_SIZE.size]
    return head + _SIZE.pack(zlib.crc32(head)) + body


def read_head(data: bytes) -> BlockHead | None:
    """Of the first HEAD_BYTES of a block; None where these are none."""
    if len(data) < HEAD_BYTES or not data.startswith(MAGIC):
        return None
    _, kind, lines, size, first_ns, last_ns, crc, own = _HEAD.unpack_from(data)
    known = kind in (ROWS, MARKS) and 0 < lines <= MOST_LINES and size <= MOST_BYTES
    if not known or own != zlib.crc32(data[: HEAD_BYTES - _SIZE.size]):
        return None
    return BlockHead(kind, lines, size, first_ns, last_ns, crc)


def is_whole(head: BlockHead, body: bytes) -> bool:
    """Whether these are the bytes that were written behind the head."""
    return len(body) == head.size and zlib.crc32(body) == head.crc


def names_of(body: bytes) -> tuple[str, ...]:
    """The channels of a block of rows, alone; BadData where it is none."""
    return _names(next(_parts(body), b""))


def decode_rows(head: BlockHead, body: bytes) -> Rows:
    """Raises BadData where a whole block was not made by `encode_rows`."""
    parts = _parts(body)
    names = _names(next(parts, b""))
    t_ns = decode_times(next(parts, b""), head.lines)
    columns = [decode_values(part, head.lines) for part in islice(parts, MOST_CHANNELS + 1)]
    if len(columns) != len(names):
        raise BadData(f"a block has {len(names)} names and {len(columns)} columns")
    return Rows(names, t_ns, np.column_stack(columns) if columns else np.empty((head.lines, 0)))


def decode_marks(body: bytes) -> list[Mark]:
    """Raises BadData where a whole block was not made by `encode_marks`."""
    try:
        return [Mark(int(start), int(end), str(why)) for start, end, why in _json(body)]
    except (TypeError, ValueError) as error:
        raise BadData(f"a block of marks holds something else ({error})") from None


def _parts(body: bytes) -> Iterator[bytes]:
    """The parts of a body, each behind its size."""
    at = 0
    while at < len(body):
        if at + _SIZE.size > len(body):
            raise BadData("a block ends in the midst of a column's size")
        (size,) = _SIZE.unpack_from(body, at)
        at += _SIZE.size + size
        yield body[at - size : at]


def _names(part: bytes) -> tuple[str, ...]:
    names = _json(part)
    if len(names) > MOST_CHANNELS or not all(isinstance(name, str) for name in names):
        raise BadData("the names of a block's channels are no names")
    return tuple(names)


def _json(squeezed: bytes) -> list[Any]:
    """A list; never more than MOST_TEXT bytes of it are made, whatever the bytes pretend to be."""
    try:
        found = orjson.loads(zlib.decompressobj().decompress(squeezed, MOST_TEXT))
    except (zlib.error, orjson.JSONDecodeError) as error:
        raise BadData(f"a block holds what is no list ({error})") from None
    if not isinstance(found, list):
        raise BadData("a block holds what is no list")
    return found
