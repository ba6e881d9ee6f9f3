"""An alert's events, frozen: the steps of its life, as they are published or withheld, and what a flood of them becomes.

Times are integer nanoseconds since the epoch, UTC: event time, unless a field says otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge_ae.core.events import Scored, Share
from edge_ae.core.model_spec import Similar
from edge_ae.core.signatures import AlertSignatures
from edge_ae.core.suppression import Suppression, WithheldBy


class EventType(StrEnum):
    """The steps in an alert's life that are published."""

    NEW = "new"
    UPDATE = "update"
    END = "end"


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
    severity: "low", "medium" or "high", by the magnitude; where there is none, by the ratio.
    score, threshold, ratio: of the window with the highest ratio, the peak: how rare it is.
    magnitude: how far it is: of the accused channel that is furthest from normal, in its normal deviations; None: the model is of an
        earlier version, or the accused channels are discrete.
    onset_ns: event time of the first row of the excursion.
    raised_ns: event time of the row that made the alert active.
    peak_ns: event time of the peak.
    cleared_ns: event time of the row that ended it; None: it has not ended.
    duration_ns: from the onset to this step.
    channels: at the peak, by their part in the score, largest first.
    reason: a sentence for a technician.
    similar: the named alert that the peak is like, else the operating mode that it is nearest to; None: the model knows none.
    cause: "score", "stopped_together" or "unwatched": what it was raised for, or what has joined it since.
    suppression: what has kept it from being announced; None: nothing.
    looks: what it looked like over its course, for lessons that people make of it; not published. None: nothing is known of that.
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
    magnitude: float | None = None
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
    looks: AlertSignatures | None = None


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
