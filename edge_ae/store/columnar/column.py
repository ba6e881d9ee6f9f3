"""One column of a block <-> bytes: numbers come back bit for bit, in the fewest bytes that a light code finds.

    doubles ─ whole numbers of decimals │ single precision │ as they are ─► near zero ─► bytes of one place together ─► zlib

Sensors send few decimals: 12.25 is 1225 hundredths, and its neighbours are near it. The bytes of one place are squeezed by
themselves, so that what hardly moves costs next to nothing, and noise no more than its own bytes. NaN is a missing value: one
bit for each line says which are there. Times are a column of whole numbers in the unit that all their steps share.
"""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ae.errors import BadData

Numbers = NDArray[np.float64]
Times = NDArray[np.int64]
Whole = NDArray[np.uint64]

EMPTY, DECIMAL, SINGLE, DOUBLE = range(4)
DECIMALS = range(13)  # that a number is tried with
EXACT = 2.0**53  # whole numbers below it are doubles
LEVEL = 6
WIDEST = 8  # bytes of a number

_VALUES = struct.Struct("<BB?")  # EMPTY to DOUBLE; decimals; whether values are missing
_WHOLE = struct.Struct(
    "<?BQQ"
)  # whether steps are kept; bytes of the widest; the first number; the least of what is kept
_TIMES = struct.Struct("<qq")  # the first; the unit of the steps
_SIZE = struct.Struct("<I")


def encode_values(values: Numbers) -> bytes:
    """A column of any doubles. A NaN comes back as a NaN, whichever it was."""
    there = ~np.isnan(values)
    present, gaps = values[there], not there.all()
    if len(present) == 0:
        return _VALUES.pack(EMPTY, 0, True)
    form, decimals, whole = _as_whole(present)
    missing = _squeezed(np.packbits(there).tobytes()) if gaps else b""
    return _VALUES.pack(form, decimals, gaps) + missing + _encode_whole(whole)


