"""The events of the stream, frozen: what passes between two stages is one of these.

Times are integer nanoseconds since the epoch, UTC. A slot is an index on an asset's time grid, counted from the
epoch: slot k of a grid with period P is centred on k * P. NaN means "missing" everywhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Channel, Floats, Similar
from edge_ae.core.rules import RuleInForce
from edge_ae.core.suppression import Silence, Suppression, WithheldBy
from edge_ae.core.timestamps import minute_text


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
    """

    name: str
    unit: str
    share: float
    observed: float
    expected: float
    turn: float = 0.0
    accused: bool = False

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
class Supposed:
    """What a budget would have raised.

    budget: such as "1/week".
    boundary: the score from which on it raises an alert.
    alerts: how many they would have been.
    """

    budget: str
    boundary: float
    alerts: int


@dataclass(frozen=True, slots=True)
class OtherBudgets:
    """What other budgets would have raised in the past.

    budget, boundary: those in force.
    budgets: others, the strictest first.
    hours: when each began (event time in ns) and its level, the highest score of the hour by the present boundary; oldest first.
    """

    budget: str
    boundary: float
    budgets: Sequence[Supposed]
    hours: Sequence[tuple[int, float]]


class EventType(StrEnum):
    """The steps in an alert's life that are published."""

    NEW = "new"
    UPDATE = "update"
    END = "end"


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
    """A channel that its sensor's fault keeps out of the score.

    channel: its name.
    fault: what its sensor does.
    since_slot: the slot in which the fault began.
    """

    channel: str
    fault: SensorFault
    since_slot: int


@dataclass(frozen=True, slots=True)
class CommonStop:
    """Channels that stopped moving together: no sensors' fault, but that of what they all hang on.

    since_slot: the slot in which they stopped.
    channels: their names, in the model's order.
    of: how many channels the asset has.
    """

    since_slot: int
    channels: tuple[str, ...]
    of: int


@dataclass(frozen=True, slots=True)
class ChannelFault:
    """A sick channel as subscribers see it.

    channel: its name.
    fault: what its sensor does.
    since_ns: event time at which the fault began.
    """

    channel: str
    fault: SensorFault
    since_ns: int


class Watching(StrEnum):
    """Whether an asset would raise an alert now."""

    WARM_UP = "warm_up"  # the first window since the start, or since a long gap, is not full yet
    WATCHED = "watched"
    NOT_WATCHED = (
        "not_watched"  # nothing comes, at another pace or with too few values, or too many sensors are at fault
    )
    OUT_OF_SERVICE = "out_of_service"


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How far an asset is on the way to its first score.

    rows: those it has without a long gap.
    needed: those of a window.
    first_score_ns: event time at which the first score is to be expected; None: it is there, or cannot be foreseen.
    """

    rows: int
    needed: int
    first_score_ns: int | None

    @property
    def text(self) -> str:
        """Such as "12 of 64 rows"."""
        return f"{self.rows} of {self.needed} rows"

    @property
    def outlook(self) -> str:
        """Such as "12 of 64 rows, first score about 2026-11-24 14:20 UTC"."""
        about = "" if self.first_score_ns is None else f", first score about {minute_text(self.first_score_ns)}"
        return f"{self.text}{about}"


@dataclass(frozen=True, slots=True)
class AssetHealth:
    """Whether an asset's sensors work, and how it is watched.

    asset, node: whose.
    watched: it is scored: its warm-up is over, and enough of its channels work and send.
    fault: what is wrong with all channels together, "stale", "clock_jump", "frozen" or "pace"; None: nothing.
    fault_since_ns: wall time at which that began, or of what is frozen event time; None: nothing is wrong.
    channels: those at fault, in the order in which their faults were found.
    watching: whether it would raise an alert now.
    budget: the alerts that are accepted of it, such as "1/day"; None: as many as the settings say.
    warm_up: how far it is; None: no row has come.
    pace: a sentence where readings come at another pace than the model's rows; None: they do not.
    reason: why it is not watched; None: it is.
    rules: those of its channels.
    silences: those that are set and not over, the first to begin first.
    when: the state in which it is watched, such as "speed > 100"; None: any.
    """

    asset: str
    node: str
    watched: bool
    fault: str | None
    fault_since_ns: int | None
    channels: tuple[ChannelFault, ...]
    watching: Watching
    budget: str | None
    warm_up: WarmUp | None = None
    pace: str | None = None
    reason: str | None = None
    rules: tuple[RuleInForce, ...] = ()
    silences: tuple[Silence, ...] = ()
    when: str | None = None


class AlertWord(StrEnum):
    """An asset's alert state, as subscribers read it."""

    NORMAL = "normal"
    PENDING = "pending"
    ACTIVE = "active"
    OUT_OF_SERVICE = "out_of_service"
    SUPPRESSED = "suppressed"  # there would be an alert, but the owner's rules stand against it


