"""The events of the stream, frozen: what passes between two stages is one of these.

Times are integer nanoseconds since the epoch, UTC. A slot is an index on an asset's time grid, counted from the
epoch: slot k of a grid with period P is centred on k * P. NaN means "missing" everywhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Channel, Floats


@overload
def slot_of(t_ns: int, period_ns: int) -> int: ...
@overload
def slot_of(t_ns: NDArray[np.int64], period_ns: int) -> NDArray[np.int64]: ...
def slot_of(t_ns: Any, period_ns: int) -> Any:
    """The slot of a time, or of an array of them, on the grid with that period."""
    return (t_ns + period_ns // 2) // period_ns


@dataclass(frozen=True, slots=True)
class Readings:
    """The readings that one asset sent for one event time.

    asset: its name, one level of a topic.
    t_ns: event time.
    values: channel name -> value in physical units; an absent channel and NaN are "missing", inf is a sick sensor.
    """

    asset: str
    t_ns: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Readings of one asset, each of all channels, each in the slot after that of the one before.

    asset: its name.
    slot: that of the first.
    t_ns [row]: event times.
    values [row, channel]: float64, in the model's order, NaN where missing.
    """

    asset: str
    slot: int
    t_ns: Sequence[int]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.t_ns)

    def readings(self, row: int, names: Sequence[str]) -> Readings:
        """Those of one row. `names` [channel]."""
        return Readings(self.asset, self.t_ns[row], dict(zip(names, self.values[row].tolist(), strict=True)))

    def rows(self, first: int, last: int | None = None) -> "Stretch":
        """A part of it."""
        return Stretch(self.asset, self.slot + first, self.t_ns[first:last], self.values[first:last])


@dataclass(frozen=True, slots=True)
class Row:
    """One slot of the grid.

    slot: its index.
    values [channel]: in the model's order, NaN where missing.
    """

    slot: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive rows, as the model takes them.

    slot: that of the last row.
    values: float32 [length, channel], NaN where missing.
    """

    slot: int
    values: Floats


@dataclass(frozen=True, slots=True)
class Verdict:
    """One window's score, held against the threshold of that moment.

    slot: that of the window.
    score: distance from normal, 0 or more.
    threshold: the boundary of normal, above 0, in the unit of the score.
    ratio: score / threshold, so that 1.0 is the boundary.
    """

    slot: int
    score: float
    threshold: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Share:
    """One channel's part in a score.

    name, unit: the channel's, as in the model file.
    share: its part of the deviation; those of all channels add up to 1.
    observed, expected: its newest value and what the model expected there, in physical units; of a counter, rates.
    turn: the full turn of an angle, 0 of any other channel.
    accused: it is one of the fewest channels without which the window would be normal.
    unusual: of a discrete channel, what it does that it did not in training; empty of any other.
    """

    name: str
    unit: str
    share: float
    observed: float
    expected: float
    turn: float = 0.0
    accused: bool = False
    unusual: str = ""

    @property
    def deviation(self) -> float:
        """Observed less expected; of an angle the short way round."""
        apart = self.observed - self.expected
        return math.remainder(apart, self.turn) if self.turn > 0.0 and math.isfinite(apart) else apart

    @property
    def direction(self) -> str:
        """ "high", "low", or "none" where the value itself is as expected."""
        if self.deviation > 0.0:
            return "high"
        return "low" if self.deviation < 0.0 else "none"


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """Consecutive rows of an asset that somebody looks at, one at least.

    channels: as the model file has them.
    t_ns [row]: event times.
    verdicts [row]: of the windows that end with them; None: that was not scored, or before anybody looked.
    observed, expected [row, channel]: in physical units; NaN: missing, or of a window that cannot be scored.
    """

    channels: Sequence[Channel]
    t_ns: Sequence[int]
    verdicts: Sequence[Verdict | None]
    observed: Floats
    expected: Floats

    def __len__(self) -> int:
        return len(self.t_ns)

    def newest(self, rows: int) -> "Signals":
        """The last so many rows."""
        return Signals(
            self.channels, self.t_ns[-rows:], self.verdicts[-rows:], self.observed[-rows:], self.expected[-rows:]
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """A window was scored: what the `score` topic and the CSV show.

    asset: whose window.
    t_ns: event time of the window's last row.
    verdict: its score and threshold.
    active: whether the asset has an alert from this row on.
    """

    asset: str
    t_ns: int
    verdict: Verdict
    active: bool