def decode_values(data: bytes, lines: int) -> Numbers:
    """Raises BadData where the bytes are not what `encode_values` made of so many lines."""
    with _Bytes(data) as rest:
        form, decimals, gaps = rest.take(_VALUES)
        values = np.full(lines, np.nan)
        if form == EMPTY:
            return values
        there = np.ones(lines, np.bool_)
        if gaps:
            bits = np.frombuffer(rest.unsqueezed((lines + 7) // 8), np.uint8)
            there = np.unpackbits(bits, count=lines).astype(np.bool_)
        values[there] = _from_whole(form, decimals, _decode_whole(rest, int(there.sum())))
    return values


def encode_times(t_ns: Times) -> bytes:
    """At least one time; in any order."""
    steps = np.diff(t_ns)
    unit = max(int(np.gcd.reduce(steps)) if len(steps) > 0 else 1, 1)
    return _TIMES.pack(int(t_ns[0]), unit) + _encode_whole((steps // unit).view(np.uint64), steps=False)


def decode_times(data: bytes, lines: int) -> Times:
    """Raises BadData where the bytes are not what `encode_times` made of so many times."""
    with _Bytes(data) as rest:
        first, unit = rest.take(_TIMES)
        steps = _decode_whole(rest, lines - 1).view(np.int64) * np.int64(unit)
    return np.cumsum(np.concatenate([np.array([first], np.int64), steps]))


# -- doubles as whole numbers -------------------------------------------------------------------------------------


def _as_whole(present: Numbers) -> tuple[int, int, Whole]:
    """The form, its decimals, and whole numbers from which it makes the same bits again."""
    for decimals in DECIMALS:
        head = present[:16]  # tells at once that most decimals are too few
        if _in_decimals(head, decimals) is not None and (whole := _in_decimals(present, decimals)) is not None:
            return DECIMAL, decimals, whole.view(np.uint64)
    with np.errstate(over="ignore"):
        single = present.astype(np.float32)
    if (single.astype(np.float64) == present).all():
        return SINGLE, 0, single.view(np.uint32).astype(np.uint64)
    return DOUBLE, 0, present.view(np.uint64)


def _in_decimals(present: Numbers, decimals: int) -> Times | None:
    """None where not all are whole numbers of the last decimal. Bits are compared, for -0.0 is another number than 0.0."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(present * 10.0**decimals)
    if not (np.abs(scaled) < EXACT).all():
        return None
    whole = scaled.astype(np.int64)
    same: bool = ((whole / 10.0**decimals).view(np.uint64) == present.view(np.uint64)).all()
    return whole if same else None


def _from_whole(form: int, decimals: int, whole: Whole) -> Numbers:
    if form == DECIMAL and decimals in DECIMALS:
        return whole.view(np.int64) / 10.0**decimals
    if form == SINGLE:
        return whole.astype(np.uint32).view(np.float32).astype(np.float64)
    if form == DOUBLE:
        return whole.view(np.float64)
    raise BadData(f"a column has the form {form} with {decimals} decimals, which is none")


# -- whole numbers as bytes ---------------------------------------------------------------------------------------


def _encode_whole(whole: Whole, steps: bool | None = None) -> bytes:
    """Reckons modulo 2^64, so that no step is too wide. `steps`: keep those, or the numbers; None: what is nearer together."""
    if len(whole) == 0:
        return b""
    moved = np.diff(whole, prepend=whole[:1])
    moved[0] = moved[min(1, len(moved) - 1)]  # no step, and near the others
    if steps is None:
        steps = _spread(moved) < _spread(whole)
    kept = moved if steps else whole
    least = int(kept.view(np.int64).min()) % 2**64
    near = kept - np.uint64(least)
    width = max((int(near.max()).bit_length() + 7) // 8, 1)
    places = near.astype("<u8").view(np.uint8).reshape(-1, WIDEST).T[:width]
    return _WHOLE.pack(steps, width, int(whole[0]), least) + b"".join(_squeezed(place.tobytes()) for place in places)


def _decode_whole(rest: "_Bytes", count: int) -> Whole:
    if count == 0:
        return np.empty(0, np.uint64)
    steps, width, first, least = rest.take(_WHOLE)
    places = np.zeros((WIDEST, count), np.uint8)
    for place in places[:width]:
        place[:] = np.frombuffer(rest.unsqueezed(count), np.uint8)
    kept = np.ascontiguousarray(places.T).view("<u8").reshape(count).astype(np.uint64) + np.uint64(least)
    if steps:
        kept[0] = first
        return np.cumsum(kept, dtype=np.uint64)
    return kept


def _spread(whole: Whole) -> float:
    """How far numbers are from their mean, at a glance."""
    signed = whole.view(np.int64).astype(np.float64)
    return float(np.abs(signed - signed.mean()).sum())


def _squeezed(data: bytes) -> bytes:
    """With its size before it; as it is where zlib makes it no smaller, for then both sizes are equal."""
    small = zlib.compress(data, LEVEL)
    small = small if len(small) < len(data) else data
    return _SIZE.pack(len(small)) + small


class _Bytes:
    """What is left of a column's bytes. As a context: those that cannot be read are a BadData."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __enter__(self) -> "_Bytes":
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, _traceback: object) -> None:
        if isinstance(fault, (struct.error, zlib.error, ValueError)):
            raise BadData(f"a column's bytes are not what was written ({fault})") from None

    def take(self, layout: struct.Struct) -> Sequence[int]:
        self._at += layout.size
        return layout.unpack_from(self._data, self._at - layout.size)

    def unsqueezed(self, size: int) -> bytes:
        """Never more than `size`, whatever the bytes pretend to be."""
        (length,) = self.take(_SIZE)
        part = self._data[self._at : self._at + length]
        self._at += length
        if length == size:
            return part
        whole = zlib.decompressobj().decompress(part, size + 1)
        if len(whole) != size:
            raise ValueError(f"{len(whole)} bytes in place of {size}")
        return whole
