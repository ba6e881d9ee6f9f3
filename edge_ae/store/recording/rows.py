"""The lines below the header -> rows of the header's width, in blocks, with the number of each in the file.

What a restart or a power cut of a logger leaves is left out and counted: a header again, a hole, a line that breaks off before
one of them or at the end of the file, what a hole has left of the line behind it. Any other line that does not fit is a fault of the file.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from edge_ae.errors import BadData
from edge_ae.store.recording.head import COMMENTS, is_comment, parted
from edge_ae.store.recording.layout import Layout
from edge_ae.store.recording.source import HOLE

BLOCK_CELLS = 1 << 16  # held as text at once: about 5 MB
BLOCK_LINES = 8192

BROKEN, AGAIN, HOLES, COMMENT = "broken line", "header again", "hole of NUL bytes", "comment"
OF_WINCC = "line of WinCC's own ($RT_...$)"
PLURAL = {
    BROKEN: "broken lines",
    AGAIN: "headers again",
    HOLES: "holes of NUL bytes",
    COMMENT: "comments",
    OF_WINCC: "lines of WinCC's own ($RT_...$)",
}
WINCC = "$RT_"  # what its lines begin with that say when it was stopped, and how many lines there are

RESTARTS = (AGAIN, HOLES)

Row = list[str]
Block = tuple[list[Row], Sequence[int]]  # rows of one width, and the number of each in the file


class RowReader:
    """Reads one file. `is_last` says whether the latest block is the file's last."""

    def __init__(self, layout: Layout) -> None:
        self.is_last = False
        self._layout = layout
        self._width = len(layout.header)
        self._left_out: Counter[str] = Counter()
        self._has_rows = False
        self._is_behind_hole = False
        units = tuple(cell.strip() for cell in layout.units_row[: self._width])
        self._heads = {layout.header, units} - {()}
        self._suspect = {*(head[0][:1] for head in self._heads), *(mark[0] for mark in COMMENTS), WINCC[0], ""} - {
            layout.delimiter
        }

    def blocks(self, lines: Iterable[str]) -> Iterator[Block]:
        """Each with one row at least. Raises BadData at a line that does not fit."""
        reader = csv.reader(parted(lines, self._layout.delimiter), delimiter=self._layout.delimiter)
        size = max(1, min(BLOCK_LINES, BLOCK_CELLS // self._width))
        try:
            following = next(filter(any, reader), None)
            while following is not None:
                first = self._line(reader.line_num)
                rows = [following, *islice(reader, size - 1)]
                following = next(filter(any, reader), None)
                self.is_last = following is None
                block = self._tidy(rows, first, following)
                if block[0]:
                    self._has_rows = True
                    yield block
        except csv.Error as error:
            line = self._line(reader.line_num)
            raise BadData(f"{self._layout.path}, line {line}: is no CSV ({error}); is a quote not closed?") from None

    def leave_out_last(self) -> None:
        """The last row breaks off within its last cell."""
        self._left_out[BROKEN] += 1

    def notes(self) -> Iterator[str]:
        """What was left out, in parts of a sentence."""
        for what, count in self._left_out.items():
            yield f"{count} {what if count == 1 else PLURAL[what]} left out"

    def _line(self, number: int) -> int:
        """In the file, of the line that is `number` here: a hole has made three lines of one."""
        return self._layout.first_line + number - 1 - 2 * self._left_out[HOLES]

    def _tidy(self, rows: list[Row], first: int, following: Row | None) -> Block:
        numbers = range(first, first + len(rows))
        if set(map(len, rows)) == {self._width} and all(row[0][:1] not in self._suspect for row in rows):
            return rows, numbers
        filled = [(row, number) for row, number in zip(rows, numbers, strict=True) if any(map(str.strip, row))]
        afterwards = [*(row for row, _ in filled[1:]), following][: len(filled)]
        holes = self._left_out[HOLES]
        kept = []
        for (row, number), after in zip(filled, afterwards, strict=True):
            in_file = number - 2 * (self._left_out[HOLES] - holes)
            if self._is_used(row, after, in_file):
                kept.append((row[: self._width], in_file))
        return [row for row, _ in kept], [number for _, number in kept]

    def _is_used(self, row: Row, after: Row | None, number: int) -> bool:
        is_behind_hole, self._is_behind_hole = self._is_behind_hole, row[:1] == [HOLE]
        if (what := self._no_values(row)) is not None:
            self._left_out[what] += 1
            return False
        if len(row) == self._width or (len(row) > self._width and not any(row[self._width :])):
            self._has_rows = True
            return True
        if self._has_rows and (is_behind_hole or after is None or self._no_values(after) in RESTARTS):
            self._left_out[BROKEN] += 1
            return False
        commas = self._layout.delimiter == "," and len(row) == 2 * self._width - 1 > 3
        raise BadData(
            f"{self._layout.path}, line {number}: has {len(row)} fields where the header has {self._width}"
            + ("; are its commas decimal ones, too? Export it with another delimiter" if commas else "")
        )

    def _no_values(self, row: Row) -> str | None:
        """What a row is that never held values."""
        if row[:1] == [HOLE]:
            return HOLES
        if tuple(cell.strip() for cell in row[: self._width]) in self._heads:
            return AGAIN
        if row and row[0].startswith(WINCC):
            return OF_WINCC
        return COMMENT if row and is_comment(row, self._layout.delimiter) else None
