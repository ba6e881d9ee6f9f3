"""Tables -> tables in time that a model can be made of, and a sentence on whatever was odd about them.

What the world got wrong is either mended and said in a note, or refused with a BadData that says what to do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.sensor_health import LARGEST_VALUE
from edge_ae.errors import BadData
from edge_ae.store.recording_csv import Table, suspicious_labels
from edge_ae_train.data.loading import take, where_of
from edge_ae_train.data.period import NOTHING

GLITCH_SHARE = 0.005  # of a channel's values, at each end: more are what the sensor does
GLITCH_SPANS = 10.0  # of the other values, that a glitch lies beyond them: as far as `health` lets no machine jump
STEPS_TO_MOVE = 6.0  # of a float32, between the ends of a channel's range: less is taken for constant


def clean(tables: Sequence[Table]) -> tuple[list[Table], list[str]]:
    """Lines in order of time, without channels that hold nothing; and a sentence for whatever was odd."""
    notes = [note for table in tables for note in (*time_notes(table), *_label_notes(table))]
    in_time, freed = _without_glitches([in_order(table) for table in tables])
    notes += freed
    low, high = _ranges(in_time)
    names = in_time[0].names
    if np.isnan(low).all():
        raise BadData(f"{where_of(tables)}: {NOTHING}")
    if not (high > low).any():
        raise BadData(f"{where_of(tables)}: no channel ever moves; record while the machine is at work")
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
    known = values[np.abs(values) < LARGEST_VALUE]
    if len(known) < 1.0 / GLITCH_SHARE:
        return -LARGEST_VALUE, LARGEST_VALUE
    low = float(np.quantile(known, GLITCH_SHARE, method="higher"))
    high = float(np.quantile(known, 1.0 - GLITCH_SHARE, method="lower"))
    apart = np.maximum(low - known, known - high)
    reach = GLITCH_SPANS * (high - low)
    if high == low or ((apart > high - low) & (apart <= reach)).any():
        return -LARGEST_VALUE, LARGEST_VALUE
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
