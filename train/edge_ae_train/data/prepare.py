"""Recordings -> runs of rows on the daemon's own grid, and sentences on what was odd about them.

    paths ─ load ─► Tables ─ clean ─► Tables in time ─ sample_period_ns ─► period ─ rows ─► Segments

The rows are those that the daemon's aligner makes, so that a model is trained on what it will see.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.align import Aligner
from edge_ae.core.counters import CounterRates
from edge_ae.core.events import Readings, Row, slot_of
from edge_ae.core.expression import Expression
from edge_ae.core.model_spec import Channel, Floats, Kind, ModelSpec
from edge_ae.core.slot_value import merges_of
from edge_ae.core.timestamps import duration_text, rfc3339
from edge_ae.core.window import longest_gap
from edge_ae.errors import BadData
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae.store.recording.table import Table, take
from edge_ae_train.data import bulk_rows
from edge_ae_train.data.clean import Cleaned, clean, in_order, still_notes, without_leaps
from edge_ae_train.data.kinds import Finding, asked_kinds, find_kinds
from edge_ae_train.data.loading import load, where_of
from edge_ae_train.data.machines import require_one_machine
from edge_ae_train.data.on_change import on_change_note
from edge_ae_train.data.period import period_notes, sample_period_ns
from edge_ae_train.data.segments import Flags, Recording, Segment, episodes, in_state, kept, unlabelled
from edge_ae_train.data.series import asset_name
from edge_ae_train.data.window_length import LENGTHS
from edge_ae_train.progress import SILENT, Reporter

BLOCK_LINES = 8192  # lines held as Python objects at once, on the way through the aligner
EMPTY_SLOTS_WORTH_SAYING = 0.1
MOST_GAPS = 5  # that have a sentence of their own


@dataclass(frozen=True, slots=True)
class Sampling:
    """How lines become rows. `hold_rows`: for which a channel that reports on change keeps its value.

    `length`: rows of the longest window that the rows are for. Gaps that it does not bridge part the rows at once; those
    that a shorter one does not bridge, once its length is chosen (see `stretches`). `kinds`: the channels, where some may
    be counters or angles.
    """

    period_ns: int
    hold_rows: int = 0
    length: int = LENGTHS[-1]
    kinds: tuple[Channel, ...] = ()


@dataclass(frozen=True, slots=True)
class RowOptions:
    """What the user asked of the rows; None: to be found in the data. `hold_ns`: how long a value stands where channels
    report on change; `length`: rows of a window; `kinds`: of channels, such as "energy=counter"; `when`: the state to learn from."""

    period_ns: int | None = None
    hold_ns: int = 0
    length: int | None = None
    kinds: str | None = None
    when: Expression | None = None


AS_FOUND = RowOptions()


def sampling_of(spec: ModelSpec, length: int | None = None) -> Sampling:
    """A model's; with another length, that of a model which is to take its place."""
    return Sampling(spec.period_ns, spec.hold_rows, spec.length if length is None else length, spec.channels)


def read(
    paths: Iterable[str | Path],
    columns: ReadOptions = AS_IT_IS,
    asked: RowOptions = AS_FOUND,
    reporter: Reporter = SILENT,
) -> Recording:
    """The whole way from files to segments of normal rows. BadData where nothing can be learned from them."""
    return recording_of(load(paths, columns, reporter), asked, columns.label)


