"""The first lines of a file -> where things stand in it: preamble, header, units, and what each column is.

    preamble    lines with another number of fields, comments, `sep=;`
    header      the names, above the first line with a time
    units       between the two, and what else a logger writes there
    lines       a time in one column or two, a number in each of the channels'

A file with a line for each value (name, time, value) has a `key` and a `value` column in place of channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge_ae.core.words import UNITS, number_of_text, number_with_unit
from edge_ae.errors import BadData
from edge_ae.store.recording.cells import OF_LOGGERS
from edge_ae.store.recording.head import TIME_NAMES, Head, HeadLine, TimeColumns, is_number
from edge_ae.store.recording.options import ReadOptions

OTHER_UNITS = frozenset({
    *("-", "--", "1", "#", "ts", "rn", "utc", "volts", "volt", "amps", "counts", "count", "unit", "units", "einheit"),
    *("deg c", "degc", "deg_c", "deg f", "degf", "bool", "on/off", "datetime", "local", "sec", "seconds", "unixtime", "iso8601"),
    *("1/s", "rev/min", "n·m", "n m", "kj", "j", "mj", "lpm", "cfm", "nl/min", "nm3/h", "g/s", "bar(g)", "bar(a)", "avg", "smp"),
    *("min", "max", "std", "tot", "float", "double", "int", "real", "string", "numeric", "hh:mm:ss", "yyyy-mm-dd hh:mm:ss"),
})  # fmt: skip
"""What else stands in the lines between header and values, in small letters."""
NO_UNITS = frozenset(
    {"-", "--", "1", "#", "avg", "smp", "min", "max", "std", "tot", "float", "double", "int", "real", "string"}
)

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
})  # fmt: skip
INDEX_NAMES = frozenset({
    *("", "unnamed: 0", "index", "idx", "id", "#", "no", "no.", "nr", "nr.", "n", "row", "line", "record", "sample", "scan"),
})  # fmt: skip
LINES_OF_A_CONSTANT = 3
OF_INFLUX = frozenset({"result", "table", "_start", "_stop", "_measurement"})


@dataclass(frozen=True)
class Layout:
    """Where things stand in a line. Columns count from 0; -1 is "not there".

    `first_line`: the number of the first line with values, from 1. `header`: the names of all columns. `tags`: columns that
    tell one series of a name from another, in a file with a line for each value. `constants`: columns with the same text in
    each line, as far as the first lines show.
    """

    path: Path
    delimiter: str
    first_line: int
    header: tuple[str, ...]
    times: tuple[int, ...]
    channels: tuple[int, ...] = ()
    label: int = -1
    asset: int = -1
    key: int = -1
    value: int = -1
    unit: int = -1
    tags: tuple[int, ...] = ()
    constants: tuple[int, ...] = ()
    units_row: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_long(self) -> bool:
        return self.key >= 0

    @property
    def numbers(self) -> tuple[int, ...]:
        """The columns that hold some."""
        if self.is_long:
            return (self.value,)
        return self.channels if self.label < 0 else (*self.channels, self.label)

    def place(self, column: int) -> str:
        """For a sentence on a cell."""
        return f"column {column + 1} ({self.header[column]!r})"


def find_layout(head: Head, options: ReadOptions) -> Layout:
    """Raises BadData where no header, no time or no channel is found."""
    times, first = _named_times(head, options.time) if options.time else _found_times(head)
    header, between = _header(head, first)
    units_row = next((line for line in between if _is_units(line)), None)
    names = tuple(header.cell(column) for column in range(header.width))
    names = (names[0].lstrip("# "), *names[1:])
    units = () if units_row is None else tuple(units_row.cells)
    columns = _Columns(head, header.number, names, times, head.rows[first:], units)
    roles = columns.roles(options)
    return Layout(
        path=head.path,
        delimiter=head.delimiter,
        first_line=(between[-1] if between else header).number + 1,
        header=names,
        times=times,
        units_row=units,
        units={**_units_in(names), **_units_of(names, units_row)},
        notes=(*_notes(head, header, between, units_row), *_time_notes(names, times), *columns.notes),
        **roles,
    )


def _notes(head: Head, header: HeadLine, between: Sequence[HeadLine], units_row: HeadLine | None) -> list[str]:
    skipped = header.number - 1 - head.is_named
    notes = [f"sep={head.delimiter} in line 1"] if head.is_named else []
    notes += [f"{skipped} line{'s' if skipped > 1 else ''} of preamble skipped"] if skipped > 0 else []
    notes += ["empty fields at the end of lines left out"] if head.is_trailing else []
    more = ("units taken from line {}" if line is units_row else "line {} skipped" for line in between)
    return [*notes, *(text.format(line.number) for text, line in zip(more, between, strict=True))]


def _time_notes(names: Sequence[str], times: tuple[int, ...]) -> list[str]:
    return [] if times == (0,) else [f"times in {' and '.join(repr(names[column]) for column in times)}"]


# -- times and header ------------------------------------------------------------------------------------------


def _named_times(head: Head, wanted: Sequence[str]) -> tuple[tuple[int, ...], int]:
    """The columns of these names, and the place of the row below the line that has them."""
    for place, line in enumerate(head.rows):
        names = [name.strip() for name in line.cells]
        wanted = ["+".join(wanted)] if "+".join(wanted) in names else wanted
        if set(wanted) <= set(names):
            below = enumerate(head.rows[place + 1 :], start=place + 1)
            first = next((at for at, row in below if not _is_units(row)), len(head.rows))
            return tuple(names.index(name) for name in wanted), first
    wide = next((line for line in head.rows if line.width >= head.width), head.rows[0])
    there = ", ".join(cell.strip() for cell in wide.cells)
    raise BadData(f"{head.path}: has no column {' and '.join(map(repr, wanted))}; it has {there}")


def _found_times(head: Head) -> tuple[tuple[int, ...], int]:
    """Where no column holds times, the first is taken: the fault is found in its lines."""
    columns = TimeColumns(head)
    if found := columns.find():
        return found, max(columns.first_row(column) for column in found)
    if columns.several:
        header, _ = _header(head, columns.first_row(columns.several[0]))
        names = ", ".join(repr(header.cell(column)) for column in columns.several)
        raise BadData(f"{head.path}: {names} all hold times; name the one to go by: --time-column")
    wide = (place for place, line in enumerate(head.rows) if line.width >= min(2, head.width))
    return (0,), next(wide, 0) + 1


def _header(head: Head, first: int) -> tuple[HeadLine, list[HeadLine]]:
    """The line of names above the row `first`, and the lines between the two."""
    above: list[HeadLine] = []
    for line in reversed(head.rows[:first]):
        if line.width < head.width and not len(line.cells) >= head.width > 2 <= line.width:
            break
        above.append(line)
    if not above:
        return _header_elsewhere(head, first), []
    place = _place_of_names(above, head.width)
    return above[place], above[:place][::-1]


def _place_of_names(above: Sequence[HeadLine], width: int) -> int:
    """Which of the lines above the values, the nearest first, has the names: one with a name of times; else the topmost
    in a wide file, where a preamble has not as many fields; else the first that does not look like units. Not one with a
    number, unless all have: those are values of a logger whose clock was not set yet."""
    for place, line in enumerate(above):
        if any(cell.strip().lower() in TIME_NAMES for cell in line.cells) and not _is_units(line):
            return place
    without_numbers = [place for place, line in enumerate(above) if not any(map(is_number, line.cells))]
    if width > 2:
        return max(without_numbers, default=0)
    of_names = (place for place in without_numbers if not _is_units(above[place]))
    return next(of_names, max(without_numbers, default=0))


def _header_elsewhere(head: Head, first: int) -> HeadLine:
    """Names behind a `#`, as numpy writes them, or in fewer fields than the lines have; BadData where there are none."""
    number = head.rows[first].number if first < len(head.rows) else 1
    for line in reversed(head.comments):
        if line.number < number and line.width >= max(2, head.width):
            return line
    if first > 0 and (head.rows[first - 1].width > 1 or head.width < 2):
        return head.rows[first - 1]
    raise BadData(f"{head.path}, line {number}: has no header; the first line must name the columns, the time first")


# -- units -----------------------------------------------------------------------------------------------------


def _is_units(line: HeadLine) -> bool:
    """Most of its cells are units, and none is a number."""
    filled = [_bare(cell) for cell in line.cells if cell.strip()]
    known = sum(cell.casefold() in UNITS or cell.casefold() in OTHER_UNITS for cell in filled)
    return 2 * known >= max(1, len(filled)) and not any(is_number(cell) for cell in filled if cell != "1")


def _bare(cell: str) -> str:
    """A unit without the brackets around it."""
    text = cell.strip()
    return text[1:-1].strip() if text[:1] + text[-1:] in ("[]", "()") else text


def _units_of(names: Sequence[str], line: HeadLine | None) -> dict[str, str]:
    if line is None:
        return {}
    found = ((name, _bare(line.cell(column))) for column, name in enumerate(names))
    return {name: unit for name, unit in found if unit and unit.casefold() not in NO_UNITS}


def _units_in(names: Sequence[str]) -> dict[str, str]:
    """Of names such as "flow [m3/h]" or "Temp (°C)"; what is in brackets and no unit is part of the name."""
    units = {}
    for name in names:
        opening = max(name.rfind("["), name.rfind("("))
        if opening > 0 and name[-1] in ")]" and name[opening + 1 : -1].strip().casefold() in UNITS:
            units[name] = name[opening + 1 : -1].strip()
    return units


# -- what each column is ---------------------------------------------------------------------------------------


class _Columns:
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
        """A name that says so, and each cell one more than the one above."""
        cells, is_record = self._cells(column), self._units_row[column : column + 1] == ("RN",)
        named = is_record or (self._names[column].lower() in INDEX_NAMES and column < min(self._times))
        if not named or column in self._times or not all(cell.isdecimal() for cell in cells):
            return False
        counts = [int(cell) for cell in cells]
        return all(after - before == 1 for before, after in pairwise(counts))

    def _is_constant_text(self, column: int) -> bool:
        cells = set(self._cells(column))
        return len(self._rows) >= LINES_OF_A_CONSTANT and len(cells) == 1 and self._is_no_value(cells.pop())

    def _is_no_value(self, cell: str) -> bool:
        """Neither a number nor a word for one, nor for none."""
        is_said = cell.casefold() in self._said or cell.casefold() in OF_LOGGERS
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
        self.notes.append(f"a line for each value: names in {self._names[key]!r}, values in {self._names[value]!r}")
        return {"key": key, "value": value, "unit": unit, "asset": asset, "tags": tuple(tags)}
