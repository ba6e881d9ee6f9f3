"""Rows -> windows for the networks, without ever holding all windows at once.

`WindowSet` finds the windows of many stretches by the law of the device (`edge_ae.core.window`), and cuts out what is asked.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from edge_ae.core.window import scored_ends
from edge_ae_train.data.segments import Segment, values_of
from edge_ae_train.scoring.preprocess import Parts, Standardise, bridged, fill

CHUNK = 1024  # windows cut out at a time where all of them are walked through
PROOF_WINDOWS = 256
MODE_WINDOWS = 1000  # that the operating modes are found in


class WindowSet:
    """Windows [length, channel] of stretches, standardised as they are taken: those that a device with this hop scores.

    `ends` [window]: the row, counted over all stretches, with which each ends.
    """

    def __init__(
        self, parts: Sequence[Segment], standardise: Callable[[Floats], Parts], length: int, hop: int = 1
    ) -> None:
        """`parts`: as `stretches` gives them. `hop` 1: every window, whatever its phase; what a network trains on."""
        self.ends = window_ends(parts, length, hop)
        self._rows = values_of(parts)
        self._length = length
        self._standardise = standardise

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, indices: NDArray[np.intp] | slice) -> Parts:
        """Standardised windows without holes, and their presence (1 or 0), float32 [n, length, channel]."""
        return self._standardise(windows_at(self._rows, self.ends[indices], self._length))

    def chunks(self, most: int) -> Iterator[Parts]:
        """CHUNK windows at a time, as `take` gives them: all, or `most` chunks that are spread over them."""
        for number in spread_over(-(-len(self) // CHUNK), most):
            yield self.take(slice(number * CHUNK, (number + 1) * CHUNK))


def in_chunks(windows: Floats) -> Iterator[Floats]:
    """CHUNK windows at a time."""
    for first in range(0, len(windows), CHUNK):
        yield windows[first : first + CHUNK]


def standardised(segment: Floats, standardise: Standardise) -> Floats:
    """A segment's rows [row, channel] without holes, each filled by itself; for what is fitted to rows, not to windows."""
    values = standardise.scaled(segment)
    present = (~np.isnan(values)).astype(np.float32)
    filled = fill(np.nan_to_num(values), standardise.root, present)
    whole: Floats = bridged(filled[None], present[None])[0]
    return whole


def window_ends(parts: Sequence[Segment], length: int, hop: int = 1) -> NDArray[np.int64]:
    """Rows, counted over all stretches, with which the windows end that a device scores."""
    offsets = np.cumsum([0, *map(len, parts)])
    ends = [
        scored_ends(part.start_slot, part.values, length, hop) + offset
        for part, offset in zip(parts, offsets, strict=False)
    ]
    return np.concatenate(ends) if ends else np.empty(0, np.int64)


def spread_over(count: int, most: int) -> NDArray[np.intp]:
    """At most `most` indices below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))


def some_windows(parts: Sequence[Segment], length: int, most: int = PROOF_WINDOWS) -> Floats:
    """At most `most` windows [n, length, channel] that a device would score, spread over the stretches."""
    ends = window_ends(parts, length)
    return windows_at(values_of(parts), ends[spread_over(len(ends), most)], length)


def physical_chunks(parts: Sequence[Segment], length: int, hop: int, most: int) -> Iterator[Floats]:
    """The windows [n, length, channel] that a device with this hop scores, as they are: CHUNK at a time, `most` chunks at most."""
    ends, rows = window_ends(parts, length, hop), values_of(parts)
    for number in spread_over(-(-len(ends) // CHUNK), most):
        yield windows_at(rows, ends[number * CHUNK : (number + 1) * CHUNK], length)


def windows_at(rows: Sequence[Floats], ends: NDArray[np.int64], length: int) -> Floats:
    """The windows [n, length, channel] that end with rows, counted over all stretches; each within one stretch.

    Cut out one by one, for to lay the stretches side by side first would take as much memory as they do.
    """
    offsets = np.cumsum([0, *map(len, rows)])
    stretch = np.searchsorted(offsets, ends, side="right") - 1
    lasts = ends - offsets[stretch]
    return np.stack([rows[i][k + 1 - length : k + 1] for i, k in zip(stretch.tolist(), lasts.tolist(), strict=True)])
