"""What each column of a file is, by its name and the first lines of its cells: a channel, a count of the lines, a text that
never changes; and, in a file with a line for each value, which columns hold names, values and their quality.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from edge_ae.core.words import number_of_text, number_with_unit
from edge_ae.errors import BadData
from edge_ae.store.recording.cells import OF_LOGGERS
from edge_ae.store.recording.head import Head, HeadLine, is_number
from edge_ae.store.recording.options import ReadOptions

KEY_NAMES = frozenset({
    *("entity_id", "_field", "tag", "tagname", "tag_name", "tag name", "name", "point", "point_name", "pointname", "sensor"),
    *("sensor_id", "signal", "variable", "parameter", "metric", "channel", "topic", "item", "pointid", "point_id", "tagid"),
    *("messstelle", "messpunkt", "kanal", "series", "varname", "var_name", "variable_name"),
})  # fmt: skip
VALUE_NAMES = frozenset({"value", "_value", "state", "val", "wert", "messwert", "vvalue", "reading", "varvalue"})
UNIT_NAMES = frozenset({"unit", "units", "uom", "unit_of_measurement", "einheit", "eu"})
BESIDE_VALUES = frozenset({
    *("result", "table", "_start", "_stop", "quality", "status", "statuscode", "good", "questionable"),
    *("last_updated", "last_changed", "last_reported", "friendly_name", "attributes", "description", "annotated", "validity"),
    *("substituted", "datatype", "type", "qds", "qualität", "opcquality", "time_ms", "id", "index"),
    *("qualitydetail", "quality_detail"),
})  # fmt: skip
QUALITY_NAMES = (
    "quality",
    "qualitydetail",
    "quality_detail",
    "opcquality",
    "qualität",
    "validity",
    "good",
    "status",
    "statuscode",
    "qds",
)
"""Columns that may say of a value that it is bad, the likeliest first."""
INDEX_NAMES = frozenset({
    *("", "unnamed: 0", "index", "idx", "id", "#", "no", "no.", "nr", "nr.", "n", "row", "line", "record", "sample", "scan"),
    *("entry_id", "entryid", "seq", "seq_no", "sequence", "row_id", "rowid", "record_id", "recno", "lfd. nr.", "lfd.nr."),
})  # fmt: skip
LINES_OF_A_CONSTANT = 3
COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")  # no constant text: which number it is, is the business of who reads cells
OF_INFLUX = frozenset({"result", "table", "_start", "_stop", "_measurement"})


class Columns:
    """The columns of one file, by their names and the first lines of their cells. `notes` are there after `roles`."""

    def __init__(
        self,
        head: Head,
        line: int,
        names: tuple[str, ...],
        times: tuple[int, ...],
        rows: Sequence[HeadLine],
        units_row: tuple[str, ...],
    ) -> None:
        self._path, self._line, self._names, self._times, self._rows = head.path, line, names, times, rows
        self._units_row = units_row
        self._said: set[str] = set()  # words that the options give a meaning
        self.notes: list[str] = []

    def roles(self, options: ReadOptions) -> dict[str, Any]:
        """The fields of the layout that say which column is what. Raises BadData."""
        if len(self._names) < 2:
            raise BadData(
                f"{self._path}, line {self._line}: has only one column; a time and at least one channel are needed"
            )
        self._check_names()
        long = self._long(options)
        return self._wide(options) if long is None else self._of_long(options, *long)

    def _check_names(self) -> None:
        seen = set()
        for column, name in enumerate(self._names):
            where = f"{self._path}, line {self._line}, column {column + 1}"
            if not name and not self._is_spare(column):
                raise BadData(f"{where}: has no name")
            if name in seen:
                raise BadData(f"{where}: the name {name!r} is there twice")
            if name and column not in self._times:
                seen.add(name)

    def _wide(self, options: ReadOptions) -> dict[str, Any]:
        asked = self._asked(options, options.ignore)
        self._said = {word.strip().casefold() for word in (*options.words, *options.missing)}
        others = [column for column in range(len(self._names)) if column not in self._times]
        wanted = [column for column in others if self._names[column] not in asked and not self._is_left_out(column)]
        constants = tuple(column for column in wanted if self._is_constant_text(column))
        channels = tuple(column for column in wanted if column not in constants)
        if not channels:
            raise BadData(f"{self._path}: leaves no channel; its columns are {', '.join(self._names)}")
        for column in constants:
            cell = self._rows[0].cell(column)
            self.notes.append(
                f"column {column + 1} ({self._names[column]!r}) says {cell!r} in each line and is left out"
            )
        return {
            "channels": channels,
            "constants": constants,
            "label": self._column(options.label),
            "asset": self._column(options.asset),
        }

    def _asked(self, options: ReadOptions, ignored: Sequence[str]) -> set[str]:
        """The columns that the options name; BadData where one is not there."""
        asked = [*ignored, *(name for name in (options.label, options.asset) if name is not None)]
        there = [name for column, name in enumerate(self._names) if name and column not in self._times]
        of_times = [name for name in asked if name not in there and name in self._names]
        if of_times:
            raise BadData(f"{self._path}: {of_times[0]!r} is the column of the times; --time-column names another")
        if unknown := [name for name in asked if name not in there]:
            raise BadData(f"{self._path}: has no column {', '.join(map(repr, unknown))}; it has {', '.join(there)}")
        return set(asked)

    def _column(self, name: str | None) -> int:
        return -1 if name is None else self._column_of(name)

    def _column_of(self, name: str) -> int:
        return next(c for c, found in enumerate(self._names) if found == name and c not in self._times)

    def _is_left_out(self, column: int) -> bool:
        """Whether a column is no channel whatever the options say."""
        if self._is_index(column):
            self.notes.append(f"column {column + 1} ({self._names[column]!r}) counts the lines and is left out")
            return True
        if self._names[column] in OF_INFLUX and "_time" in self._names:
            return True
        return not self._names[column]

    def _is_spare(self, column: int) -> bool:
        """Whether a column without a name can be left out: it is empty, counts lines, or is what Influx begins lines with."""
        return self._is_index(column) or not any(self._cells(column)) or "_time" in self._names

    def _is_index(self, column: int) -> bool:
        """A name that says so, and each cell one more than the one above, or one less where the newest line is first."""
        cells, is_record = self._cells(column), self._units_row[column : column + 1] == ("RN",)
        named = is_record or self._names[column].lower() in INDEX_NAMES
        if not named or column in self._times or not all(cell.isdecimal() for cell in cells):
            return False
        # One or two lines show no count; before the times stands nothing but one.
        if column > min(self._times) and len(cells) < LINES_OF_A_CONSTANT:
            return False
        steps = {int(after) - int(before) for before, after in pairwise(cells)}
        return steps <= {1} or steps == {-1}

    def _is_constant_text(self, column: int) -> bool:
        cells = set(self._cells(column))
        return len(self._rows) >= LINES_OF_A_CONSTANT and len(cells) == 1 and self._is_no_value(cells.pop())

    def _is_no_value(self, cell: str) -> bool:
        """Neither a number nor a word for one, nor for none."""
        is_said = cell.casefold() in self._said or cell.casefold() in OF_LOGGERS or COMMA_NUMBER.fullmatch(cell)
        return not is_said and number_of_text(cell) is None and number_with_unit(cell) is None

    def _cells(self, column: int) -> list[str]:
        return [line.cell(column) for line in self._rows]

    # -- a line for each value ---------------------------------------------------------------------------------

    def _long(self, options: ReadOptions) -> tuple[int, int] | None:
        """The columns of names and values; None where the file has a column for each channel."""
        if options.long is not None:
            self._asked(options, options.long)
            return self._column_of(options.long[0]), self._column_of(options.long[1])
        lower = [name.lower() for name in self._names]
        keys = [column for column, name in enumerate(lower) if name in KEY_NAMES and self._is_text(column)]
        values = [column for column, name in enumerate(lower) if name in VALUE_NAMES]
        if options.asset is not None:
            keys = [column for column in keys if self._names[column] != options.asset]
        if len(keys) != 1 or len(values) != 1:
            return None
        beside = (c for c in range(len(lower)) if c not in (*keys, *values, *self._times))
        return None if any(self._is_channel(column) for column in beside) else (keys[0], values[0])

    def _is_channel(self, column: int) -> bool:
        name = self._names[column].lower()
        known = name in BESIDE_VALUES or name in UNIT_NAMES or not name or self._is_index(column)
        return not known and not self._is_text(column)

    def _is_text(self, column: int) -> bool:
        return not any(is_number(cell) for cell in self._cells(column))

    def _of_long(self, options: ReadOptions, key: int, value: int) -> dict[str, Any]:
        if options.label is not None:
            raise BadData(f"{self._path}: has a line for each value, and no place for the label {options.label!r}")
        asset = self._column(options.asset)
        self._asked(options, ())
        lower = [name.lower() for name in self._names]
        unit = next((column for column, name in enumerate(lower) if name in UNIT_NAMES), -1)
        rest = (c for c in range(len(lower)) if c not in (*self._times, key, value, unit, asset) and lower[c])
        tags = (c for c in rest if lower[c] not in BESIDE_VALUES and self._names[c] not in options.ignore)
        quality = next((lower.index(name) for name in QUALITY_NAMES if name in lower), -1)
        quality = -1 if quality in (key, value, asset) or self._names[quality] in options.ignore else quality
        self.notes.append(f"a line for each value: names in {self._names[key]!r}, values in {self._names[value]!r}")
        return {"key": key, "value": value, "unit": unit, "asset": asset, "quality": quality, "tags": tuple(tags)}
