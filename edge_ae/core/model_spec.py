"""What a model file holds about itself, frozen, and what the core asks of a loaded model.

Knows neither files nor a runtime; `edge_ae.model` reads the one with the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Kind(StrEnum):
    """What a channel's numbers mean.

    ANALOG: a level, as most are. COUNTER: it only rises, but for resets: its rate is the signal, see `core.counters`.
    ANGLE: its ends meet after a full turn: the graph looks at sine and cosine. DISCRETE: a mode, a valve, a switch: the graph
    judges it by what it never did in training. CONSTANT: it never moved there; it is treated as an analog one is.
    """

    ANALOG = "analog"
    COUNTER = "counter"
    ANGLE = "angle"
    DISCRETE = "discrete"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Channel:
    """What the model file knows of a channel.

    name, unit: as in the data and in alerts.
    low, high: the range in training of its signal, in that unit; of a counter's rate, in that unit an hour.
    deviation: how far its signal is from what the model expects on normal data that it has not seen: the root of the mean
        square, in the unit of the range; 0: not known, as in a file of an earlier version.
    resolution: the smallest step of its signal there.

    The profile, measured by `edge_ae.core.channel_profile`; 0: not known, as in a file of an earlier version, or no limit.

    missing_share: part of the rows without a value, 0 to 1.
    missing_rows: longest time without a value.
    rail_rows: longest time without change at an end of the range.
    flat_rows: longest time without change anywhere else.
    coarsest_step: the smallest change of a block of rows, where it was largest.
    fewest_values: distinct values of a block of rows, where there were fewest.

    kind: one of `Kind`.
    turn: the full turn of an angle, in its unit; 0 of any other channel.
    values: of a discrete channel, what it took in training; empty in a file of an earlier version.
    error_values: what its sensor sent in training in place of a value, such as 85.0 of a DS18B20 that has just started.
    season: what the time of day and week does to it, as weights of waves in its unit, see `core.season`; empty: nothing that is known.
    """

    name: str
    unit: str = ""
    low: float = -np.inf
    high: float = np.inf
    resolution: float = 0.0
    missing_share: float = 0.0
    missing_rows: int = 0
    rail_rows: int = 0
    flat_rows: int = 0
    coarsest_step: float = 0.0
    fewest_values: int = 0
    kind: str = Kind.ANALOG
    turn: float = 0.0
    error_values: tuple[float, ...] = ()
    deviation: float = 0.0
    values: tuple[float, ...] = ()
    season: tuple[float, ...] = ()

    @property
    def signal_unit(self) -> str:
        """The unit of what is scored: of a counter's rate, "kWh/h"."""
        return f"{self.unit or 1}/h" if self.kind == Kind.COUNTER else self.unit


@dataclass(frozen=True, slots=True)
class Tail:
    """The generalised Pareto tail of the score on held-out normal data, after declustering.

    level: the score at which the tail begins.
    scale: of the excess of the clusters' peaks over `level`, in the unit of the score, above 0.
    shape: of that excess; 0: exponential, above 0: heavier.
    rate: clusters a window, above 0.
    gross: the score that most gross faults pass, at least; no budget puts the boundary beyond it. Infinite: not known, as in a file
        of an earlier version, or so low that normal data passes it.
    on_delay: how many windows the score must have been above the boundary for an alert, besides the first: the tail is that of the
        least score of so many in a row. 0: none, as in a file of an earlier version.
    """

    level: float
    scale: float
    shape: float
    rate: float
    gross: float = math.inf
    on_delay: int = 0

    def boundary(self, alerts_per_window: float) -> float:
        """The score that normal data exceeds `alerts_per_window` times a window on average, but no more than `gross`."""
        return min(self.extrapolated(alerts_per_window), self.gross)

    def extrapolated(self, alerts_per_window: float) -> float:
        """The score that normal data exceeds `alerts_per_window` times a window on average.

        Pickands' peaks-over-threshold quantile: level + scale / shape * ((rate / p) ** shape - 1). Never below `level`,
        where the tail is not known.
        """
        excess = max(self.rate / alerts_per_window, 1.0)
        if abs(self.shape) < 1e-6:
            return self.level + self.scale * math.log(excess)
        return float(self.level + self.scale / self.shape * (excess**self.shape - 1.0))

    def exceeded(self, score: float) -> float:
        """How often a window normal data exceeds a score on average: the inverse of `extrapolated`, 0 beyond the tail's end."""
        excess = max(score - self.level, 0.0) / self.scale
        if abs(self.shape) < 1e-6:
            return self.rate * math.exp(-excess)
        return self.rate * float(max(1.0 + self.shape * excess, 0.0) ** (-1.0 / self.shape))


