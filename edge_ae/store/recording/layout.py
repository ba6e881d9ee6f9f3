"""The first lines of a file -> where things stand in it: preamble, header, units, and what each column is.

    preamble    lines with another number of fields, comments, `sep=;`
    header      the names, above the first line with a time
    units       between the two, and what else a logger writes there
    lines       a time in one column or two, a number in each of the channels'

A file with a line for each value (name, time, value) has a `key` and a `value` column in place of channels.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_ae.core.printable import printable
from edge_ae.core.words import UNITS
from edge_ae.errors import BadData
from edge_ae.store.recording.columns import Columns
from edge_ae.store.recording.head import BLANKS, TIME_NAMES, Head, HeadLine, TimeColumns, is_number
from edge_ae.store.recording.options import ReadOptions

MAX_NAME = 200  # characters
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
_UNIT_IN_NAME = re.compile(r"(?<!^)(?:\[([^\]\[]+)\]|\(([^()]+)\)|, ([^,()\s]+)(?: \(.*\))?)$")


@dataclass(frozen=True)
class Layout:
    """Where things stand in a line. Columns count from 0; -1 is "not there".

    `first_line`: the number of the first line with values, from 1. `header`: the names of all columns. `tags`: columns that
    tell one series of a name from another, in a file with a line for each value. `constants`: columns with the same text in
    each line, as far as the first lines show. `quality`: the column that may say of a value that it is bad.
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
    quality: int = -1
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
    names = tuple(_name(header.cell(column)) for column in range(header.width))
    names = (names[0].lstrip("# "), *names[1:])
    if head.delimiter == BLANKS and times == (0, 1) and header.width == head.width - 1:
        names = (names[0], *names)  # one name for "2026-03-02 10:00:00", which a blank parts
    if max(times) >= len(names):
        raise BadData(
            f"{head.path}, line {header.number}: names {len(names)} column{'s' if len(names) > 1 else ''}, but the times are in "
            f"column {max(times) + 1}; name every column"
        )
    units = () if units_row is None else tuple(units_row.cells)
    columns = Columns(head, header.number, names, times, head.rows[first:], units)
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


def _name(cell: str) -> str:
    """In one line, for a spreadsheet breaks long names; without control characters, for names are printed."""
    return printable(" ".join(cell.split()), MAX_NAME)


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
        names = [_name(cell) for cell in line.cells]
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
    if parts := columns.parts_of_dates():
        header, _ = _header(head, columns.first_row(parts[0]))
        names = ", ".join(repr(header.cell(column)) for column in parts)
        raise BadData(
            f"{head.path}: year, month and day are in columns of their own ({names}); join them and the time of day to one, such as 2026-03-02 10:00:00"
        )
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
    """Of names such as "flow [m3/h]", "Temp (°C)" or "Temp, °C (S/N: 1)"; what is no unit is part of the name."""
    found = ((name, _UNIT_IN_NAME.search(name)) for name in names)
    units = {name: (match[1] or match[2] or match[3]).strip() for name, match in found if match}
    return {name: unit for name, unit in units.items() if unit.casefold() in UNITS}
