"""The blocks of a file -> a Table: what only the whole shows, such as the order of day and month, and the note on all of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.store.recording.body import BodyReader, ParsedLines
from edge_ae.store.recording.layout import Layout
from edge_ae.store.recording.long_format import pivoted
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.source import LineSource
from edge_ae.store.recording.table import Table, TextColumn, newest_first
from edge_ae.store.recording.times import AmbiguousDates, ReadTimes, TimeFault, read_times
from edge_ae.store.recording.zones import name_in, zone_in

CLOCK_CHANGE_NS = 3600 * SECOND


def whole_table(body: BodyReader, blocks: Sequence[ParsedLines], source: LineSource, options: ReadOptions) -> Table:
    """Raises BadData where the whole of a column cannot be understood."""
    layout = body.layout
    times = TextColumn.joined([block.times for block in blocks])
    read = _times(body, times, options)
    if doubt := body.cells.doubt():
        raise BadData(f"{layout.path}: {doubt}")
    table = _of_lines(layout, blocks, times, read.t_ns)
    parts = [
        *layout.notes,
        *_encoding(source),
        *read.notes,
        *body.cells.notes(),
        *body.rows.notes(),
        *body.events.notes(),
        *body.quality.notes(),
    ]
    parts += [*_zone(layout, read), *_order(table, read)]
    if layout.is_long:
        body.names.check_ignored()
        keys = np.concatenate([block.keys for block in blocks if block.keys is not None])
        table = pivoted(table, keys, body.names.names())
    note = f"{layout.path}: {'; '.join(parts)}"
    units = {**layout.units, **body.cells.units, **body.names.units}
    there = {name: units[name] for name in table.names if name in units}
    return replace(table, units=there, notes=(note,) if parts else ())


def _times(body: BodyReader, times: TextColumn, options: ReadOptions) -> ReadTimes:
    layout = body.layout
    try:
        return read_times(times, options, zone_in(" ".join(layout.header[column] for column in layout.times)))
    except TimeFault as fault:
        where = f"{layout.path}, line {body.line_of(fault.line)}, {layout.place(layout.times[0])}"
        raise BadData(f"{where}: {times[fault.line][:40]!r} {fault.reason}") from None
    except AmbiguousDates as error:
        raise BadData(f"{layout.path}, {layout.place(layout.times[0])}: {times[0]!r} {error}") from None


def _of_lines(layout: Layout, blocks: Sequence[ParsedLines], times: TextColumn, t_ns: NDArray[np.int64]) -> Table:
    values = np.concatenate([block.values for block in blocks])
    values[np.isinf(values)] = np.nan  # the live decoder drops an infinite reading: the same answer here
    width = len(layout.channels)
    assets = [block.assets for block in blocks if block.assets is not None]
    return Table(
        path=layout.path,
        times=times,
        t_ns=t_ns,
        names=tuple(layout.header[column] for column in layout.channels),
        values=values if layout.label < 0 else np.ascontiguousarray(values[:, :width]),
        labels=None if layout.label < 0 else values[:, width] == 1.0,
        assets=TextColumn.joined(assets) if assets else None,
    )


def _encoding(source: LineSource) -> Iterator[str]:
    if not source.encoding.startswith("utf-8"):
        yield f"text in {source.encoding.upper()}"


def _zone(layout: Layout, read: ReadTimes) -> Iterator[str]:
    names = filter(None, (name_in(layout.header[column]) for column in layout.times))
    if read.is_local and (name := next(names, None)) is not None:
        yield f"the header says {name}, which is no offset: times are taken for UTC unless --time-zone names the zone"


def _order(table: Table, read: ReadTimes) -> Iterator[str]:
    if newest_first(table):
        yield "newest first, put in order"
        return
    back = np.flatnonzero(np.diff(table.t_ns) < 0)
    steps = table.t_ns[back] - table.t_ns[back + 1]
    if read.is_local and 0 < len(back) <= 3 and (abs(steps - CLOCK_CHANGE_NS) < CLOCK_CHANGE_NS // 4).all():
        yield f"the time goes back by an hour at {table.times[int(back[0]) + 1]}; if clocks were changed: --time-zone"
