"""The events of the stream, frozen: what passes between two stages is one of these.

Times are integer nanoseconds since the epoch, UTC. A slot is an index on an asset's time grid, counted from the
epoch: slot k of a grid with period P is centred on k * P. NaN means "missing" everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats, Similar


@overload
def slot_of(t_ns: int, period_ns: int) -> int: ...
@overload
def slot_of(t_ns: NDArray[np.int64], period_ns: int) -> NDArray[np.int64]: ...
def slot_of(t_ns: Any, period_ns: int) -> Any:
    """The slot of a time, or of an array of them, on the grid with that period."""
    return (t_ns + period_ns // 2) // period_ns


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
class ChannelFault:
    """A sick channel as subscribers see it, with the event time at which its fault began."""

    channel: str
    fault: SensorFault
    since_ns: int


@dataclass(frozen=True, slots=True)
class AssetHealth:
    """Whether an asset's sensors work.

    `fault`: what is wrong with all channels together, "stale" or "clock_jump", since `fault_since_ns` of the wall clock.
    `watched`: so few channels are at fault that the asset is scored still.
    """

    asset: str
    node: str
    watched: bool
    fault: str | None
    fault_since_ns: int | None
    channels: tuple[ChannelFault, ...]


class AlertWord(StrEnum):
    """An asset's alert state, as subscribers read it."""

    NORMAL = "normal"
    PENDING = "pending"
    ACTIVE = "active"
    OUT_OF_SERVICE = "out_of_service"


@dataclass(frozen=True, slots=True)
class ModelName:
    """Which model file an alert is of. `version`: when it was trained."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An asset's alert as it stands: every fact of the alert contract, with times in ns as in all of the core.

    Without an alert, everything from `severity` on is None or empty. Event times: `onset_ns` the first row of the excursion,
    `raised_ns` the row that made the alert active, `peak_ns` that of the highest ratio, whose score, threshold, ratio and
    channels these are, `cleared_ns` the row that ended it. `shelved_until_ns` is a time of the wall clock.
    """

    asset: str
    node: str
    model: ModelName
    state: AlertWord
    acked: bool
    shelved: bool
    shelved_until_ns: int | None
    id: str | None = None
    type: EventType | None = None  # None: the present state, of which nothing is being published
    seq: int = 0
    severity: str | None = None
    score: float | None = None
    threshold: float | None = None
    ratio: float | None = None
    onset_ns: int | None = None
    raised_ns: int | None = None
    peak_ns: int | None = None
    cleared_ns: int | None = None
    duration_ns: int | None = None  # from the onset up to what this says
    channels: tuple[Share, ...] = ()  # by their part in the score, largest first
    reason: str | None = None
    similar: Similar | None = None


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """A step in an alert's life; `seq` counts them from 1 up, `alert` is the alert as it stands with it."""

    asset: str
    type: EventType
    id: str
    seq: int
    alert: Alert


@dataclass(frozen=True, slots=True)
class FloodSummary:
    """More than `limit` new alerts of a node within `window_ns`: `count` of them, of `assets`, were not published one by one."""

    node: str
    type: EventType
    id: str
    seq: int
    limit: int
    window_ns: int
    onset_ns: int
    t_ns: int
    count: int
    assets: tuple[str, ...]
