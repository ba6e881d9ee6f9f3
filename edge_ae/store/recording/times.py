"""The texts of a time column -> nanoseconds since the epoch, decided over the whole column and never by the line.

    texts ─ shapes ─► dates, numbers ─ order of day and month ─► local times ─ zone ─► UTC
                                     └ epoch, or Excel's days

A column is read from one end to the other before anything is decided: whether 02/03/2026 is in March or in February, whether
46083.25 is a day of Excel's, and which of two hours an hour is that comes twice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.timestamps import SECOND, parse_time_ns, rfc3339
from edge_ae.store.recording.notations import (
    DAY_NS,
    Bytes,
    Notation,
    Whole,
    fraction_at,
    is_time_of_day,
    moments_at,
    notation_of,
    number_at,
    shape_of,
)
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.table import TextColumn

TEXTS_AT_ONCE = 1 << 16
MOST_SHAPES = 100  # of the texts in a block, from which on the first fault is enough
LONGEST_TIME = 64  # characters; what is longer is no time
YEAR_2000_NS = 946_684_800 * SECOND  # no device that runs this has measured anything before
QUARTER_NS = 900 * SECOND  # clocks of all zones are changed on a quarter of an hour
CALM = 5  # times that all steps together are longer in the wrong order of day and month: midnight is a month there

# First and last number, the number of 1970-01-01, and a name, of programs that count days.
DAY_COUNTS = ((36_526, 73_050, 25_569, "Excel's day numbers"), (730_486, 767_010, 719_529, "MATLAB's day numbers"))
SECONDS_TO_1970 = 2_082_844_800  # from 1904
YEARS_OF_LABVIEW = (3_029_529_600, 4_133_894_400)  # 2000 to 2035 from 1904; from 1970 these begin in 2066
_NUMBER = re.compile(r"[+-]?[\d.]+([eE][+-]?\d+)?", re.ASCII)
_EAST = timezone(timedelta(hours=1))  # any zone but UTC: what it makes another time of has no offset
IN_WORDS = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}


class TimeFault(Exception):
    """The text of a line is no time. `line` counts the column's texts from 0."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


class AmbiguousDates(Exception):
    """Whole columns can be read in two ways; the text names both."""


@dataclass(frozen=True)
class ReadTimes:
    """`t_ns` of each text; whether some say no offset, and none was given; and what was decided, in parts of a note."""

    t_ns: NDArray[np.int64]
    is_local: bool
    notes: tuple[str, ...]


@dataclass
class _Column:
    """What is known of the texts before the zone is: local ns, or billionths of numbers in `fraction`."""

    local_ns: Whole
    naive: NDArray[np.bool_]
    numbers: NDArray[np.bool_]
    fraction: Whole
    decimals: int = 0
    named: tuple[int, str] | None = None  # a line whose zone has a name such as CET, and that name


def read_times(texts: TextColumn, options: ReadOptions, of_header: tzinfo | None = None) -> ReadTimes:
    """`of_header`: the zone that the header names, which is that of times without an offset unless the options name one.

    Raises TimeFault at the first text that is none, AmbiguousDates where the order of day and month stays open."""
    if texts.encoded.dtype.itemsize > LONGEST_TIME:
        raise TimeFault(int(np.argmax(np.char.str_len(texts.encoded))), "is too long for a time")
    column, notes = _in_some_order(texts, options)
    notes += _numbers_as_times(column)
    _refuse_1970(column, texts)
    zone = options.time_zone or of_header
    if zone is None and column.named is not None:
        line, name = column.named
        raise TimeFault(line, f"says {name}, which is no offset; name the zone, such as --time-zone Europe/Berlin")
    if zone is not None and column.naive.any():
        _to_utc(column, zone)
        by_header = ", as the header says" if options.time_zone is None else ""
        notes.append(f"times without an offset are those of {zone}{by_header}")
    is_local = zone is None and bool(column.naive.any())
    return ReadTimes(column.local_ns, is_local, tuple(notes))


# -- day and month ---------------------------------------------------------------------------------------------


