"""How a channel usually moves: measured by one law, over the training rows and on a device over each block of rows.

A block is BLOCK consecutive rows. What is measured of it does not depend on how large the values are, only on whether, how
often and in how small steps they change. float32 on both sides, for a value counts as unchanged only if all bits are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Channel, Floats

BLOCK = 64
MIN_CHANGES = 4  # in a block: fewer do not show a channel's step
RESTS = 0.2  # a channel that spends this part of its time unchanged for a block or longer is at rest, not stuck

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Motion:
    """Of a block, per channel [channel]: how often it changes, its smallest change (inf: none), rows since the last change
    (the whole block: none), its newest value. `rows` [row, channel] are the block's, missing values as those before."""

    changes: Ints
    smallest: Floats
    unchanged: Ints
    newest: Floats
    rows: Floats


def motion(rows: Floats, before: Floats) -> Motion:
    """`rows` float32 [row, channel], NaN where missing; `before` [channel]: the newest values before them."""
    series = _carried(np.concatenate([before[None], rows]))
    steps = np.abs(series[1:] - series[:-1])
    changed = steps > 0.0
    changes = changed.sum(axis=0)
    smallest = np.min(steps, axis=0, initial=np.inf, where=changed)
    unchanged = np.where(changes > 0, changed[::-1].argmax(axis=0), len(rows))
    return Motion(changes, smallest, unchanged, series[-1], series[1:])


def distinct(rows: Floats) -> Ints:
    """How many different values each channel takes."""
    values: Ints = 1 + (np.diff(np.sort(rows, axis=0), axis=0) > 0.0).sum(axis=0)
    return values


def _carried(series: Floats) -> Floats:
    """Each missing value replaced by the one before it."""
    seen = ~np.isnan(series)
    if seen.all():
        return series
    newest = np.maximum.accumulate(np.where(seen, np.arange(len(series))[:, None], 0), axis=0)
    carried: Floats = np.take_along_axis(series, newest, axis=0)
    return carried


# -- what training says ----------------------------------------------------------------------------------------


def with_profile(channels: Sequence[Channel], segments: Sequence[Floats]) -> tuple[Channel, ...]:
    """The channels with what `segments` [row, channel] of normal rows, without gaps, say of how they move: their profile."""
    steps, values = _finenesses(segments, len(channels))
    return tuple(
        replace(
            channel,
            **_absence([segment[:, i] for segment in segments]),
            **_rest([segment[:, i] for segment in segments], channel),
            coarsest_step=float(steps[i]),
            fewest_values=int(values[i]),
        )
        for i, channel in enumerate(channels)
    )


def _finenesses(segments: Sequence[Floats], channels: int) -> tuple[Floats, Ints]:
    """The coarsest of the smallest changes, and the fewest values, of each channel; 0: not known."""
    steps, fewest = np.zeros(channels, np.float32), np.full(channels, BLOCK)
    for segment in segments:
        for block in _motions(segment):
            moves = block.changes >= MIN_CHANGES
            steps = np.where(moves, np.maximum(steps, block.smallest), steps)
            fewest = np.where(moves, np.minimum(fewest, distinct(block.rows)), fewest)
    return steps, np.where(steps > 0.0, fewest, 0)


def _motions(segment: Floats) -> Iterator[Motion]:
    before = np.full(segment.shape[1], np.nan, np.float32)
    for first in range(0, len(segment) - BLOCK + 1, BLOCK):
        one = motion(segment[first : first + BLOCK], before)
        before = one.newest
        yield one


def _absence(parts: Sequence[Floats]) -> dict[str, Any]:
    rows = sum(map(len, parts))
    lost = sum(int(np.isnan(part).sum()) for part in parts)
    longest = max(int(_runs(np.isnan(part)).max(initial=0)) for part in parts)
    return {"missing_share": lost / rows, "missing_rows": longest}


def _rest(parts: Sequence[Floats], channel: Channel) -> dict[str, Any]:
    """Longest times without change, at the ends of the range and between; 0 where a channel rests often, or always."""
    ends, between = [], []
    for part in parts:
        known = part[~np.isnan(part)]
        edges = np.flatnonzero(np.concatenate([[True], known[1:] != known[:-1], [True]])[: len(known) + 1])
        lengths = np.diff(edges)
        values = known[edges[:-1]]
        at_end = (values <= channel.low) | (values >= channel.high)
        ends.append(lengths[at_end])
        between.append(lengths[~at_end])
    rows = sum(map(len, parts))
    return {"rail_rows": _longest(np.concatenate(ends), rows), "flat_rows": _longest(np.concatenate(between), rows)}


def _longest(lengths: Ints, rows: int) -> int:
    rests = int(lengths[lengths >= BLOCK].sum())
    return 0 if rests > RESTS * rows else max(int(lengths.max(initial=0)), 1)


def _runs(flags: Flags) -> Ints:
    """Lengths of the stretches of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    lengths: Ints = edges[1::2] - edges[::2]
    return lengths
