"""What a model file says of itself, frozen, and what the core asks of a loaded model.

Knows neither files nor a runtime; `edge_ae.model` reads the one with the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Channel:
    """What the model file knows of a channel: its unit, its range in training, its smallest step there, and its profile.

    The profile, from `missing_share` on, is measured by `edge_ae.core.channel_profile`; 0: not known, as in a file of an
    earlier version, or no limit.
    """

    name: str
    unit: str = ""
    low: float = -np.inf
    high: float = np.inf
    resolution: float = 0.0
    missing_share: float = 0.0  # of the rows
    missing_rows: int = 0  # longest time without a value
    rail_rows: int = 0  # longest time without change at an end of the range
    flat_rows: int = 0  # longest time without change anywhere else
    coarsest_step: float = 0.0  # the smallest change among many, where it was largest
    fewest_values: int = 0  # distinct values where there were fewest


@dataclass(frozen=True, slots=True)
class Tail:
    """The generalised Pareto tail of the score on held-out normal data, after declustering.

    Above `level`, clusters of windows come at `rate` a window; their peaks' excess over `level` follows a
    generalised Pareto law with `scale` (in units of the score) and `shape`.
    """

    level: float
    scale: float
    shape: float
    rate: float

    def boundary(self, alerts_per_window: float) -> float:
        """The score that normal data exceeds `alerts_per_window` times a window on average.

        Pickands' peaks-over-threshold quantile: level + scale / shape * ((rate / p) ** shape - 1). Never below `level`,
        where the tail says nothing.
        """
        excess = max(self.rate / alerts_per_window, 1.0)
        if abs(self.shape) < 1e-6:
            return self.level + self.scale * math.log(excess)
        return float(self.level + self.scale / self.shape * (excess**self.shape - 1.0))


@dataclass(frozen=True, slots=True)
class Similar:
    """The operating mode that a window is nearest to. `distance`: from its centre, so that up to 1.0 is within the mode."""

    mode: str
    distance: float


@dataclass(frozen=True, slots=True)
class Modes:
    """The operating modes of training, the commonest first: groups in the latent space, each of its axes in units of `spread`.

    `centres` [mode][latent]; nearly all windows of a mode lie within its radius, `radii` [mode].
    """

    spread: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    radii: tuple[float, ...]

    def nearest(self, latent: Sequence[float]) -> int:
        """The index of the mode whose centre is nearest."""
        place = self._place(latent)
        return min(range(len(self.centres)), key=lambda mode: math.dist(place, self.centres[mode]))

    def similar(self, latent: Sequence[float]) -> Similar | None:
        """None where the model gave no place in its latent space."""
        if not all(map(math.isfinite, latent)):
            return None
        mode = self.nearest(latent)
        distance = math.dist(self._place(latent), self.centres[mode]) / self.radii[mode]
        return Similar(f"mode {mode + 1}", distance)

    def _place(self, latent: Sequence[float]) -> list[float]:
        return [value / spread for value, spread in zip(latent, self.spread, strict=True)]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model file says of itself: everything that the core must know of a model."""

    name: str
    sha256: str
    family: str
    channels: tuple[Channel, ...]
    period_ns: int
    length: int
    hop: int
    tail: Tail
    typical: float
    """median score of held-out normal windows: what the adaptive threshold measures drift against"""
    trained_at: str = ""
    hold_rows: int = 0
    """rows for which a channel that reports on change keeps its last value"""
    modes: Modes | None = None
    """None: a file of an earlier version"""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(channel.name for channel in self.channels)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The outputs of the graph that say why: `channel_score` [channel], `reconstruction` [length, channel], `latent` [latent]."""

    channel_score: Floats
    reconstruction: Floats
    latent: Floats


class Model(Protocol):
    """What the core asks of a model; `edge_ae.model.onnx_model.OnnxModel` is one."""

    @property
    def spec(self) -> ModelSpec: ...

    def score(self, windows: Floats) -> Floats:
        """Scores [batch] of windows [batch, length, channel]."""
        ...

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        """One explanation a window."""
        ...