def recording_of(loaded: Sequence[Table], asked: RowOptions = AS_FOUND, label: str | None = None) -> Recording:
    """Of tables with the same channels. `label`: what their column of labels is called."""
    require_one_machine([in_order(table) for table in loaded])
    cleaned = clean(loaded)
    tables, notes = cleaned.tables, cleaned.notes
    units = {name: unit for table in tables for name, unit in table.units.items()}
    known = asked_kinds(asked.kinds, tables[0].names)
    findings, seen = find_kinds(tables, known, units), tables
    period_ns = sample_period_ns(tables) if asked.period_ns is None else asked.period_ns
    hold_rows = -(-asked.hold_ns // period_ns)
    sampling = Sampling(period_ns, hold_rows, asked.length or LENGTHS[-1], _channels(findings, cleaned))
    made = rows(tables, sampling)
    if asked.when is not None:
        seen = _lines_in_state(tables, made, asked.when, period_ns)
        findings = _kinds_in_state(findings, find_kinds(seen, known, units), asked.when)
        sampling = replace(sampling, kinds=_channels(findings, cleaned))
        made = rows(tables, sampling)
    kinds = sampling.kinds
    segments, leaps = without_leaps(made, kinds)
    notes += [*still_notes(seen, kinds), *leaps, *period_notes(tables, period_ns), *gap_notes(segments, period_ns)]
    if asked.when is not None:
        segments = _watched(made, segments, asked.when, tables[0].names)
        notes.append(_state_note(made, segments, asked.when))
    normal = [part for segment in segments for part in unlabelled(segment)]
    if not normal:
        raise BadData(
            f"{where_of(tables)}: {label!r} marks every row; a model learns from normal ones, 0 in that column"
        )
    if left_out := sum(map(len, segments)) - sum(map(len, normal)):
        notes.append(f"{left_out} rows that {label!r} marks are left out: a model learns from normal ones alone")
    if hold_rows == 0 and (note := on_change_note(tables)) is not None:
        notes.append(note)
    reasons = tuple(one.reason for one in findings)
    when = "" if asked.when is None else asked.when.text
    return Recording(tables[0].names, period_ns, tuple(normal), hold_rows, tuple(notes), kinds, reasons, units, when)


def _channels(findings: Sequence[Finding], cleaned: Cleaned) -> tuple[Channel, ...]:
    errors = cleaned.error_values
    return tuple(replace(one.channel, error_values=errors.get(one.channel.name, ())) for one in findings)


def _lines_in_state(tables: Sequence[Table], made: Sequence[Segment], when: Expression, period_ns: int) -> list[Table]:
    """The lines of the rows in a state, a table for each stretch of them: what a channel did in between shows nothing of it."""
    fault = when.unknown(tables[0].names)
    if fault is not None:
        raise BadData(f"--when: {fault}")
    watched = _watched(made, made, when, tables[0].names)
    if not watched:
        raise BadData(f"{where_of(tables)}: --when: {when.text} holds in none of {sum(map(len, made))} rows")
    return [part for table in tables for part in _lines_of(table, watched, period_ns)]


def _lines_of(table: Table, segments: Sequence[Segment], period_ns: int) -> Iterator[Table]:
    slots, asset = slot_of(table.t_ns, period_ns), asset_name(table)
    for segment in segments:
        first, end = np.searchsorted(slots, (segment.start_slot, segment.start_slot + len(segment)))
        if segment.asset == asset and first < end:
            yield take(table, slice(int(first), int(end)))


def _kinds_in_state(whole: Sequence[Finding], found: Sequence[Finding], when: Expression) -> list[Finding]:
    """What channels are in a state. Those that it is told by are what they are in the `whole`, for which rows are of it hangs on that."""
    return [
        anywhere if anywhere.channel.name in when.names else there for anywhere, there in zip(whole, found, strict=True)
    ]


def _watched(
    made: Sequence[Segment], cleaned: Sequence[Segment], when: Expression, names: Sequence[str]
) -> list[Segment]:
    """The stretches of the `cleaned` segments in a state, which is known by the rows as they were `made`: a device cleans nothing."""
    states = (in_state(segment, when, names) for segment in made)
    return [part for segment, state in zip(cleaned, states, strict=True) for part in kept(segment, state)]


def _state_note(made: Sequence[Segment], watched: Sequence[Segment], when: Expression) -> str:
    total, left = sum(map(len, made)), sum(map(len, watched))
    return f"{total - left} of {total} rows are left out: {when.text} does not hold there, or a value is missing"


def gap_notes(segments: Sequence[Segment], period_ns: int) -> list[str]:
    """A sentence on each gap that ended a segment, and on slots without a value."""
    notes = []
    for before, after in pairwise(segments):
        end = before.start_slot + len(before)
        if before.asset == after.asset and after.start_slot > end:
            length = duration_text((after.start_slot - end) * period_ns)
            notes.append(f"{before.asset}: a gap of {length} at {rfc3339(end * period_ns)}")
    if len(notes) > MOST_GAPS:
        notes[MOST_GAPS:] = [f"and {len(notes) - MOST_GAPS} more gaps"]
    empty = sum(int(np.isnan(segment.values).all(axis=1).sum()) for segment in segments)
    total = sum(map(len, segments))
    if empty > EMPTY_SLOTS_WORTH_SAYING * total:
        notes.append(f"{empty} of {total} rows hold no value, for lines came less often than that")
    return notes


def rows(tables: Sequence[Table], sampling: Sampling) -> list[Segment]:
    """The rows that the daemon would make of the tables."""
    return [segment for table in tables for segment in _segments(table, sampling)]


def _segments(table: Table, sampling: Sampling) -> list[Segment]:
    slots = slot_of(table.t_ns, sampling.period_ns)
    labelled = None if table.labels is None else slots[table.labels]
    runs = _rows_at_once if bulk_rows.can_align(table.t_ns, slots, table.values) else _rows_one_by_one
    return [
        _segment(asset_name(table), start, values, slots, labelled) for start, values in runs(table, slots, sampling)
    ]


def _rows_at_once(table: Table, slots: NDArray[np.int64], sampling: Sampling) -> Iterable[tuple[int, Floats]]:
    by_name = merges_of(sampling.kinds)
    merges = {index: by_name[name] for index, name in enumerate(table.names) if name in by_name}
    options = {"max_gap_rows": longest_gap(sampling.length), "hold_rows": sampling.hold_rows}
    runs = bulk_rows.align(table.t_ns, slots, table.values, merges, **options)
    counters = [index for index, channel in enumerate(sampling.kinds) if channel.kind == Kind.COUNTER]
    if counters:
        newest = {place: merges[index] for place, index in enumerate(counters)}
        exact = bulk_rows.align(table.t_ns, slots, table.values[:, counters], newest, dtype=np.float64, **options)
        _put_rates(runs, exact, counters, sampling)
    return runs


def _put_rates(
    runs: Sequence[tuple[int, Floats]],
    exact: Sequence[tuple[int, NDArray[Any]]],
    counters: Sequence[int],
    sampling: Sampling,
) -> None:
    """The rates of the `counters` into their columns of the runs; `exact`: their readings, in double precision."""
    stage = CounterRates([sampling.kinds[index] for index in counters], sampling.period_ns)
    for (start, rows), (_, readings) in zip(runs, exact, strict=True):
        pushed = (stage.push(Row(start + n, tuple(values))) for n, values in enumerate(readings.tolist()))
        with np.errstate(over="ignore"):
            rows[:, counters] = [row.values for row in pushed]


def _rows_one_by_one(table: Table, _slots: NDArray[np.int64], sampling: Sampling) -> Iterable[tuple[int, Floats]]:
    """The first slot of each run of rows, and its rows."""
    max_gap_rows = longest_gap(sampling.length)
    hold_rows, kinds = sampling.hold_rows, sampling.kinds
    aligner = Aligner(table.names, sampling.period_ns, max_gap_rows=max_gap_rows, hold_rows=hold_rows, kinds=kinds)
    counters = CounterRates(kinds, sampling.period_ns)
    runs: list[tuple[int, list[Floats]]] = []  # with the rows in blocks
    next_slot = None
    for block in _blocks_of_rows(aligner, table):
        for start, values in _runs(list(map(counters.push, block))):
            if start != next_slot:
                runs.append((start, []))
            runs[-1][1].append(values)
            next_slot = start + len(values)
    return [(start, np.concatenate(parts)) for start, parts in runs]


def _blocks_of_rows(aligner: Aligner, table: Table) -> Iterator[list[Row]]:
    asset = asset_name(table)
    for first in range(0, len(table), BLOCK_LINES):
        times = table.t_ns[first : first + BLOCK_LINES].tolist()
        lines = table.values[first : first + BLOCK_LINES].tolist()
        yield [
            row
            for t_ns, values in zip(times, lines, strict=True)
            for row in aligner.push(Readings(asset, t_ns, dict(zip(table.names, values, strict=True))))
        ]
    yield aligner.flush()


def _runs(block: Sequence[Row]) -> Iterator[tuple[int, Floats]]:
    """Rows with consecutive slots, as one array each."""
    for _, group in groupby(enumerate(block), key=lambda pair: pair[1].slot - pair[0]):
        run = [row for _, row in group]
        yield run[0].slot, np.array([row.values for row in run], dtype=np.float32)


def _segment(
    asset: str, start: int, values: Floats, read: NDArray[np.int64], labelled: NDArray[np.int64] | None
) -> Segment:
    """`read`, `labelled`: the slots of the asset's lines, and of those that a label marks."""
    lines = _hit(read, start, len(values))
    gap = None if lines.all() else _gaps(lines)
    return Segment(values, start, asset, gap, None if labelled is None else _hit(labelled, start, len(values)))


def _hit(slots: NDArray[np.int64], start: int, count: int) -> Flags:
    """Which of `count` rows from slot `start` on are among the slots."""
    flags = np.zeros(count, dtype=np.bool_)
    flags[slots[(slots >= start) & (slots < start + count)] - start] = True
    return flags


def _gaps(lines: Flags) -> NDArray[np.int64]:
    """For each row without a line the length of the gap it is in, 0 for the others."""
    gap = np.zeros(len(lines), np.int64)
    for first, end in episodes(~lines):
        gap[first:end] = end - first
    return gap
