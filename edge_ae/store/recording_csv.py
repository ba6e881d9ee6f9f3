"""Recordings as files: CSV (also gzipped) <-> a time for each line, a number or "missing" for each channel.

A line is `time, value, value, ...` under a header. The delimiter (`,` `;` or tab) is found out. Lines keep
the order of the file, whatever their times say: order, duplicates and gaps are the aligner's business. A file
that cannot be read raises BadData: one sentence that names file, line and column.
"""

import csv
import gzip
import io
import math
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.timestamps import parse_time_ns
from edge_ae.errors import BadData
from edge_ae.store.atomic import whole_text

BLOCK_LINES = 8192  # lines held as text at once: 40 channels of these are about 25 MB
DELIMITERS = ("\t", ";", ",")  # the comma last: it may be part of a name or of a decimal number
MISSING = frozenset({"", "nan", "null", "none", "na", "n/a", "-nan"})
LABEL_NAME = re.compile(
    r"(^|_|\b)(is_?)?(anomal(y|ies|ous)|labels?|change_?points?|outliers?|faults?|attack)(_|\b|$)", re.I
)


@dataclass(frozen=True)
class Table:
    """One recording: `values` [line, channel] is NaN where missing; `times` is the text as it came."""

    path: Path
    times: list[str]
    t_ns: NDArray[np.int64]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    labels: NDArray[np.bool_] | None = None
    assets: list[str] | None = None

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class _Layout:
    """Where things stand in a line: the channels' columns, the label's and the asset's; -1 is "not there"."""

    path: Path
    header: tuple[str, ...]
    channels: tuple[int, ...]
    label: int
    asset: int

    @property
    def columns(self) -> tuple[int, ...]:
        return self.channels if self.label < 0 else (*self.channels, self.label)


@dataclass(frozen=True)
class _ParsedLines:
    times: list[str]
    t_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    assets: list[str]


def read_csv(
    path: str | Path, *, ignore: Sequence[str] = (), label: str | None = None, asset: str | None = None
) -> Table:
    """Reads `path` without the columns `ignore`; `label` names a 0/1 column, `asset` a column of text.

    Raises BadData for anything that is not as the module's head says.
    """
    path = Path(path)
    with _one_sentence(path), _open_text(path) as text:
        return _read(path, text, ignore, label, asset)


def csv_columns(path: Path) -> list[str]:
    """The names in the first line, the time's among them; BadData where that cannot be read."""
    with _one_sentence(path), _open_text(path) as text:
        head = list(islice(text, 2))
        return [name.strip() for name in next(csv.reader(head, delimiter=_delimiter(head)))] if head else []


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: is not UTF-8 text (byte {error.start}); save it as CSV in UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadData(f"{path}: is a broken gzip file ({error})") from None
    except csv.Error as error:
        raise BadData(f"{path}: is no CSV file ({error})") from None
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror or error})") from None


def write_csv(path: str | Path, times: Iterable[str], names: Sequence[str], values: NDArray[np.float64]) -> None:
    """Writes what `read_csv` reads, whole or not at all; a missing value is an empty cell."""
    with whole_text(Path(path)) as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["timestamp", *names])
        writer.writerows([time, *map(_cell, row.tolist())] for time, row in zip(times, values, strict=True))


def suspicious_labels(table: Table) -> list[str]:
    """Channels that look like a label column left in: a telling name, and nothing but 0 and 1."""
    return [
        name
        for index, name in enumerate(table.names)
        if LABEL_NAME.search(name) and np.isin(table.values[:, index], (0.0, 1.0)).all()
    ]


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def _open_text(path: Path) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read(path: Path, text: IO[str], ignore: Sequence[str], label: str | None, asset: str | None) -> Table:
    head = list(islice(text, 2))
    if not head:
        raise BadData(f"{path}: is empty; a header line and at least one line of values are needed")
    lines = csv.reader(chain(head, text), delimiter=_delimiter(head))
    layout = _layout(path, next(lines), ignore, label, asset)
    blocks = list(_blocks(layout, lines))
    if not blocks:
        raise BadData(f"{path}: has a header but no lines of values")
    values = np.concatenate([block.values for block in blocks])
    width = len(layout.channels)
    return Table(
        path=path,
        times=[time for block in blocks for time in block.times],
        t_ns=np.concatenate([block.t_ns for block in blocks]),
        names=tuple(layout.header[column] for column in layout.channels),
        values=values if layout.label < 0 else np.ascontiguousarray(values[:, :width]),
        labels=None if layout.label < 0 else values[:, width] == 1.0,
        assets=None if layout.asset < 0 else [name for block in blocks for name in block.assets],
    )


def _delimiter(head: list[str]) -> str:
    """What splits the first two lines into equally many fields; else the header's most frequent one."""
    for delimiter in DELIMITERS:
        counts = [len(fields) for fields in csv.reader(io.StringIO("".join(head)), delimiter=delimiter)]
        if counts[0] > 1 and len(set(counts)) == 1:
            return delimiter
    return max(DELIMITERS, key=head[0].count)