def _in_some_order(texts: TextColumn, options: ReadOptions) -> tuple[_Column, list[str]]:
    sample, orders = _first_date(texts)
    if len(orders) < 2:
        return _read(texts, ""), [] if sample[4:5] == "-" else [_said(sample, order) for order in orders]
    if options.date_order is not None:
        return _read(texts, options.date_order), [_said(sample, options.date_order)]
    readable, faults = {}, []
    for order in orders:
        try:
            readable[order] = _read(texts, order)
        except TimeFault as fault:
            faults.append(fault)
    if not readable:
        raise max(faults, key=lambda fault: fault.line)
    calm = sorted((_way(column), order) for order, column in readable.items())
    if len(calm) > 1 and calm[0][0] * CALM >= calm[1][0]:
        ways = " or ".join(IN_WORDS[order] for _, order in calm)
        raise AmbiguousDates(f"may be {ways}; say which with --date-order {' or '.join(order for _, order in calm)}")
    order = calm[0][1]
    return readable[order], [_said(sample, order)]


def _said(sample: str, order: str) -> str:
    return f"times such as {sample!r} are {IN_WORDS[order.lower()]}"


def _first_date(texts: TextColumn) -> tuple[str, tuple[str, ...]]:
    """The first text that is a date, and the orders that it may be written in; none where no early line has a date. Looked at is
    one text of each shape."""
    for lines in islice(_alike(texts.encoded[:TEXTS_AT_ONCE]), MOST_SHAPES):
        text = texts[int(lines[0])]
        notation = notation_of(shape_of(text))
        if notation is not None and not notation.is_number:
            return text.strip(), notation.orders
    return "", ()


def _way(column: _Column) -> float:
    """How far the times go, to and fro."""
    return float(np.abs(np.diff(column.local_ns).astype(np.float64)).sum())


# -- shapes ----------------------------------------------------------------------------------------------------


def _read(texts: TextColumn, order: str) -> _Column:
    count = len(texts)
    whole, fraction = np.zeros(count, np.int64), np.zeros(count, np.int64)
    column = _Column(whole, np.zeros(count, np.bool_), np.zeros(count, np.bool_), fraction)
    for first in range(0, count, TEXTS_AT_ONCE):
        block = texts.encoded[first : first + TEXTS_AT_ONCE]
        if (line := _read_block(column, block, first, order)) is not None:
            raise TimeFault(line, _reason(texts[line]))
    return column


def _read_block(column: _Column, block: NDArray[np.bytes_], first: int, order: str) -> int | None:
    """The first line that is no time; of a block with shapes without end, the first that was come upon."""
    bad: list[int] = []
    for shapes, lines in enumerate(_alike(block), start=1):
        line = _read_shape(column, block, first, lines, order)
        bad += [] if line is None else [line]
        if bad and shapes >= MOST_SHAPES:
            break
    return min(bad, default=None)


def _alike(block: NDArray[np.bytes_]) -> Iterator[NDArray[np.int64]]:
    """The lines of each shape that occurs in a block."""
    digits = _matrix(block)
    shapes = np.where((digits >= 48) & (digits <= 57), np.uint8(48), digits)
    left = np.arange(len(block))
    while len(left) > 0:
        same = (shapes[left] == shapes[left[0]]).all(axis=1)
        yield left[same]
        left = left[~same]


def _matrix(block: NDArray[np.bytes_]) -> Bytes:
    """The bytes of the texts [text, byte]; behind a short one stand zeros."""
    return np.ascontiguousarray(block).view(np.uint8).reshape(len(block), -1)


def _read_shape(column: _Column, block: NDArray[np.bytes_], first: int, lines: Whole, order: str) -> int | None:
    """Reads the lines of one shape into the column; the first one that is no time, else None."""
    shape = shape_of(block[lines[0]].decode("utf-8", "surrogateescape"))
    notation = notation_of(shape)
    if notation is None or (len(notation.orders) > 1 and order not in notation.orders):
        return _read_one_by_one(column, block, first, lines)
    digits, at = _matrix(block[lines]), lines + first
    if notation.is_number:
        _read_numbers(column, digits, at, notation)
        return None
    return _read_moments(column, digits, at, notation, order if len(notation.orders) > 1 else notation.orders[0])


def _read_numbers(column: _Column, digits: Bytes, at: Whole, notation: Notation) -> None:
    column.local_ns[at] = number_at(digits, notation.spans["whole"])
    column.fraction[at] = fraction_at(digits, notation.spans.get("f"))
    column.numbers[at] = True
    first, end = notation.spans.get("f", (0, 0))
    column.decimals = max(column.decimals, end - first)


def _read_moments(column: _Column, digits: Bytes, at: Whole, notation: Notation, order: str) -> int | None:
    local_ns, offset_ns, exists = moments_at(digits, notation, order)
    column.local_ns[at] = local_ns if offset_ns is None else local_ns - offset_ns
    column.naive[at] = offset_ns is None
    if notation.place and column.named is None:
        column.named = (int(at[0]), notation.place)
    return None if exists.all() else int(at[np.argmin(exists)])


