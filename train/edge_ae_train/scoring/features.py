"""Physical values -> features: of an angle its cosine and sine, of any other channel the value itself; and back.

    channel    speed   direction   power            the cosine stands in the place of its channel,
    feature    speed   cosine      power   sine     the sines behind all of them, in their order

359 and 1 degree are neighbours as features, and 358 apart as numbers. Nothing here is a product of several channels, so that
a missing angle is two missing features, and a value does not depend on what it stands beside.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edge_ae.core.model_spec import Floats

BELOW_ZERO = 0.05  # of a turn: an angle that goes further below 0 is counted from -turn / 2 on, not from 0


@dataclass(frozen=True, slots=True)
class Circle:
    """The angle of channel `index`: values of a full `turn`, from `start` on."""

    index: int
    turn: float
    start: float


def circles(turns: Sequence[float], segments: Sequence[Floats]) -> tuple[Circle, ...]:
    """Of the channels whose turn is above 0; `segments` [row, channel] say where each begins to count."""
    return tuple(
        Circle(index, turn, _start(turn, [segment[:, index] for segment in segments]))
        for index, turn in enumerate(turns)
        if turn > 0.0
    )


def _start(turn: float, parts: Sequence[Floats]) -> float:
    lowest = min((float(np.fmin.reduce(part, initial=np.inf)) for part in parts), default=0.0)
    return -turn / 2.0 if lowest < -BELOW_ZERO * turn else 0.0


class Features(nn.Module):
    """The way there and back, on tensors whose last axis is the channel, or the feature. There are `circles`, one at least."""

    def __init__(self, channels: int, circles: Sequence[Circle]) -> None:
        super().__init__()
        angles = [circle.index for circle in circles]
        twin = {index: channels + place for place, index in enumerate(angles)}
        rate = {circle.index: 2.0 * math.pi / circle.turn for circle in circles}
        source = [*range(channels), *angles]
        self.channels = channels
        self._constant("source", source, torch.int64)
        self._constant("cyclic", [index in rate for index in source], torch.bool)
        self._constant("rate", [rate.get(index, 0.0) for index in source])
        self._constant("phase", [0.0] * channels + [math.pi / 2.0] * len(angles))
        self._constant("twin", [twin.get(index, index) for index in range(channels)], torch.int64)
        self._constant("turn", _spread(channels, {circle.index: circle.turn for circle in circles}))
        self._constant("start", _spread(channels, {circle.index: circle.start for circle in circles}))

    source: Tensor
    cyclic: Tensor
    rate: Tensor
    phase: Tensor
    twin: Tensor
    turn: Tensor
    start: Tensor

    def _constant(self, name: str, values: Sequence[float], kind: torch.dtype = torch.float32) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=kind))

    def forward(self, physical: Tensor) -> Tensor:
        """Features [..., feature] of values [..., channel]; NaN where those are."""
        values = torch.index_select(physical, -1, self.source)
        return torch.where(self.cyclic, torch.cos(values * self.rate - self.phase), values)

    def physical(self, features: Tensor) -> Tensor:
        """Values [..., channel] of features: an angle is the direction of its two, whatever their length."""
        own, twin = features[..., : self.channels], torch.index_select(features, -1, self.twin)
        angle = torch.atan2(twin, own) * self.turn / (2.0 * math.pi)
        angle = torch.where(angle < self.start, angle + self.turn, angle)
        return torch.where(self.cyclic[: self.channels], angle, own)

    def deviation(self, features: Tensor) -> Tensor:
        """Standard deviations [..., feature] as those of channels: cosine and sine move by as much as the angle in radians."""
        both = torch.sqrt(self.by_channel(features.square())) * self.turn / (2.0 * math.pi)
        return torch.where(self.cyclic[: self.channels], both, features[..., : self.channels])

    def by_channel(self, squares: Tensor) -> Tensor:
        """[..., channel] of [..., feature]: an angle has the sum of its two."""
        own, twin = squares[..., : self.channels], torch.index_select(squares, -1, self.twin)
        return own + torch.where(self.cyclic[: self.channels], twin, 0.0)


def _spread(channels: int, known: dict[int, float]) -> list[float]:
    return [known.get(index, 0.0) for index in range(channels)]
