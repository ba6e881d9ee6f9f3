"""The rows below the header -> arrays, a block at a time; and of a cell that is no number, where it is and what to do."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ae.errors import BadData
from edge_ae.store.recording.cells import CellFault, CellReader
from edge_ae.store.recording.events import EventColumns
from edge_ae.store.recording.layout import Layout
from edge_ae.store.recording.long_format import LongNames
from edge_ae.store.recording.notations import is_date, shape_of
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.quality import QualityColumn
from edge_ae.store.recording.rows import Row, RowReader
from edge_ae.store.recording.source import LineSource
from edge_ae.store.recording.table import TextColumn

FEW_WORDS = 5  # that a sentence shows


@dataclass(frozen=True)
class ParsedLines:
    """`keys`: of a file with a line for each value, the number of each line's name."""

    times: TextColumn
    values: NDArray[np.float64]
    assets: TextColumn | None
    keys: NDArray[np.int32] | None


class BodyReader:
    """Reads the lines of one file; `cells`, `rows`, `names`, `events` and `quality` remember what was understood and left out."""

    def __init__(self, source: LineSource, layout: Layout, options: ReadOptions) -> None:
        self.cells = CellReader(options, decimal_comma=layout.delimiter != ",")
        self.rows = RowReader(layout)
        self.names = LongNames(layout, options)
        self.events = EventColumns(layout, self.cells)
        self.quality = QualityColumn(layout)
        self._source, self.layout = source, layout
        self._texts: dict[int, str] = {}  # of columns that say the same in each line
        self._places: list[int] = []  # where in the table lines are not consecutive,
        self._lines: list[int] = []  # and the number of the first line after that

    def blocks(self, lines: Iterator[str]) -> Iterator[ParsedLines]:
        """Each with one line at least."""
        count = 0
        for rows, numbers in self.rows.blocks(lines):
            used, of_file = (rows, numbers) if not self.layout.is_long else self.names.wanted(rows, numbers)
            if self.rows.is_last and used and self._breaks_off(used):
                self.rows.leave_out_last()
                used, of_file = used[:-1], of_file[:-1]
            if used:
                self._remember(count, of_file)
                count += len(used)
                yield self._parsed(used, of_file)

    def _remember(self, count: int, numbers: Sequence[int]) -> None:
        before = -1
        for place, number in enumerate(numbers) if not isinstance(numbers, range) else ((0, numbers[0]),):
            if number != before + 1:
                self._places.append(count + place)
                self._lines.append(number)
            before = number

    def line_of(self, place: int) -> int:
        """The line in the file of the one at this place in the blocks together."""
        at = bisect_right(self._places, place) - 1
        return self._lines[at] + place - self._places[at]

    # -- a block -----------------------------------------------------------------------------------------------

    def _parsed(self, rows: list[Row], numbers: Sequence[int]) -> ParsedLines:
        layout = self.layout
        columns = list(zip(*rows, strict=True))
        times = [columns[column] for column in layout.times]
        for column in layout.constants:
            if (
                self._texts.setdefault(column, columns[column][0]) != columns[column][0]
                or len(set(columns[column])) > 1
            ):
                raise self._names_fault(column, rows, numbers)
        try:
            keys, values = self._keyed(columns) if layout.is_long else (None, self._values(columns, numbers))
        except CellFault:
            raise self._fault(rows, numbers) from None
        if layout.label >= 0 and not np.isin(values[:, -1], (0.0, 1.0)).all():
            raise self._fault(rows, numbers)
        return ParsedLines(
            TextColumn.of(times[0] if len(times) == 1 else map(" ".join, zip(*times, strict=True))),
            values,
            None if layout.asset < 0 else TextColumn.of(columns[layout.asset]),
            keys,
        )

    def _values(self, columns: Sequence[Sequence[str]], numbers: Sequence[int]) -> NDArray[np.float64]:
        values = np.empty((len(columns[0]), len(self.layout.numbers)))
        self.events.lines += len(values)
        for place, column in enumerate(self.layout.numbers):
            if column == self.layout.label:
                values[:, place] = self.cells.numbers(self.layout.header[column], columns[column])
            else:
                values[:, place] = self._measured(column, columns[column], numbers)
        return values

    def _measured(self, column: int, cells: Sequence[str], numbers: Sequence[int]) -> NDArray[np.float64]:
        try:
            values = self.cells.measured(self.layout.header[column], cells)
        except CellFault:
            if not self.events.take(column, cells, numbers):
                raise
            return np.full(len(cells), np.nan)
        if np.isfinite(values).any() and (line := self.events.line_of_word(column)) is not None:
            place = self.layout.place(column)
            raise BadData(
                f"{self.layout.path}, line {line}, {place}: holds a word, and numbers below it; "
                f"--ignore {self.layout.header[column]} leaves the column out"
            )
        return values

    def _keyed(self, columns: Sequence[Sequence[str]]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        keys = self.names.keys(columns)
        cells, values = np.array(columns[self.layout.value], dtype=object), np.empty(len(keys))
        for key in np.unique(keys).tolist():
            here = np.flatnonzero(keys == key)
            values[here] = self.cells.measured(self.names.name(key), cells[here].tolist())
        values[self.quality.bad(columns)] = np.nan
        return keys, values[:, None]

    def _breaks_off(self, rows: list[Row]) -> bool:
        """Whether the file ends within the last cell of its last row: without a line end, and not as the row before does."""
        if self._source.ended or len(rows) < 2:
            return False
        layout, last = self.layout, len(self.layout.header) - 1
        if last in layout.times:
            return shape_of(rows[-1][last]) != shape_of(rows[-2][last])
        try:
            self.cells.number(layout.header[last], rows[-1][last])
        except CellFault:
            return last in layout.numbers
        return False

    # -- faults ------------------------------------------------------------------------------------------------

    def _fault(self, rows: list[Row], numbers: Sequence[int]) -> BadData:
        """Of the first cell in a block that could not be read."""
        for row, line in zip(rows, numbers, strict=True):
            for column in self.layout.numbers:
                if column not in self.events and (reason := self._cell_fault(row, column, rows)) is not None:
                    return BadData(f"{self.layout.path}, line {line}, {reason}")
        raise AssertionError("a block was refused and no fault found in it")

    def _cell_fault(self, row: Row, column: int, rows: list[Row]) -> str | None:
        layout, cell = self.layout, row[column]
        name = row[layout.key] if layout.is_long else layout.header[column]
        place = f"{layout.place(column)}: {cell[:40]!r}"
        try:
            number = self.cells.number(name, cell)
        except CellFault as fault:
            if str(fault):
                return f"{place} {fault}"
            names = None if layout.is_long else self._names_in(column, rows)
            return f"{place} is no number{_hint(name, cell)}" if names is None else names
        if column == layout.label and number not in (0.0, 1.0):
            return f"{place} is no label; 0 or 1 is expected"
        return None

    def _names_fault(self, column: int, rows: list[Row], numbers: Sequence[int]) -> BadData:
        """Of a column whose text was the same in all lines before."""
        words = list(dict.fromkeys([self._texts[column], *(row[column].strip() for row in rows)]))
        line = next(line for row, line in zip(rows, numbers, strict=True) if row[column] != self._texts[column])
        return BadData(f"{self.layout.path}, line {line}, {self._what_to_do(column, words)}")

    def _names_in(self, column: int, rows: list[Row]) -> str | None:
        """Where a column holds a few texts again and again: what to do with it."""
        texts = [row[column].strip() for row in rows]
        words = list(dict.fromkeys(text for text in texts if text))
        few = 2 * len(words) <= len(texts) and all(self._is_text(word) for word in words[:100])
        return self._what_to_do(column, words) if few else None

    def _what_to_do(self, column: int, words: Sequence[str]) -> str:
        name, shown = self.layout.header[column], words[:FEW_WORDS]
        more = ", ..." if len(words) > FEW_WORDS else ""
        states = ",".join(f"{word}={value}" for value, word in enumerate(shown))
        as_states = f"--words {states} if these are states, " if not more and "," not in "".join(shown) else ""
        as_long = (
            f"--long {name},{value} if each line has one value of that name, "
            if (value := self._only_other(column))
            else ""
        )
        return (
            f"{self.layout.place(column)}: holds names ({', '.join(map(repr, shown))}{more}): --asset-column {name} if it "
            f"names the asset, {as_states}{as_long}--ignore {name} otherwise"
        )

    def _only_other(self, column: int) -> str | None:
        """The name of the one channel beside a column of names: its values may be those of many."""
        others = [other for other in self.layout.channels if other != column]
        return self.layout.header[others[0]] if len(others) == 1 else None

    def _is_text(self, cell: str) -> bool:
        try:
            return bool(np.isnan(self.cells.number("", cell)))
        except CellFault:
            return True


def _hint(name: str, cell: str) -> str:
    text = cell.strip()
    return f"; --ignore {name} leaves the column out" if text[:1].isalpha() or is_date(text) else ""