def _read_one_by_one(column: _Column, block: NDArray[np.bytes_], first: int, lines: Whole) -> int | None:
    """What only the slower reader of payloads may know: weeks, times to the picosecond, numbers with exponents."""
    for line in lines.tolist():
        text, at = block[line].decode("utf-8", "surrogateescape"), first + int(line)
        try:
            column.local_ns[at] = parse_time_ns(text)
            column.naive[at] = parse_time_ns(text, _EAST) != column.local_ns[at]
        except ValueError:
            return at
    return None


def _reason(text: str) -> str:
    if is_time_of_day(text):
        return "is a time of day without a date; name both columns: --time-column DATE+TIME"
    notation = notation_of(shape_of(text))
    if notation is not None and not notation.is_number:
        return "is no time: there is no such date or time of day"
    try:
        parse_time_ns(text)
    except ValueError as error:
        return f"is no time: {error}"
    return "is written in another way than the times before it"


# -- numbers ---------------------------------------------------------------------------------------------------


def _numbers_as_times(column: _Column) -> list[str]:
    if not column.numbers.any():
        return []
    whole, fraction = column.local_ns[column.numbers], column.fraction[column.numbers]
    for low, high, epoch, name in DAY_COUNTS:
        if column.decimals > 0 and (whole >= low).all() and (whole <= high).all():
            column.local_ns[column.numbers] = _days_ns(whole - epoch, fraction, column.decimals)
            column.naive[column.numbers] = True
            return [f"times are {name}"]
    if (whole >= YEARS_OF_LABVIEW[0]).all() and (whole < YEARS_OF_LABVIEW[1]).all():
        column.local_ns[column.numbers] = _epoch_ns(whole - SECONDS_TO_1970, fraction)
        return ["times are seconds since 1904, as LabVIEW counts them"]
    column.local_ns[column.numbers] = _epoch_ns(whole, fraction)
    return []


def _refuse_1970(column: _Column, texts: TextColumn) -> None:
    """Numbers that cannot be epoch times."""
    if _NUMBER.fullmatch(texts[0].strip()) and (column.local_ns < YEAR_2000_NS).all():
        then = rfc3339(int(column.local_ns[0])).replace(".000Z", "Z")
        raise TimeFault(0, f"is {then} as an epoch time; is this the column of the times? --time-column names another")


def _days_ns(days: Whole, fraction: Whole, decimals: int) -> Whole:
    """Rounded to what the digits hold: a millisecond, or with seven and fewer a second, so that minutes are whole again."""
    unit = SECOND // 1000 if decimals >= 8 else SECOND
    exact = days * DAY_NS + fraction * 86_400
    return (exact + unit // 2) // unit * unit


def _epoch_ns(whole: Whole, fraction: Whole) -> Whole:
    """The unit of each by its magnitude, as `parse_time_ns` reads them."""
    total = whole.copy()
    for unit_ns, low, high in ((SECOND, 0, 10**11), (10**6, 10**11, 10**14), (10**3, 10**14, 10**17)):
        here = (whole >= low) & (whole < high)
        total[here] = whole[here] * unit_ns + fraction[here] * unit_ns // SECOND
    return total


# -- zones -----------------------------------------------------------------------------------------------------


def _to_utc(column: _Column, zone: tzinfo) -> None:
    """An hour that comes twice goes on where the line before it stopped; so does one that never was."""
    lines = np.flatnonzero(column.naive)
    local = column.local_ns[lines]
    if len(local) > 1 and (np.diff(local) <= 0).mean() > 0.5:
        lines, local = lines[::-1], local[::-1]
    quarters, which = np.unique(local // QUARTER_NS, return_inverse=True)
    first, second = (np.array([_offset_ns(q, zone, fold) for q in quarters.tolist()], np.int64) for fold in (0, 1))
    utc = local - first[which]
    other = local - second[which]
    for line in np.flatnonzero(utc != other).tolist():
        before = int(utc[line - 1]) if line > 0 else int(utc[line])
        if abs(int(other[line]) - before) < abs(int(utc[line]) - before):
            utc[line] = other[line]
    column.local_ns[lines] = utc


def _offset_ns(quarter: int, zone: tzinfo, fold: int) -> int:
    local = datetime.fromtimestamp(quarter * 900, UTC).replace(tzinfo=zone, fold=fold)
    offset = local.utcoffset()
    return 0 if offset is None else round(offset.total_seconds()) * SECOND
