"""Stretches of an asset's rows: what the trainer cuts, keeps and makes windows of. Pure: arrays in, arrays out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.expression import HOLDS, Expression
from edge_ae.core.model_spec import Channel, Floats
from edge_ae.core.window import longest_gap

Flags = NDArray[np.bool_]

RESOLUTION = 3.0  # steps of a float32: a channel that moves by less, or by less than STILL, is taken for constant
RUN_ROWS = 2048  # one after the other, where not all rows are looked at
STILL = 1e-30  # units of the channel: what single precision can still divide by


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Consecutive rows of an asset. `values`: float32 [row, channel] in physical units, NaN where missing.

    `start_slot`: of row 0. `gap` [row]: the length in rows of the gap that the row helps to fill, 0 where lines were read;
    None: no row fills a gap. `labels` [row]: True where a label marks a line of the row; None: there are no labels.
    """

    values: Floats
    start_slot: int = 0
    asset: str = ""
    gap: NDArray[np.int64] | None = None
    labels: Flags | None = None

    def __len__(self) -> int:
        return len(self.values)

    def part(self, first: int, end: int) -> "Segment":
        """The rows first..end (exclusive), as far as there are such."""
        first, end = (min(max(row, 0), len(self)) for row in (first, end))
        gap = None if self.gap is None else self.gap[first:end]
        labels = None if self.labels is None else self.labels[first:end]
        return Segment(self.values[first:end], self.start_slot + first, self.asset, gap, labels)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What a model is trained on: the channels' names, the rows' period, and stretches of normal rows in the order of time.

    `hold_rows`: for which a channel that reports on change keeps its value. `notes`: sentences on what was odd.
    `kinds`: the channels with their kinds; empty: all are analog. `reasons`: why each is of its kind.
    `units`: of the channels whose files say them. `when`: the state that the rows are of; "": any.
    """

    names: tuple[str, ...]
    period_ns: int
    segments: tuple[Segment, ...]
    hold_rows: int = 0
    notes: tuple[str, ...] = ()
    kinds: tuple[Channel, ...] = ()
    reasons: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    when: str = ""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """By name and kind; nothing else is known of them yet."""
        return self.kinds or tuple(map(Channel, self.names))

    @property
    def turns(self) -> tuple[float, ...]:
        """Of each channel the full turn, 0 where it is no angle."""
        return tuple(channel.turn for channel in self.channels)


def episodes(flags: Flags) -> NDArray[np.int64]:
    """Runs of True as [run, 2]: first row, and the row after the last."""
    edges = np.diff(np.concatenate(([False], flags, [False])).astype(np.int8))
    return np.column_stack((np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)))


def kept(segment: Segment, keep: Flags) -> list[Segment]:
    """The stretches of the rows [row] to keep."""
    return [segment.part(int(first), int(end)) for first, end in episodes(keep)]


def unlabelled(segment: Segment) -> list[Segment]:
    """The stretches that no label marks."""
    return [segment] if segment.labels is None else kept(segment, ~segment.labels)


def in_state(segment: Segment, when: Expression | None, channels: Sequence[str]) -> Flags:
    """The rows [row] in which a device watches the asset; None: all."""
    if when is None:
        return np.ones(len(segment), np.bool_)
    return np.asarray(when.truth(channels, segment.values) == HOLDS)


def stretches(segments: Sequence[Segment], length: int) -> list[Segment]:
    """The segments as a device makes windows of `length` rows from them: parted at each gap that it does not bridge."""
    return [
        part
        for segment in segments
        for part in ([segment] if segment.gap is None else kept(segment, segment.gap <= longest_gap(length)))
    ]


def cut(segments: Sequence[Segment], first: int, last: int) -> list[Segment]:
    """The rows first..last (exclusive), counted over all segments, as segments."""
    parts, offset = [], 0
    for segment in segments:
        part = segment.part(first - offset, last - offset)
        if len(part) > 0:
            parts.append(part)
        offset += len(segment)
    return parts


def values_of(segments: Sequence[Segment]) -> list[Floats]:
    """The rows [row, channel] of each."""
    return [segment.values for segment in segments]


def row_blocks(segments: Sequence[Floats], most: int) -> Iterator[Floats]:
    """All rows [row, channel], one segment after the other, in blocks of `most` rows; the last may have fewer."""
    block: list[Floats] = []
    for segment in segments:
        done = 0
        while done < len(segment):
            block.append(segment[done : done + most - sum(map(len, block))])
            done += len(block[-1])
            if sum(map(len, block)) == most:
                yield np.concatenate(block)
                block = []
    if block:
        yield np.concatenate(block)


def thinned(segments: Sequence[Floats], most: int) -> list[Floats]:
    """The segments; of more than `most` rows, runs of RUN_ROWS that are spread over them."""
    rows = sum(map(len, segments))
    if rows <= most:
        return list(segments)
    whole = [Segment(segment) for segment in segments]
    firsts = np.linspace(0, rows - RUN_ROWS, most // RUN_ROWS).astype(int).tolist()
    return [part for first in firsts for part in values_of(cut(whole, first, first + RUN_ROWS))]


def is_constant(centre: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether channels of such means and standard deviations move by no more than single precision shows."""
    return spread <= np.maximum(RESOLUTION * np.spacing(np.abs(centre).astype(np.float32)), STILL)
