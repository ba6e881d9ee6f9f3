"""Rows -> windows for the networks, without ever holding all windows at once.

`WindowSet` finds the windows of many stretches by the law of the device (`edge_ae.core.window`), and cuts out what is asked.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ae.core.model_spec import Floats
from edge_ae.core.window import scored_ends
from edge_ae_train.data.segments import Segment, values_of
from edge_ae_train.scoring.preprocess import Standardise, bridged, fill, mend

CHUNK = 1024  # windows cut out at a time where all of them are walked through
PROOF_WINDOWS = 256
MODE_WINDOWS = 1000  # that the operating modes are found in


class WindowSet:
    """Windows [length, channel] of standardised stretches: those that a device with this hop scores.

    `ends` [window]: the row, counted over all stretches, with which each ends.
    """

    def __init__(self, parts: Sequence[Segment], standardise: Standardise, length: int, hop: int = 1) -> None:
        """`parts`: as `stretches` gives them. `hop` 1: every window, whatever its phase; what a network trains on."""
        self.length = length
        self.ends = window_ends(parts, length, hop)
        self.values = _scaled(values_of(parts), standardise)
        self.root = standardise.root

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, indices: NDArray[np.intp] | slice) -> tuple[Tensor, Tensor]:
        """Standardised windows without holes, and their presence (1 or 0), float32 [n, length, channel]."""
        ends = torch.from_numpy(self.ends[indices])
        rows = ends[:, None] + torch.arange(1 - self.length, 1)
        values = self.values[rows]
        return mend(values, self.root, (~torch.isnan(values)).to(values.dtype))

    def chunks(self, most: int) -> Iterator[tuple[Tensor, Tensor]]:
        """CHUNK windows at a time, as `take` gives them: all, or `most` chunks that are spread over them."""
        for number in spread_over(-(-len(self) // CHUNK), most):
            yield self.take(slice(number * CHUNK, (number + 1) * CHUNK))


def standardised(segment: Floats, standardise: Standardise) -> Floats:
    """A segment's rows [row, channel] without holes, each filled by itself; for what is fitted to rows, not to windows."""
    values = _scaled([segment], standardise)
    present = (~torch.isnan(values)).to(values.dtype)
    filled = fill(torch.nan_to_num(values), standardise.root, present)
    whole: Floats = bridged(filled[None], present[None])[0].numpy()
    return whole


def _scaled(segments: Sequence[Floats], standardise: Standardise) -> Tensor:
    """All rows [row, channel], one segment after the other, NaN where they are missing."""
    parts = [standardise.scaled(torch.from_numpy(segment)) for segment in segments]
    return torch.cat(parts) if parts else torch.empty(0, len(standardise.centre))


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
    chosen = ends[spread_over(len(ends), most)]
    every: Floats = np.concatenate(values_of(parts))[chosen[:, None] + np.arange(1 - length, 1)]
    return every
