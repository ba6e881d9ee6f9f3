"""The first lines of a file: what splits them into cells, which of them are comments, and which columns hold times.

Decided by what stands in the lines: a line that has cells enough, a column most of whose cells are times.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_ae.core.timestamps import SECOND, parse_time_ns
from edge_ae.errors import BadData
from edge_ae.store.recording.notations import is_date, is_day, is_time_of_day
from edge_ae.store.recording.other_files import what_else

HEAD_LINES = 300  # that are looked at: there are loggers with a preamble of a hundred
SAMPLED = 40  # of them that have values, enough to see what a column holds
DELIMITERS = ("\t", ";", "|", ",")  # the comma last: it may be part of a name or of a decimal number
BLANKS = " "
COMMENTS = ("#", "//", "%", "!", ";")
YEARS_NS = (
    946_684_800 * SECOND,
    4_102_444_800 * SECOND,
)  # 2000 to 2100: what epoch times are, where a column must show it
EXCEL_DAYS = (36_526.0, 73_050.0)  # the same years as days
TIME_NAMES = (
    *("_time", "timestamp", "time", "datetime", "date_time", "date time", "last_changed", "ts", "zeit", "zeitstempel"),
    *("last_updated", "time_utc", "timestamp_ms", "time_ms", "time_ns", "epoch", "zeitpunkt", "date", "datum"),
)
"""Names that a column of times has, the likeliest first."""

YEAR_NAMES = frozenset({"year", "yyyy", "yy", "y", "jahr", "año", "année", "anno", "yr"})
_YEARS, _MONTHS, _MONTH_DAYS = (1990, 2100), (1, 12), (1, 31)
DATE_PARTS = ((_YEARS, _MONTHS, _MONTH_DAYS), (_MONTH_DAYS, _MONTHS, _YEARS), (_MONTHS, _MONTH_DAYS, _YEARS))
"""What three columns side by side hold that are the parts of a date."""

Test = Callable[[str], bool]
_MARK = re.compile(r'\s*"?sep=(.)"?\s*', re.I)
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class HeadLine:
    """One of the first lines: its number in the file, from 1, and its cells."""

    number: int
    cells: list[str]

    @property
    def width(self) -> int:
        """Fields up to the last one that is not empty."""
        return max((place for place, cell in enumerate(self.cells, start=1) if cell.strip()), default=0)

    def cell(self, column: int) -> str:
        """Empty where the line is too short."""
        return self.cells[column].strip() if column < len(self.cells) else ""


@dataclass(frozen=True)
class Head:
    """The first lines without comments and blank ones. `is_named`: an Excel line `sep=;` says the delimiter.

    `width`: fields of most lines, less those at their end that none of these lines fills (`is_trailing`: there are some).
    """

    path: Path
    delimiter: str
    is_named: bool
    rows: tuple[HeadLine, ...]
    comments: tuple[HeadLine, ...]
    width: int
    is_trailing: bool

    def column(self, column: int) -> list[str]:
        """Its cells."""
        return [line.cell(column) for line in self.rows]


def read_head(path: Path, lines: Sequence[str]) -> Head:
    """BadData where there is nothing."""
    if (what := what_else(lines)) is not None:
        raise BadData(f"{path}: {what}")
    mark = _MARK.fullmatch(lines[0]) if lines else None
    delimiter = mark[1] if mark else _delimiter(lines)
    split = [line for line in _split(lines, delimiter) if line.width > 0 and line.cells[0] != "\0"]
    split = split[1:] if mark else split
    comments = tuple(line for line in split if is_comment(line.cells, delimiter))
    rows = [line for line in split if not is_comment(line.cells, delimiter)]
    if not rows:
        raise BadData(f"{path}: is empty; a header line and at least one line of values are needed")
    usual = Counter(len(line.cells) for line in rows).most_common(1)[0][0]
    width = max((line.width for line in rows if len(line.cells) == usual), default=0)
    return Head(path, delimiter, mark is not None, tuple(_enough(rows, usual)), comments, width, usual > width)


def is_comment(cells: Sequence[str], delimiter: str) -> bool:
    """Whether a line is a comment."""
    return cells[0].lstrip().startswith(tuple(mark for mark in COMMENTS if mark != delimiter))


def parted(lines: Iterable[str], delimiter: str) -> Iterable[str]:
    """The lines with one blank between fields that any number of blanks or tabs parts; with another delimiter as they are."""
    return (re.sub("^# ", "#", " ".join(line.split())) for line in lines) if delimiter == BLANKS else lines


def is_number(text: str) -> bool:
    """Whether a text is a number, and nothing but that."""
    return _NUMBER.fullmatch(text.strip()) is not None


def _delimiter(lines: Sequence[str]) -> str:
    """What splits most of the lines into equally many fields, two at least; blanks where nothing else does."""

    def alike(delimiter: str) -> int:
        counts = Counter(len(line.cells) for line in _split(lines, delimiter) if len(line.cells) > 1)
        return max(counts.values(), default=0)

    best = max(DELIMITERS, key=alike)
    line = _line_between_blanks(lines)
    is_decimal_comma = best == "," and all(map(_is_plain, line))
    return BLANKS if line and (is_decimal_comma or 2 * alike(best) < alike(BLANKS)) else best


def _line_between_blanks(lines: Sequence[str]) -> list[str]:
    """The fields of the last line with as many as most have; none where they are no more than a date and a time of day."""
    fields = [line.split() for line in lines if line.strip()]
    usual, lines_alike = Counter(map(len, fields)).most_common(1)[0] if fields else (0, 0)
    last = next((cells for cells in reversed(fields) if len(cells) == usual), [])
    is_moment = len(last) == 2 and is_day(last[0]) and is_time_of_day(last[1])
    return last if usual > 1 and 2 * lines_alike > len(fields) > 1 and not is_moment else []


def _is_plain(text: str) -> bool:
    """A number, a date or a time of day, with no comma behind it."""
    return text[-1] != "," and any(test(text) for test in (is_number, is_date, is_day, is_time_of_day))


def _split(lines: Sequence[str], delimiter: str) -> Iterator[HeadLine]:
    reader = csv.reader(parted(lines, delimiter), delimiter=delimiter)
    try:
        for cells in reader:
            yield HeadLine(reader.line_num, cells)
    except csv.Error:  # the reader of the lines says it, if the delimiter is the file's
        return


def _enough(rows: Sequence[HeadLine], usual: int) -> Iterator[HeadLine]:
    seen = 0
    for line in rows:
        yield line
        seen += len(line.cells) == usual
        if seen > SAMPLED:
            return


# -- times -----------------------------------------------------------------------------------------------------


class TimeColumns:
    """Looks for the columns of times. Afterwards `several` are those that hold some, where none is clearly the one."""

    def __init__(self, head: Head) -> None:
        self._columns = [head.column(column) for column in range(head.width)]
        self.several: list[int] = []

    def find(self) -> tuple[int, ...]:
        """The column of times, or those of date and time of day; empty where none is."""
        dates, days, clocks = (self._that_hold(test) for test in (is_date, is_day, is_time_of_day))
        if len(days) == 1 and len(clocks) == 1 and set(dates) <= set(days):
            return (days[0], clocks[0])
        if 0 in dates or self._holds(0, _is_epoch):
            return (0,)
        if dates:
            return self._likeliest(dates)
        named = [column for column in self._that_hold(_is_epoch_or_days) if self._rank(column) < len(TIME_NAMES)]
        if named:
            return (min(named, key=self._rank),)
        return (0,) if self._holds(0, is_number) else tuple(clocks[:1])

    def parts_of_dates(self) -> tuple[int, ...]:
        """The columns of year, month and day where each has its own, side by side, and no column holds times."""
        if any(self._that_hold(test) for test in (is_date, _is_epoch)):
            return ()
        runs = ((first, first + 1, first + 2) for first in range(len(self._columns) - 2))
        return next((run for run in runs if self._are_parts(run)), ())

    def _are_parts(self, run: tuple[int, ...]) -> bool:
        """By their numbers; and by their names, for three columns of small numbers are often something else."""
        cells = [self._columns[column] for column in run]
        named = {cell.lower() for column in cells for cell in column}
        return bool(named & YEAR_NAMES) and any(
            all(self._holds(column, _within(*span)) for column, span in zip(run, order, strict=True))
            for order in DATE_PARTS
        )

    def first_row(self, column: int) -> int:
        """The place of the first row with a time in it; 0 where no row has one."""
        for test in (is_date, is_day, is_time_of_day, is_number):
            if self._holds(column, test):
                return next(place for place, cell in enumerate(self._columns[column]) if test(cell))
        return 0

    def _likeliest(self, dates: list[int]) -> tuple[int, ...]:
        best = min(dates, key=self._rank)
        if len(dates) == 1 or self._rank(best) < len(TIME_NAMES):
            return (best,)
        self.several = dates
        return ()

    def _that_hold(self, test: Test) -> list[int]:
        return [column for column in range(len(self._columns)) if self._holds(column, test)]

    def _holds(self, column: int, test: Test) -> bool:
        """From the first such cell on at least half of them are: one in a preamble is not enough."""
        flags = [test(cell) for cell in self._columns[column]] if column < len(self._columns) else []
        later = flags[flags.index(True) :] if True in flags else []
        return len(later) > 0 and 2 * sum(later) >= len(later)

    def _rank(self, column: int) -> int:
        """By the cell above its first time, which is its name or its unit; and the one above that."""
        first = self.first_row(column)
        above = [cell.lower() for cell in self._columns[column][max(0, first - 2) : first]]
        return min((TIME_NAMES.index(cell) for cell in above if cell in TIME_NAMES), default=len(TIME_NAMES))


def _is_epoch(text: str) -> bool:
    try:
        return is_number(text) and YEARS_NS[0] <= parse_time_ns(text) < YEARS_NS[1]
    except ValueError:
        return False


def _is_epoch_or_days(text: str) -> bool:
    return _is_epoch(text) or ("." in text and is_number(text) and EXCEL_DAYS[0] <= float(text) < EXCEL_DAYS[1])


def _within(low: int, high: int) -> Test:
    return lambda text: text.isascii() and text.isdecimal() and low <= int(text[:9]) <= high