def _layout(path: Path, header: list[str], ignore: Sequence[str], label: str | None, asset: str | None) -> _Layout:
    names = tuple(name.strip() for name in header)
    _check_header(path, names)
    asked = [*ignore, *(name for name in (label, asset) if name is not None)]
    unknown = [name for name in asked if name not in names[1:]]
    if unknown:
        raise BadData(f"{path}: has no column {', '.join(map(repr, unknown))}; it has {', '.join(names[1:])}")
    dropped = set(asked)
    channels = tuple(column for column, name in enumerate(names) if column > 0 and name not in dropped)
    if not channels:
        raise BadData(f"{path}: leaves no channel; its columns are {', '.join(names)}")
    label_column, asset_column = (-1 if name is None else names.index(name, 1) for name in (label, asset))
    return _Layout(path, names, channels, label_column, asset_column)


def _check_header(path: Path, names: tuple[str, ...]) -> None:
    if _is_time(names[0] if names else ""):
        raise BadData(f"{path}, line 1: has no header; the first line must name the columns, the time first")
    if len(names) < 2:
        raise BadData(f"{path}, line 1: has only one column; a time and at least one channel are needed")
    for column, name in enumerate(names[1:], start=2):
        if not name:
            raise BadData(f"{path}, line 1, column {column}: has no name")
        if name in names[1 : column - 1]:
            raise BadData(f"{path}, line 1, column {column}: the name {name!r} is there twice")


def _is_time(text: str) -> bool:
    try:
        parse_time_ns(text)
    except ValueError:
        return False
    return True


def _blocks(layout: _Layout, lines: Iterator[list[str]]) -> Iterator[_ParsedLines]:
    first_line = 2
    while rows := list(islice(lines, BLOCK_LINES)):
        block = _block(layout, rows, first_line)
        if block.times:
            yield block
        first_line += len(rows)


def _block(layout: _Layout, rows: list[list[str]], first_line: int) -> _ParsedLines:
    """Numbers by numpy in one go; the slower way, cell by cell, when that does not understand one of them."""
    filled = [row for row in rows if row]  # the csv module gives an empty list for a blank line
    if any(len(row) != len(layout.header) for row in filled):
        raise _fault(layout, rows, first_line)
    times = [row[0] for row in filled]
    try:
        t_ns = np.array([parse_time_ns(time) for time in times], dtype=np.int64)
        values = _numbers(filled, layout.columns)
    except ValueError:
        raise _fault(layout, rows, first_line) from None
    values[np.isinf(values)] = np.nan  # the live decoder drops an infinite reading: the same answer here
    if layout.label >= 0 and not np.isin(values[:, -1], (0.0, 1.0)).all():
        raise _fault(layout, rows, first_line)
    assets = [] if layout.asset < 0 else [sys.intern(row[layout.asset]) for row in filled]
    return _ParsedLines(times, t_ns, values, assets)


def _numbers(rows: list[list[str]], columns: tuple[int, ...]) -> NDArray[np.float64]:
    pick = itemgetter(*columns) if len(columns) > 1 else lambda row: (row[columns[0]],)
    cells = [pick(row) for row in rows]
    if not any("_" in cell for row in cells for cell in row):
        try:
            return np.array(cells, dtype=np.float64).reshape(len(rows), len(columns))
        except ValueError:
            pass
    return np.array([[_number(cell) for cell in row] for row in cells], dtype=np.float64)


def _number(cell: str) -> float:
    """Like float(), but knows the words for "missing", and does not read 1_0 as ten."""
    if "_" in cell:
        raise ValueError(cell)
    try:
        return float(cell)
    except ValueError:
        if cell.strip().lower() in MISSING:
            return math.nan
        raise


def _fault(layout: _Layout, rows: list[list[str]], first_line: int) -> BadData:
    """Finds the first thing wrong in a block that could not be read."""
    for line, row in enumerate(rows, start=first_line):
        where = f"{layout.path}, line {line}"
        if row and len(row) != len(layout.header):
            return BadData(f"{where}: has {len(row)} fields where the header has {len(layout.header)}")
        reason = _line_fault(layout, row) if row else None
        if reason is not None:
            return BadData(f"{where}, {reason}")
    raise AssertionError("a block was refused and no fault found in it")


def _hint(name: str, cell: str) -> str:
    if re.fullmatch(r"\s*[+-]?\d+,\d+\s*", cell):
        return "; decimals have a point"
    return f"; --ignore {name} leaves the column out" if cell[:1].isalpha() else ""


def _line_fault(layout: _Layout, row: list[str]) -> str | None:
    try:
        parse_time_ns(row[0])
    except ValueError as error:
        return f"column 1 ({layout.header[0]!r}): {row[0][:40]!r} is no time: {error}"
    for column in layout.columns:
        place = f"column {column + 1} ({layout.header[column]!r}): {row[column][:40]!r}"
        try:
            number = _number(row[column])
        except ValueError:
            return f"{place} is no number{_hint(layout.header[column], row[column])}"
        if column == layout.label and number not in (0.0, 1.0):
            return f"{place} is no label; 0 or 1 is expected"
    return None
