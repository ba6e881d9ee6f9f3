"""Rows -> windows for the networks, without ever holding all windows at once.

A segment is one gap-free stretch of rows on the grid; `WindowSet` indexes the windows of many, and cuts out what is asked.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ae.core.model_spec import Floats
from edge_ae.core.window import MIN_COVERAGE
from edge_ae_train.scoring.graph import Standardise, bridged, fill, mend

CHUNK = 1024  # windows cut out at a time where all of them are walked through


class WindowSet:
    """Windows [length, channel] that end at given rows of standardised segments, with what is missing in them."""

    def __init__(self, segments: Sequence[Floats], standardise: Standardise, length: int, hop: int = 1) -> None:
        self.length = length
        self.ends = _ends(segments, length, hop)
        self.values = _scaled(segments, standardise)
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


def _ends(segments: Sequence[Floats], length: int, hop: int) -> NDArray[np.int64]:
    """Rows, counted over all segments, at which a window ends that lies in one segment and is not mostly missing."""
    ends, offset = [], 0
    for segment in segments:
        if len(segment) >= length:
            missing = np.concatenate([[0], np.cumsum(np.isnan(segment).sum(axis=1))])
            share = (missing[length:] - missing[:-length]) / (length * segment.shape[1])
            fine = np.flatnonzero(share <= 1.0 - MIN_COVERAGE)
            ends.append(fine[fine % hop == 0] + offset + length - 1)
        offset += len(segment)
    return np.concatenate(ends) if ends else np.empty(0, np.int64)


def spread_over(count: int, most: int) -> NDArray[np.intp]:
    """At most `most` indices below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))