@dataclass(frozen=True, slots=True)
class ModelName:
    """Which model file an alert is of.

    name: as its makers called it.
    version: when it was trained, as the file has it.
    sha256: of the file, in hexadecimal.
    """

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An asset's alert as it stands: every fact of the alert contract. Without an alert, `id` and all after `seq` are None or empty.

    asset, node: whose.
    model: which file it was scored with.
    state: as subscribers read it.
    acked: an operator has seen this alert.
    shelved: the asset is silenced, until wall time `shelved_until_ns`.
    quality: the part of its channels whose sensors work, 0 to 1.
    id: the same in every run over the same data.
    type: which step in the alert's life this is; None: the present state, of which nothing is being published.
    seq: counts the published steps from 1 up; 0: none was.
    severity: "low", "medium" or "high", by the peak.
    score, threshold, ratio: of the window with the highest ratio, the peak.
    onset_ns: event time of the first row of the excursion.
    raised_ns: event time of the row that made the alert active.
    peak_ns: event time of the peak.
    cleared_ns: event time of the row that ended it; None: it has not ended.
    duration_ns: from the onset to this step.
    channels: at the peak, by their part in the score, largest first.
    reason: a sentence for a technician.
    similar: the operating mode that the peak is nearest to; None: the model knows none.
    cause: "score", "stopped_together" or "unwatched": what it was raised for, or what has joined it since.
    suppression: what has kept it from being announced; None: nothing.
    """

    asset: str
    node: str
    model: ModelName
    state: AlertWord
    acked: bool
    shelved: bool
    shelved_until_ns: int | None
    quality: float = 1.0
    id: str | None = None
    type: EventType | None = None
    seq: int = 0
    severity: str | None = None
    score: float | None = None
    threshold: float | None = None
    ratio: float | None = None
    onset_ns: int | None = None
    raised_ns: int | None = None
    peak_ns: int | None = None
    cleared_ns: int | None = None
    duration_ns: int | None = None
    channels: tuple[Share, ...] = ()
    reason: str | None = None
    similar: Similar | None = None
    cause: str | None = None
    suppression: Suppression | None = None


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """A step in an alert's life.

    asset: whose alert.
    type: which step.
    id: the alert's.
    seq: counts its steps from 1 up.
    alert: as it stands with this step.
    """

    asset: str
    type: EventType
    id: str
    seq: int
    alert: Alert


@dataclass(frozen=True, slots=True)
class FloodSummary:
    """One summary in place of too many new alerts.

    node: whose.
    type: whether the flood begins, goes on or ends.
    id: the flood's.
    seq: counts its summaries from 1 up.
    limit, window_ns: more new alerts than this, in so much event time, are a flood.
    onset_ns: event time at which it began.
    t_ns: event time of this summary.
    count: new alerts that were not published one by one.
    assets: some of those that they are of.
    """

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


@dataclass(frozen=True, slots=True)
class Withheld:
    """A step in an alert's life that is not published.

    event: the step; its `seq` counts nothing where it was the owner's rules, and 0 was published.
    reason: a flood, whose summary stands for it, or which of the owner's rules; the alert has the sentence on it.
    """

    event: AlertEvent
    reason: WithheldBy = WithheldBy.FLOOD

    @property
    def asset(self) -> str:
        """Whose."""
        return self.event.asset


AlertStep = AlertEvent | Withheld
"""A step in an alert's life, published or not."""

Outcome = Scored | AlertStep
"""What comes of a window."""

Happening = Outcome | FloodSummary
"""What comes of readings, as the daemon's other sides learn of it."""
