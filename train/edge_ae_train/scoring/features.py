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

from edge_ae.core.model_spec import Floats

TINY = 1e-12  # in the place of a cosine of 0
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


class Features:
    """The way there and back, on arrays whose last axis is the channel, or the feature. There are `circles`, one at least."""

    def __init__(self, channels: int, circles: Sequence[Circle]) -> None:
        angles = [circle.index for circle in circles]
        twin = {index: channels + place for place, index in enumerate(angles)}
        rate = {circle.index: 2.0 * math.pi / circle.turn for circle in circles}
        source = [*range(channels), *angles]
        self.channels = channels
        self._source = np.array(source)
        self._cyclic = np.array([index in rate for index in source])
        self._rate = _single([rate.get(index, 0.0) for index in source])
        self._phase = _single([0.0] * channels + [math.pi / 2.0] * len(angles))
        self._twin = np.array([twin.get(index, index) for index in range(channels)])
        turn, start = ({circle.index: getattr(circle, name) for circle in circles} for name in ("turn", "start"))
        self._turn = _single([turn.get(index, 0.0) for index in range(channels)])
        self._start = _single([start.get(index, 0.0) for index in range(channels)])

    def __call__(self, physical: Floats) -> Floats:
        """Features [..., feature] of values [..., channel]; NaN where those are."""
        values = np.take(physical, self._source, axis=-1)
        return np.where(self._cyclic, np.cos(values * self._rate - self._phase), values)

    def physical(self, features: Floats) -> Floats:
        """Values [..., channel] of features: an angle is the direction of its two, whatever their length."""
        own, twin = features[..., : self.channels], np.take(features, self._twin, axis=-1)
        angle = _direction(twin, own) * (self._turn / np.float32(2.0 * math.pi))
        angle = np.where(angle < self._start, angle + self._turn, angle)
        return np.where(self._cyclic[: self.channels], angle, own)

    def deviation(self, features: Floats) -> Floats:
        """Standard deviations [..., feature] as those of channels: cosine and sine move by as much as the angle in radians."""
        both = np.sqrt(self.by_channel(np.square(features))) * (self._turn / np.float32(2.0 * math.pi))
        return np.where(self._cyclic[: self.channels], both, features[..., : self.channels])

    def by_channel(self, squares: Floats) -> Floats:
        """[..., channel] of [..., feature]: an angle has the sum of its two."""
        own, twin = squares[..., : self.channels], np.take(squares, self._twin, axis=-1)
        return own + np.where(self._cyclic[: self.channels], twin, 0.0)


def _direction(sine: Floats, cosine: Floats) -> Floats:
    """Radians from -pi to pi. By the arc tangent of one number, for no operator of ONNX has two."""
    across = np.arctan(sine / np.where(cosine == 0.0, TINY, cosine))
    behind = np.where(sine < 0.0, across - math.pi, across + math.pi)
    return np.where(cosine < 0.0, behind, across)


def _single(values: Sequence[float]) -> Floats:
    return np.array(values, np.float32)