@dataclass(frozen=True, slots=True)
class Similar:
    """The operating mode that a window is nearest to, or the named alert that it is like.

    mode: its name.
    distance: from its centre, in units of its radius, so that up to 1.0 is within the mode; from the named alert likewise.
    count: of a named alert, how often it has been seen before; 0: it is a mode.
    last_ns: event time at which it was seen last.
    lesson: which one has the name.
    """

    mode: str
    distance: float
    count: int = 0
    last_ns: int | None = None
    lesson: str = ""


@dataclass(frozen=True, slots=True)
class Modes:
    """The operating modes of training, the commonest first: groups in the latent space.

    spread [latent]: the unit of each axis.
    centres [mode][latent]: in these units.
    radii [mode]: nearly all windows of a mode are within, in these units.
    """

    spread: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    radii: tuple[float, ...]

    def nearest(self, latent: Sequence[float]) -> int:
        """The index of the mode whose centre is nearest."""
        place = self._place(latent)
        return min(range(len(self.centres)), key=lambda mode: math.dist(place, self.centres[mode]))

    def similar(self, latent: Sequence[float]) -> Similar | None:
        """The mode that a window's `latent` [latent] is nearest to; None where the model gave no place in its latent space."""
        if not all(map(math.isfinite, latent)):
            return None
        mode = self.nearest(latent)
        distance = math.dist(self._place(latent), self.centres[mode]) / self.radii[mode]
        return Similar(f"mode {mode + 1}", distance)

    def _place(self, latent: Sequence[float]) -> list[float]:
        return [value / spread for value, spread in zip(latent, self.spread, strict=True)]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything that the core must know of a model.

    name: the asset's or whatever its makers called it.
    sha256: of the file, in hexadecimal.
    family: of which kind of model the best candidate was.
    channels: in the order of the graph's input.
    period_ns: of the rows.
    length: rows of a window.
    hop: rows from one window's end to the next one's.
    tail: what turns a budget into a boundary.
    typical: median score of held-out normal windows, which the adaptive threshold measures drift against.
    trained_at: as the file has it.
    hold_rows: rows for which a channel that reports on change keeps its last value; 0: none does.
    modes: None in a file of an earlier version.
    when: the state in which it was trained and an asset is watched, as an `Expression`; "": any.
    zone: by whose clock the seasons of its channels are, such as Europe/Berlin.
    """

    name: str
    sha256: str
    family: str
    channels: tuple[Channel, ...]
    period_ns: int
    length: int
    hop: int
    tail: Tail
    typical: float
    trained_at: str = ""
    hold_rows: int = 0
    modes: Modes | None = None
    when: str = ""
    zone: str = "UTC"

    @property
    def names(self) -> tuple[str, ...]:
        """The channels', in their order."""
        return tuple(channel.name for channel in self.channels)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a window has its score, as the graph gives it.

    channel_score [channel]: each channel's part.
    reconstruction [length, channel]: what the model expected, in physical units.
    latent [latent]: the window's place in the latent space.
    magnitude [channel]: how far each channel has been of late from what the model expected, in its normal deviations; of a discrete
        channel 0. None: the file is of an earlier version.
    accused: indices of the fewest channels without which the window would be normal, where somebody has looked for them.
    restored [length, channel]: what the model expected by all channels, where `reconstruction` is by those alone that are not
        accused; None: it is the same.
    """

    channel_score: Floats
    reconstruction: Floats
    latent: Floats
    magnitude: Floats | None = None
    accused: tuple[int, ...] = ()
    restored: Floats | None = None


class Model(Protocol):
    """What the core asks of a model; `edge_ae.model.onnx_model.OnnxModel` is one."""

    @property
    def spec(self) -> ModelSpec:
        """What its file holds about it."""
        ...

    def score(self, windows: Floats) -> Floats:
        """Scores [batch] of windows [batch, length, channel]."""
        ...

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        """One explanation a window."""
        ...
