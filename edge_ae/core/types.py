"""The nouns of the project, frozen. What passes between two stages is one of these.

Times are integer nanoseconds since the epoch, UTC. A slot is an index on an asset's time grid, counted from the
epoch: slot k of a grid with period P is centred on k * P. NaN means "missing" everywhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Readings:
    """The readings that one asset sent for one event time: channel name -> value in physical units."""

    asset: str
    t_ns: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One slot of the grid: a value or NaN for every channel, in the model's channel order."""

    slot: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """`length` consecutive rows that end with `slot`; `values` is float32 [length, channel], NaN where missing."""

    slot: int
    values: Floats


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the threshold says of one window: `ratio` = score / threshold, so 1.0 is the boundary of normal."""

    slot: int
    score: float
    threshold: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Share:
    """One channel's part in a score. `share` of all channels adds up to 1; the values are in physical units."""

    name: str
    unit: str
    share: float
    observed: float
    expected: float

    @property
    def direction(self) -> str:
        if self.observed > self.expected:
            return "high"
        return "low" if self.observed < self.expected else "none"


@dataclass(frozen=True, slots=True)
class Channel:
    """What the model file knows of a channel: its unit, its range in training, its smallest step there, and its habits.

    The habits, which a file of an earlier version lacks, are measured by `edge_ae.core.habits`; 0: not known, or no limit.
    """

    name: str
    unit: str = ""
    low: float = -np.inf
    high: float = np.inf
    resolution: float = 0.0
    missing_share: float = 0.0  # of the rows
    missing_rows: int = 0  # longest time without a value
    rail_rows: int = 0  # longest time without change at an end of the range,
    flat_rows: int = 0  # and anywhere else
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
    """What the core asks of a model; `edge_ae.model.OnnxModel` is one."""

    @property
    def spec(self) -> ModelSpec: ...

    def score(self, windows: Floats) -> Floats:
        """Scores [batch] of windows [batch, length, channel]."""
        ...

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        """One explanation a window."""
        ...


class EventType(StrEnum):
    NEW = "new"
    UPDATE = "update"
    END = "end"


@dataclass(frozen=True, slots=True)
class Scored:
    """A window was scored: what the `score` topic and the CSV show."""

    asset: str
    t_ns: int
    verdict: Verdict
    active: bool


class SensorFault(StrEnum):
    """What a sensor does and a machine cannot."""

    STALE = "stale"
    DROPOUT = "dropout"
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"
    FLAT = "flat"
    STUCK_AT_RAIL = "stuck_at_rail"
    QUANTISED = "quantised"


@dataclass(frozen=True, slots=True)
class SickChannel:
    """A channel that its sensor's fault keeps out of the score, from the slot on in which the fault was seen to begin."""

    channel: str
    fault: SensorFault
    since_slot: int


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """A step in an alert's life; `body` is the alert as JSON-ready scalars, as DESIGN's contract lists them."""

    asset: str
    type: EventType
    id: str
    seq: int
    body: Mapping[str, Any]
