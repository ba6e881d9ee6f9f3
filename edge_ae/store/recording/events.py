"""Columns of events: a word in a few lines ("Logged", an operator's remark), nothing in the others, and no number.

Such a column is no channel. It stays in the table without a value, so that files with an event and without one have the same
columns; what it holds is said in the note.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from edge_ae.store.recording.cells import CellFault, CellReader
from edge_ae.store.recording.layout import Layout

SELDOM = 2  # words in at most one of so many lines; what comes oftener may name a state or an asset
SHOWN = 3  # words in a note


class EventColumns:
    """Of one file, block by block; `lines`: those read so far, the present block's among them."""

    def __init__(self, layout: Layout, cells: CellReader) -> None:
        self.lines = 0
        self._layout, self._cells = layout, cells
        self._words: dict[int, Counter[str]] = {}
        self._first: dict[int, int] = {}  # column -> number of the line with the first word
        self._with_numbers: set[int] = set()

    def __contains__(self, column: int) -> bool:
        return column in self._words

    def take(self, column: int, texts: Sequence[str], numbers: Sequence[int]) -> bool:
        """Whether a block's texts of a column, with words among them, are those of events."""
        found = Counter(text.strip() for text in texts)
        found = Counter({text: count for text, count in found.items() if text and not self._is_missing(text)})
        words = self._words.pop(column, Counter()) + found
        is_seldom = words.total() * SELDOM <= self.lines
        if not is_seldom or column in self._with_numbers or any(map(self._has_number, found)):
            return False
        self._words[column] = words
        is_word = (number for number, text in zip(numbers, texts, strict=True) if text.strip() in found)
        self._first.setdefault(column, next(is_word))
        return True

    def line_of_word(self, column: int) -> int | None:
        """Called for a column with numbers in a block: the line of the first word in it, where there was one."""
        self._with_numbers.add(column)
        return self._first[column] if column in self._words else None

    def notes(self) -> Iterator[str]:
        """Parts of a sentence."""
        for column, words in self._words.items():
            shown = ", ".join(repr(word[:40]) for word, _ in words.most_common(SHOWN))
            yield (
                f"{self._layout.place(column)} holds a word ({shown}) in {words.total():,} of {self.lines:,} lines, "
                "and no number: left out"
            )

    def _is_missing(self, text: str) -> bool:
        try:
            return math.isnan(self._cells.number("", text))
        except CellFault:
            return False

    def _has_number(self, text: str) -> bool:
        """Also one that is refused: 1,234 is no word."""
        try:
            self._cells.number("", text)
        except CellFault:
            return text[:1].isdecimal() or text[:1] in "+-.,"
        return True
