"""The texts of a channel's column -> numbers, and what had to be understood on the way.

Numbers alone take the short way, a whole column at once. A word, a blank or a decimal comma sends the column the longer way,
cell by cell, through the table of words that payloads are read by.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.words import MISSING, number_of_text, number_with_unit, word_table
from edge_ae.store.recording.options import ReadOptions

BLANK = frozenset({"", "nan", "null", "none", "na", "n/a", "-nan"})  # words for "missing" that need no note
OF_LOGGERS = frozenset({
    *("#n/a n/a", "#name?", "#null!", "n. a.", "k.a.", "n.v.", "kein wert", "ungültig", "<null>", "(null)", "[null]", "\\n"),
    *("1.#ind", "-1.#qnan", "1.#snan", "-1.#snan", "1.#inf", "-1.#inf", "1.#ind00", "-1.#ind00", "1.#qnan0", "-1.#qnan0"),
    *("1.#j", "-1.#j", "1.#r", "+inf", "####", "#####", "######", "########", "----", "-----", "???", "??", "*", "**", "***"),
    *("bad data", "bad value", "bad quality", "bad_quality", "bad_input", "no value", "no_data", "no sample", "no result"),
    *("io timeout", "timeout", "timed out", "comm fail", "comm failure", "comm_fail", "commfail", "comms fail", "comm loss"),
    *("not connect", "not connected", "equip fail", "sensor fail", "sensor failure", "sensor error", "calc failed"),
    *("scan off", "scan timeout", "intf shut", "shutdown", "pt created", "set to bad", "out of serv", "out of service"),
    *("over range", "under range", "overrange", "underrange", "over", "under", "ovf", "ovl", "ol", "o.l", "over-range"),
    *("configure", "invalid float", "invalid data", "error", "err", "err!", "fail", "failed", "fault", "offline", "arc off-line"),
    *("doubtful", "uncertain", "not a number", "no reading", "no signal", "open circuit", "short circuit", "nat"),
})  # fmt: skip
"""More words for "no value", in small letters: of historians, spreadsheets, C libraries and meters."""

_GROUPED = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:([ '’.,\u00a0\u202f])\d{3}(?:\1\d{3})*(?:[.,]\d+)?)")
# A payload with such a number is clear by itself; in a column, the 1.234 in the next line would be read as little more than 1.
_THOUSANDS_AND_DECIMALS = re.compile(r"[+-]?\d{1,3}([ '’.,\u00a0\u202f])\d{3}(?:\1\d{3})*(?!\1)[.,]\d+")
THOUSANDS = "has a thousands separator, or may have one; export numbers without"
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?|[+-]?\d+,")


class CellFault(Exception):
    """A cell that is no number; the text says why, or is empty where it is just another text."""


class CellReader:
    """Reads the columns of one file, block by block. `decimal_comma`: whether a comma can be nothing else there."""

    def __init__(self, options: ReadOptions, *, decimal_comma: bool) -> None:
        self._words = word_table(options.words)
        self._missing = OF_LOGGERS | {word.strip().casefold() for word in options.missing}
        self._no_values = [value for word in options.missing if (value := number_of_text(word, {})) is not None]
        self._decimal_comma = decimal_comma
        self._seen_missing: Counter[str] = Counter()
        self._mapped: dict[str, dict[str, float]] = {}
        self._with_comma: dict[str, None] = {}  # names of columns
        self._perhaps_grouped: dict[str, str] = {}  # column -> a number such as 1.234
        self.units: dict[str, str] = {}

    def numbers(self, name: str, cells: Sequence[str]) -> NDArray[np.float64]:
        """A number for each cell of the column `name`, NaN where missing. Raises CellFault."""
        everything = "".join(cells)
        if self._decimal_comma and "." in everything:
            self._look_for_groups(name, cells)
        found = None if "_" in everything else self._at_once(name, cells, everything)
        return np.array([self.number(name, cell) for cell in cells]) if found is None else found

    def measured(self, name: str, cells: Sequence[str]) -> NDArray[np.float64]:
        """The numbers without those that the options take for missing, however they are written: -999 is -999.00, too."""
        numbers = self.numbers(name, cells)
        for value in self._no_values:
            at = numbers == value
            if at.any():
                self._seen_missing[f"{value:g}"] += int(at.sum())
                numbers[at] = np.nan
        return numbers

    def number(self, name: str, cell: str) -> float:
        """One cell's. Raises CellFault."""
        text = cell.strip().strip('"').replace("\u2212", "-")
        word = text.casefold()
        if word in self._missing:
            self._seen_missing[text] += 1
            return math.nan
        if self._decimal_comma and _DECIMAL_COMMA.fullmatch(text):
            self._with_comma[name] = None
            return float(text.replace(",", "."))
        if _THOUSANDS_AND_DECIMALS.fullmatch(text):
            raise CellFault(THOUSANDS)
        value = number_of_text(text, self._words)
        if value is None:
            return self._measured(name, text)
        if word in self._words:
            self._mapped.setdefault(name, {})[word] = value
        elif word in MISSING - BLANK:
            self._seen_missing[text] += 1
        elif "," in text:
            self._with_comma[name] = None
        return value

    def notes(self) -> Iterator[str]:
        """What was understood, in parts of a sentence."""
        if self._with_comma:
            yield "decimal comma"
        for name, mapped in self._mapped.items():
            yield f"{name!r}: " + ", ".join(f"{word} = {value:g}" for word, value in mapped.items())
        if self._seen_missing:
            words = ", ".join(repr(word) for word, _ in self._seen_missing.most_common(5))
            count = self._seen_missing.total()
            yield f"{count} cell{'s' if count > 1 else ''} ({words}) taken for missing"

    def doubt(self) -> str | None:
        """A sentence, where points may part thousands in one column, for there are decimal commas in another."""
        for column, cell in self._perhaps_grouped.items():
            if self._with_comma:
                other = next(iter(self._with_comma))
                return (
                    f"column {column!r} holds {cell!r} where column {other!r} has decimal commas: "
                    "is that point one of thousands? Export numbers without thousands separators"
                )
        return None

    def _at_once(self, name: str, cells: Sequence[str], everything: str) -> NDArray[np.float64] | None:
        """The short ways; None where there is none."""
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            pass
        has_commas = "," in everything
        if has_commas and not self._decimal_comma:
            return None
        texts = [cell.replace(",", ".") or "nan" for cell in cells] if has_commas else [cell or "nan" for cell in cells]
        try:
            numbers = np.fromiter(map(float, texts), np.float64, len(cells))
        except ValueError:
            return None
        if has_commas:
            self._with_comma[name] = None
        return numbers

    def _look_for_groups(self, name: str, cells: Sequence[str]) -> None:
        pointed = [cell for cell in cells if "." in cell]
        if name not in self._perhaps_grouped and all(_GROUPED.fullmatch(cell.strip()) for cell in pointed):
            self._perhaps_grouped[name] = pointed[0]
        elif name in self._perhaps_grouped and not all(_GROUPED.fullmatch(cell.strip()) for cell in pointed):
            del self._perhaps_grouped[name]

    def _measured(self, name: str, text: str) -> float:
        """A number with its unit behind it."""
        if _THOUSANDS.fullmatch(text):
            raise CellFault(THOUSANDS)
        found = number_with_unit(text)
        if found is None:
            raise CellFault("")
        value, unit = found
        if self.units.setdefault(name, unit) != unit:
            raise CellFault(f"is in {unit}, the numbers before it are in {self.units[name]}")
        return value
