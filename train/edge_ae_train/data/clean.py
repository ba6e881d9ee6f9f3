"""Tables -> tables in time that a model can be made of, and a sentence on whatever was odd about them.

What the world got wrong is either mended and said in a note, or refused with a BadData that says what to do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Channel, Floats, Kind
from edge_ae.errors import BadData
from edge_ae.store.recording.table import Table, newest_first, suspicious_labels, take
from edge_ae_train.data.glitches import find_glitches, plausible
from edge_ae_train.data.loading import where_of
from edge_ae_train.data.period import NOTHING
from edge_ae_train.data.segments import Segment

EXAMPLES = 3  # of impossible values, in a sentence
STEPS_TO_MOVE = 6.0  # of a float32, between the ends of a channel's range: less is taken for constant


@dataclass(frozen=True, slots=True)
class Cleaned:
    """`tables`: lines in order of time, without channels that hold nothing. `notes`: a sentence for whatever was odd.
    `error_values`: by channel, what its sensor sends in place of a value."""

    tables: list[Table]
    notes: list[str]
    error_values: Mapping[str, tuple[float, ...]]


def clean(tables: Sequence[Table]) -> Cleaned:
    """Raises BadData where nothing is left, or nothing moves."""
    notes = [note for table in tables for note in (*table.notes, *time_notes(table), *_label_notes(table))]
    notes = list(dict.fromkeys(notes))  # what is noted of a file is noted of each asset in it
    in_time, freed, words = _without_glitches([in_order(table) for table in tables])
    low, high = ranges(in_time)
    names = in_time[0].names
    if np.isnan(low).all():
        raise BadData(f"{where_of(tables)}: {NOTHING}")
    if not (high > low).any():
        raise BadData(f"{where_of(tables)}: no channel ever moves; record while the machine is at work")
    keep = np.flatnonzero(~np.isnan(low))
    notes += freed
    notes += [f"channel {names[i]!r} holds no value and is left out" for i in np.flatnonzero(np.isnan(low))]
    whole = in_time if len(keep) == len(names) else [_only(table, keep) for table in in_time]
    return Cleaned(whole, notes, words)


def still_notes(tables: Sequence[Table], channels: Sequence[Channel]) -> list[str]:
    """A sentence for each channel, but for counters, that never moves, or by less than its windows can hold."""
    notes = []
    for channel, low, high in zip(channels, *ranges(tables), strict=True):
        if low == high:
            notes.append(f"channel {channel.name!r} never moves")
        elif channel.kind != Kind.COUNTER and too_fine(low, high):
            notes.append(
                f"channel {channel.name!r} moves by less than single precision shows at {high:g}, and is taken for "
                "constant: record it with an offset taken off"
            )
    return notes


def too_fine(low: float, high: float) -> bool:
    """Whether single precision does not show the way from one end of a range to the other."""
    return bool(high - low <= STEPS_TO_MOVE * np.spacing(np.float32(max(abs(low), abs(high)))))


def time_notes(table: Table) -> Iterator[str]:
    steps = np.diff(table.t_ns)
    back, same = int((steps < 0).sum()), int((steps == 0).sum())
    if back > 0 and not newest_first(table):
        yield f"{table.path}: the time goes back {back} times; the lines are put in order"
    if same > 0:
        yield f"{table.path}: {same} lines have the time of the line before; each row is the mean of its lines"


def _label_notes(table: Table) -> Iterator[str]:
    for name in suspicious_labels(table):
        yield (
            f"{table.path}: {name!r} looks like a label, yet is taken for a channel; "
            f"use --label {name} or --ignore {name}"
        )


def _without_glitches(tables: Sequence[Table]) -> tuple[list[Table], list[str], dict[str, tuple[float, ...]]]:
    """Impossible values as missing ones, a sentence for each channel that had some, and the error words among them."""
    names, notes, words = tables[0].names, [], {}
    values = [table.values.copy() for table in tables]
    for index, name in enumerate(names):
        parts = [part[:, index] for part in values]
        found = find_glitches(parts)
        if wrong := np.concatenate([part[flags] for part, flags in zip(parts, found.flags, strict=True)]).tolist():
            notes.append(f"channel {name!r}: {_glitch_note(wrong)}")
        if found.words:
            words[name] = found.words
        for part, flags in zip(parts, found.flags, strict=True):
            part[flags] = np.nan
    return [replace(table, values=part) for table, part in zip(tables, values, strict=True)], notes, words


def _glitch_note(wrong: Sequence[float]) -> str:
    """On values that are none, in the order of time."""
    several, examples = len(wrong) > 1, list(dict.fromkeys(wrong))[:EXAMPLES]
    return (
        f"{len(wrong)} value{'s' if several else ''} that no sensor measured, such as "
        f"{' and '.join(f'{value:g}' for value in examples)}, {'are' if several else 'is'} taken for missing"
    )


def without_leaps(segments: Sequence[Segment], channels: Sequence[Channel]) -> tuple[list[Segment], list[str]]:
    """Segments without rates of counters far beyond all others, and a sentence on each such counter: its meter was
    exchanged for one that stands higher."""
    values, notes = [segment.values for segment in segments], []
    for index, channel in enumerate(channels):
        if channel.kind != Kind.COUNTER:
            continue
        rates = np.concatenate([part[:, index] for part in values]).astype(np.float64)
        _, high = plausible(rates[~np.isnan(rates)])
        if leaps := int((rates > high).sum()):
            notes.append(f"channel {channel.name!r}: {leaps} leaps of the counter are left out")
            values = [_masked(part, index, high) for part in values]
    return [replace(one, values=part) for one, part in zip(segments, values, strict=True)], notes


def _masked(values: Floats, channel: int, high: float) -> Floats:
    values = values.copy()
    values[values[:, channel] > high, channel] = np.nan
    return values


def in_order(table: Table) -> Table:
    if (np.diff(table.t_ns) >= 0).all():
        return table
    return take(table, np.argsort(table.t_ns, kind="stable"))


def ranges(tables: Sequence[Table]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest value of each channel over all tables; NaN for a channel without any."""
    low = np.fmin.reduce([np.fmin.reduce(table.values, axis=0) for table in tables])
    high = np.fmax.reduce([np.fmax.reduce(table.values, axis=0) for table in tables])
    return low, high


def _only(table: Table, channels: NDArray[np.int64]) -> Table:
    return replace(
        table, names=tuple(table.names[i] for i in channels), values=np.ascontiguousarray(table.values[:, channels])
    )
