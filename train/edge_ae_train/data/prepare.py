"""Recordings -> gap-free runs of rows on the daemon's own grid, and sentences on what was odd about them.

    paths ─ load ─► Tables ─ clean ─► Tables in time ─ sample_period_ns ─► period ─ rows ─► Segments

The rows are made by the aligner of the daemon, so that a model is trained on what it will see. What the world got
wrong is either mended and said in a note, or refused with a BadData that says what to do.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.align import Aligner
from edge_ae.core.events import Readings, Row, slot_of
from edge_ae.core.model_spec import Floats
from edge_ae.core.sensor_health import LARGEST
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.core.window import longest_gap
from edge_ae.errors import BadData
from edge_ae.store.recording_csv import Table, suspicious_labels
from edge_ae_train.data.loading import load, take
from edge_ae_train.data.segments import Flags, Segment, episodes, unlabelled
from edge_ae_train.data.series import asset_name

BLOCK_LINES = 8192  # lines held as Python objects at once, on the way through the aligner
LONGEST_WINDOW = 64  # rows: gaps that no window bridges part the rows at once, the others when the length is chosen

MS, MINUTE, HOUR = SECOND // 1000, 60 * SECOND, 3600 * SECOND
ROUND_PERIODS_NS = np.array(
    [n * MS for n in (1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 80, 100, 125, 200, 250, 400, 500)]
    + [n * SECOND for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)]
    + [n * MINUTE for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)]
    + [n * HOUR for n in (1, 2, 3, 4, 6, 8, 12, 24)]
)
ROUNDING = 0.02  # a sensor set to 1 s sends every 0.98 to 1.02 s; a grid that far off has a hole in 50 rows
PERIOD_BLOCKS = 10  # a recording is looked at in tenths to see whether its period changes
LINES_TO_TELL = 20  # fewer lines do not show a period
PERIOD_CHANGE = 1.5
EMPTY_SLOTS_WORTH_SAYING = 0.1
NOTHING = "every channel is empty; nothing can be learned from it"
MOST_GAPS = 5  # that have a sentence of their own
GLITCH_SHARE = 0.005  # of a channel's values, at each end: more are what the sensor does
GLITCH_SPANS = 10.0  # of the other values, that a glitch lies beyond them: as far as `health` lets no machine jump
STEPS_TO_MOVE = 6.0  # of a float32, between the ends of a channel's range: less is taken for constant


@dataclass(frozen=True)
class Recording:
    """What the trainer works on, and what there is to say about it."""

    names: tuple[str, ...]
    period_ns: int
    segments: tuple[Segment, ...]
    notes: tuple[str, ...]
    hold_rows: int = 0


def read(
    paths: Iterable[str | Path],
    *,
    ignore: Sequence[str] = (),
    label: str | None = None,
    asset_column: str | None = None,
    period_ns: int | None = None,
    hold_ns: int = 0,
    length: int | None = None,
) -> Recording:
    """The whole way from files to segments. `period_ns` None: as the lines come. `hold_ns`: how long a value stands where
    channels report on change. `length`: rows of a window; None: not known yet."""
    tables, notes = clean(load(paths, ignore=ignore, label=label, asset_column=asset_column))
    period = sample_period_ns(tables) if period_ns is None else period_ns
    hold_rows = -(-hold_ns // period)
    segments = rows(tables, period, hold_rows=hold_rows, length=length or LONGEST_WINDOW)
    said = [*notes, *period_notes(tables, period), *gap_notes(segments, period)]
    normal = [part for segment in segments for part in unlabelled(segment)]
    if not normal:
        raise BadData(f"{_where(tables)}: {label!r} marks every row; a model learns from normal ones, 0 in that column")
    if left_out := sum(map(len, segments)) - sum(map(len, normal)):
        said.append(f"{left_out} rows that {label!r} marks are left out: a model learns from normal ones alone")
    return Recording(tables[0].names, period, tuple(normal), tuple(said), hold_rows)


# -- tables in time ----------------------------------------------------------------------------------------


def clean(tables: Sequence[Table]) -> tuple[list[Table], list[str]]:
    """Lines in order of time, without channels that hold nothing; and a sentence for whatever was odd."""
    notes = [note for table in tables for note in (*time_notes(table), *_label_notes(table))]
    in_time, freed = _without_glitches([in_order(table) for table in tables])
    notes += freed
    low, high = _ranges(in_time)
    names = in_time[0].names
    if np.isnan(low).all():
        raise BadData(f"{_where(tables)}: {NOTHING}")
    if not (high > low).any():
        raise BadData(f"{_where(tables)}: no channel ever moves; record while the machine is at work")
    keep = np.flatnonzero(~np.isnan(low))
    notes += [f"channel {names[i]!r} holds no value and is left out" for i in np.flatnonzero(np.isnan(low))]
    notes += [f"channel {names[i]!r} never moves" for i in keep if low[i] == high[i]]
    notes += [
        f"channel {names[i]!r} moves by less than single precision shows at {high[i]:g}, and is taken for constant: "
        "record it with an offset taken off"
        for i in keep
        if 0 < high[i] - low[i] <= STEPS_TO_MOVE * np.spacing(np.float32(max(abs(low[i]), abs(high[i]))))
    ]
    if len(keep) == len(names):
        return in_time, notes
    return [_only(table, keep) for table in in_time], notes


def time_notes(table: Table) -> Iterator[str]:
    steps = np.diff(table.t_ns)
    back, same = int((steps < 0).sum()), int((steps == 0).sum())
    if back > 0:
        yield f"{table.path}: the time goes back {back} times; the lines are put in order"
    if same > 0:
        yield f"{table.path}: {same} lines have the time of the line before; each row is the mean of its lines"


def _label_notes(table: Table) -> Iterator[str]:
    for name in suspicious_labels(table):
        yield (
            f"{table.path}: {name!r} looks like a label, yet is taken for a channel; "
            f"use --label {name} or --ignore {name}"
        )


def _without_glitches(tables: Sequence[Table]) -> tuple[list[Table], list[str]]:
    """Impossible values as missing ones, and a sentence for each channel that had some."""
    names, notes = tables[0].names, []
    values = [table.values.copy() for table in tables]
    for index, name in enumerate(names):
        low, high = plausible(np.concatenate([part[:, index] for part in values]))
        wrong = [(part[:, index] < low) | (part[:, index] > high) for part in values]
        if count := sum(int(flags.sum()) for flags in wrong):
            first = next(part[flags, index][0] for part, flags in zip(values, wrong, strict=True) if flags.any())
            notes.append(
                f"channel {name!r}: {count} value{'s' if count > 1 else ''} far beyond all others, such as {first:g}, "
                f"{'are' if count > 1 else 'is'} taken for missing"
            )
        for part, flags in zip(values, wrong, strict=True):
            part[flags, index] = np.nan
    return [replace(table, values=part) for table, part in zip(tables, values, strict=True)], notes


def plausible(values: NDArray[np.float64]) -> tuple[float, float]:
    """Lowest and highest value that a channel's sensor can have measured, NaN being none.

    Beyond are what `health` takes for no number, and the few values that lie far from all others with nothing in between:
    the -999 of a logger, a flipped bit. One such value would make every window that holds it the oddest of all, and the
    boundary would lie beyond any fault. A machine's own rare bursts have others of all sizes beside them.
    """
    known = values[np.abs(values) < LARGEST]
    if len(known) < 1.0 / GLITCH_SHARE:
        return -LARGEST, LARGEST
    low = float(np.quantile(known, GLITCH_SHARE, method="higher"))
    high = float(np.quantile(known, 1.0 - GLITCH_SHARE, method="lower"))
    apart = np.maximum(low - known, known - high)
    reach = GLITCH_SPANS * (high - low)
    if high == low or ((apart > high - low) & (apart <= reach)).any():
        return -LARGEST, LARGEST
    return low - reach, high + reach


def in_order(table: Table) -> Table:
    if (np.diff(table.t_ns) >= 0).all():
        return table
    return take(table, np.argsort(table.t_ns, kind="stable"))


def _ranges(tables: Sequence[Table]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest value of each channel over all tables; NaN for a channel without any."""
    low = np.fmin.reduce([np.fmin.reduce(table.values, axis=0) for table in tables])
    high = np.fmax.reduce([np.fmax.reduce(table.values, axis=0) for table in tables])
    return low, high


