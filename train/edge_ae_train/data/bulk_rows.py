"""Lines in the order of time -> rows, all at once: those that the aligner makes reading by reading, many times as fast.

In such lines none is late and none contradicts another, so that a row is no more than what its slot's lines come to. What else
the aligner has laws for, `can_align` leaves to the aligner. A test holds the two together.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.align import MAX_READINGS_PER_SLOT
from edge_ae.core.slot_value import LARGEST_IN_MEAN, Merge

Slots = NDArray[np.int64]
Lines = NDArray[np.float64]
Rows = NDArray[Any]


def can_align(t_ns: Slots, slots: Slots, values: Lines) -> bool:
    """Whether `align` gives the aligner's rows: lines in order, no slot crowded, no value too large for a mean."""
    if len(t_ns) == 0 or (t_ns[1:] < t_ns[:-1]).any():
        return False
    most = MAX_READINGS_PER_SLOT
    if len(slots) > most and (slots[most:] == slots[:-most]).any():
        return False
    highest, lowest = (reduce(values, axis=None, initial=0.0) for reduce in (np.fmax.reduce, np.fmin.reduce))
    return bool(highest < LARGEST_IN_MEAN and lowest > -LARGEST_IN_MEAN)


def align(
    t_ns: Slots,
    slots: Slots,
    values: Lines,
    merges: Mapping[int, Merge],
    *,
    max_gap_rows: int,
    hold_rows: int,
    dtype: Any = np.float32,
) -> list[tuple[int, Rows]]:
    """Runs of rows: the first slot of each, and the rows [row, channel] of type `dtype`.

    `t_ns`, `slots` [line]; `values` [line, channel]. A gap of more than `max_gap_rows` parts two runs. `merges`: by channel,
    what the lines of a slot come to where that is not their mean.
    """
    first = np.flatnonzero(np.diff(slots, prepend=slots[0] - 1))  # the first line of each slot
    filled = slots[first]
    steps = np.diff(filled, prepend=filled[0])
    steps[steps > max_gap_rows + 1] = 1  # rows of two runs are neighbours here, too
    row = np.cumsum(steps)
    rows = np.full((int(row[-1]) + 1, values.shape[1]), np.nan, dtype)
    with np.errstate(over="ignore"):  # what single precision does not hold is infinite, as in the aligner's rows
        rows[row] = values[first]
        _merge(rows, row, t_ns, values, np.append(first, len(slots)), merges)
    begins = np.flatnonzero(np.diff(filled, prepend=filled[0]) > max_gap_rows + 1)
    edges = [0, *row[begins].tolist(), len(rows)]
    runs = list(zip([int(filled[0]), *filled[begins].tolist()], edges[:-1], edges[1:], strict=True))
    if hold_rows > 0:
        _hold(rows, np.concatenate([start + np.arange(end - begin) for start, begin, end in runs]), hold_rows)
    return [(start, rows[begin:end]) for start, begin, end in runs]


def _merge(rows: Rows, row: Slots, t_ns: Slots, values: Lines, edges: Slots, merges: Mapping[int, Merge]) -> None:
    """Puts the one value into each row with several lines. `edges`: the first line of each filled slot, and the end."""
    several = np.flatnonzero(np.diff(edges) > 1)
    if len(several) == 0:
        return
    slot_of_line = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    lines = np.flatnonzero(np.isin(slot_of_line, several))
    for channel in range(values.shape[1]):
        there = (slot_of_line[lines], t_ns[lines], values[lines, channel])
        merge = merges.get(channel)
        rows[row[several], channel] = _means(*there, several) if merge is None else _merged(*there, several, merge)


def _means(slot: Slots, t_ns: Slots, values: Lines, wanted: Slots) -> Lines:
    """For each slot that is `wanted` the mean of its distinct pairs of time and value, as the aligner's `_mean` has it."""
    known = ~np.isnan(values)
    slot, t_ns, values = slot[known], t_ns[known], values[known]
    if (t_ns[1:] == t_ns[:-1]).any():
        order = np.lexsort((values, t_ns))
        slot, t_ns, values = slot[order], t_ns[order], values[order]
        again = (t_ns[1:] == t_ns[:-1]) & (values[1:] == values[:-1])
        new = np.concatenate(([True], ~again))
        slot, values = slot[new], values[new]
    edges = np.searchsorted(slot, np.append(wanted, wanted[-1] + 1)).tolist()
    each = values.tolist()
    means = [math.fsum(each[a:b]) / (b - a) if b > a else math.nan for a, b in pairwise(edges)]
    return np.array(means)


def _merged(slot: Slots, t_ns: Slots, values: Lines, wanted: Slots, merge: Merge) -> Lines:
    """What `merge` makes of the pairs of each slot that is `wanted`."""
    edges = np.searchsorted(slot, np.append(wanted, wanted[-1] + 1)).tolist()
    pairs = list(zip(t_ns.tolist(), values.tolist(), strict=True))
    return np.array([merge(set(pairs[a:b])) for a, b in pairwise(edges)])


def _hold(rows: Rows, slots: Slots, hold_rows: int) -> None:
    """Lets each channel keep its last value for `hold_rows` rows, over the end of a run, too. `slots` [row]."""
    at = np.arange(len(rows))
    for channel in range(rows.shape[1]):
        known = ~np.isnan(rows[:, channel])
        last = np.maximum.accumulate(np.where(known, at, -1))
        held = (last >= 0) & (slots - slots[last] <= hold_rows)
        rows[held, channel] = rows[last[held], channel]
