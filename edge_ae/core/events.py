"""The events of the stream, frozen: what passes between two stages is one of these.

Times are integer nanoseconds since the epoch, UTC. A slot is an index on an asset's time grid, counted from the
epoch: slot k of a grid with period P is centred on k * P. NaN means "missing" everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edge_ae.core.model_spec import Floats


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
class AlertEvent:
    """A step in an alert's life; `body` is the alert as JSON-ready scalars, as DESIGN's contract lists them."""

    asset: str
    type: EventType
    id: str
    seq: int
    body: Mapping[str, Any]