def _only(table: Table, channels: NDArray[np.int64]) -> Table:
    return replace(
        table, names=tuple(table.names[i] for i in channels), values=np.ascontiguousarray(table.values[:, channels])
    )


def _where(tables: Sequence[Table]) -> str:
    more = len(tables) - 1
    return f"{tables[0].path}" if more == 0 else f"{tables[0].path} and {more} more"


# -- period ------------------------------------------------------------------------------------------------


def sample_period_ns(tables: Sequence[Table]) -> int:
    """The median time between two values of a channel, made round when it is nearly so.

    By channel and not by line: a recording of one topic per channel has a line for each channel's value.
    """
    medians = [m for table in tables for m in _channel_steps(table)]
    if not medians and all(np.isnan(table.values).all() for table in tables):
        raise BadData(f"{_where(tables)}: {NOTHING}")
    if not medians:
        raise BadData(f"{_where(tables)}: fewer than two different times; no sample period can be found")
    measured = float(np.median(medians))
    nearest = int(ROUND_PERIODS_NS[np.argmin(np.abs(ROUND_PERIODS_NS - measured))])
    if abs(measured - nearest) <= ROUNDING * nearest:
        return nearest
    return max(1, round(measured))


def _channel_steps(table: Table) -> Iterator[float]:
    """For each channel the median of the steps between its values."""
    whole = _median_step(table.t_ns)
    for there in (~np.isnan(table.values)).T:
        step = whole if there.all() else _median_step(table.t_ns[there])
        if step is not None:
            yield step


