"""What the channels' profiles in training allow their sensors: how long without a value or a change, how far out, how coarse.

Never changes while an asset is watched; `sensor_health` holds each row and block against it.
"""

import math
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from edge_ae.core.channel_profile import BLOCK
from edge_ae.core.common_stop import TOGETHER
from edge_ae.core.model_spec import Channel, Kind

LARGEST_VALUE = 1e30  # Beyond this a float32 square overflows: no sensor's value.
STALE_ROWS = 16  # A channel is stale after so many rows without a value, or twice the longest time in training.
DROPOUT_SHARE = 0.25  # Missing this share of a block's rows, on top of twice the share in training, is a dropout.
DROPOUT_MOST = 0.9  # This share is one in any case.
FAR_SPANS = 10.0  # So many spans beyond the range in training no machine gets at one stroke.
NARROWEST = 0.1  # A span is at least this share of the largest value, so that stopping is no fault.
NEAR_SPANS = 0.5  # Where another channel is so many spans out, too, it is the machine.
LONGER = 3  # Unchanged so many times longer than ever in training is stuck.
COARSER = 4.0  # Steps so many times larger than ever in training are coarse.


class HabitLimits:
    """Of all channels, each [channel]."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.names = tuple(channel.name for channel in channels)
        self.low, self.high = (np.array([getattr(c, side) for c in channels], np.float32) for side in ("low", "high"))
        self.absent = [max(STALE_ROWS, 2 * c.missing_rows) for c in channels]
        self.dropout = np.array([min(DROPOUT_SHARE + 2 * c.missing_share, DROPOUT_MOST) for c in channels])
        self.rail = np.array([_patience(c.rail_rows) for c in channels])
        self.flat = np.array([_patience(c.flat_rows) for c in channels])
        self.lively = np.array([0 < c.flat_rows < BLOCK and 0 < c.rail_rows < BLOCK for c in channels])
        self.patience = np.minimum(self.rail, self.flat)
        self.leeway = np.array([min(max(c.rail_rows, c.flat_rows, TOGETHER), BLOCK) for c in channels])
        self.could_stop = int(np.isfinite(self.patience).sum())
        self.coarse = np.array([COARSER * c.coarsest_step if c.coarsest_step > 0 else np.inf for c in channels])
        self.fewest = np.array([c.fewest_values for c in channels])
        self._near = bounds(channels, NEAR_SPANS)

    def __deepcopy__(self, _memo: dict[int, Any]) -> "HabitLimits":
        return self

    def is_out(self, index: int, value: float) -> bool:
        """Whether a channel is outside what it showed in training."""
        low, high = self._near
        return value < low[index] or value > high[index]

    def others_out(self, index: int, values: Sequence[float], sick: Container[int]) -> bool:
        """Whether any other channel is that is not known to be at fault."""
        return any(
            i != index and i not in sick and abs(v) < LARGEST_VALUE and self.is_out(i, v) for i, v in enumerate(values)
        )


def _patience(longest: int) -> float:
    """Rows without change that are a fault."""
    return max(LONGER * longest, BLOCK) if longest > 0 else math.inf


def bounds(channels: Sequence[Channel], spans: float) -> tuple[list[float], list[float]]:
    """Lowest and highest value of each channel, `spans` of its spans beyond training; no sensor's value is beyond LARGEST_VALUE."""
    low, high = [], []
    for channel in channels:
        span = max(channel.high - channel.low, NARROWEST * max(abs(channel.low), abs(channel.high)))
        known = math.isfinite(span) and channel.high > channel.low
        reach = channel.turn if channel.kind == Kind.ANGLE else spans * span  # no angle is a turn beyond its ends
        low.append(max(channel.low - reach, -LARGEST_VALUE) if known else -LARGEST_VALUE)
        high.append(min(channel.high + reach, LARGEST_VALUE) if known else LARGEST_VALUE)
    return low, high


def error_values(channels: Sequence[Channel]) -> dict[int, frozenset[float]]:
    """By index, of the channels that have some; a counter's are gone before its rate is made."""
    return {
        index: frozenset(channel.error_values)
        for index, channel in enumerate(channels)
        if channel.error_values and channel.kind != Kind.COUNTER
    }