def _median_step(t_ns: NDArray[np.int64]) -> float | None:
    steps = np.diff(t_ns)
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) > 0 else None


def period_notes(tables: Sequence[Table], period_ns: int) -> list[str]:
    """A sentence on the period, and one for each file that does not keep to it all along."""
    notes = [f"the sample period is {duration(period_ns)}"]
    for table in tables:
        blocks = min(PERIOD_BLOCKS, len(table) // LINES_TO_TELL + 1)
        steps = [_median_step(part) for part in np.array_split(table.t_ns, blocks)]
        known = [step for step in steps if step is not None]
        if known and max(known) > PERIOD_CHANGE * min(known):
            notes.append(
                f"{table.path}: the time between lines changes, from {duration(min(known))} to "
                f"{duration(max(known))}; rows of {duration(period_ns)} are made of all"
            )
        elif known and not 1 / PERIOD_CHANGE < np.median(known) / period_ns < PERIOD_CHANGE:
            notes.append(
                f"{table.path}: lines come every {duration(float(np.median(known)))}; "
                f"rows of {duration(period_ns)} are made of them"
            )
    return notes


def gap_notes(segments: Sequence[Segment], period_ns: int) -> list[str]:
    """A sentence on each gap that ended a segment, and on slots without a value."""
    notes = []
    for before, after in pairwise(segments):
        end = before.start_slot + len(before)
        if before.asset == after.asset and after.start_slot > end:
            length = duration((after.start_slot - end) * period_ns)
            notes.append(f"{before.asset}: a gap of {length} at {rfc3339(end * period_ns)}")
    if len(notes) > MOST_GAPS:
        notes[MOST_GAPS:] = [f"and {len(notes) - MOST_GAPS} more gaps"]
    empty = sum(int(np.isnan(segment.values).all(axis=1).sum()) for segment in segments)
    total = sum(map(len, segments))
    if empty > EMPTY_SLOTS_WORTH_SAYING * total:
        notes.append(f"{empty} of {total} rows hold no value, for lines came less often than that")
    return notes


def duration(t_ns: float) -> str:
    """A length of time in the unit that suits it."""
    for unit_ns, name in ((24 * HOUR, "days"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if t_ns >= unit_ns:
            return f"{t_ns / unit_ns:.4g} {name}"
    return f"{t_ns / MS:.4g} ms"


# -- rows --------------------------------------------------------------------------------------------------


def rows(tables: Sequence[Table], period_ns: int, *, hold_rows: int = 0, length: int = LONGEST_WINDOW) -> list[Segment]:
    """The rows that the daemon would make of the tables for windows of at most `length` rows, cut at gaps that are longer."""
    return [seg for table in tables for seg in _segments(table, period_ns, hold_rows, longest_gap(length))]


def _segments(table: Table, period_ns: int, hold_rows: int, max_gap_rows: int) -> list[Segment]:
    aligner = Aligner(table.names, period_ns, max_gap_rows=max_gap_rows, hold_rows=hold_rows)
    runs: list[tuple[int, list[Floats]]] = []  # the first slot of a run of rows, and its rows in blocks
    next_slot = None
    for block in _blocks_of_rows(aligner, table):
        for start, values in _runs(block):
            if start != next_slot:
                runs.append((start, []))
            runs[-1][1].append(values)
            next_slot = start + len(values)
    slots = slot_of(table.t_ns, period_ns)
    labelled = None if table.labels is None else slots[table.labels]
    return [_segment(asset_name(table), start, np.concatenate(parts), slots, labelled) for start, parts in runs]


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
