"""What there is to know of an asset's alert, as frozen values. How it changes is the affair of `alert`.

Times are event times, but for that of shelving.
"""

from dataclasses import dataclass
from enum import StrEnum

from edge_ae.core.alert_events import EventType, ModelName
from edge_ae.core.events import Share, Verdict
from edge_ae.core.model_spec import Similar
from edge_ae.core.signatures import NO_COURSE, Course, Signature
from edge_ae.core.suppression import Suppression


class Phase(StrEnum):
    """Where in its life an alert is; CLEARING is active still."""

    NORMAL = "normal"
    PENDING = "pending"
    ACTIVE = "active"
    CLEARING = "clearing"


class Level(StrEnum):
    """A ratio against the two thresholds, 1 and 1 - deadband."""

    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"


class Cause(StrEnum):
    """What an alert was raised for."""

    SCORE = "score"
    STOPPED = "stopped_together"  # channels that stopped moving together: the machine, or what brings the readings
    UNWATCHED = "unwatched"  # the asset has had no score for long


class Shelving(StrEnum):
    """For how long an operator has silenced an asset."""

    UNSHELVED = "unshelved"
    ONE_SHOT = "one_shot"  # until the next return to normal
    TIMED = "timed"


@dataclass(frozen=True, slots=True)
class AlertSource:
    """What an alert is of; with its onset, this is what its id is made from."""

    node: str
    asset: str
    model: ModelName


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a window's explanation gives: the channels by their part in the score, the nearest operating mode, what stands
    against an alert of such a window by the rules of its channels or by a lesson, how far the accused are from normal, and what it
    looks like."""

    shares: tuple[Share, ...] = ()
    similar: Similar | None = None
    ruled_out: Suppression | None = None
    magnitude: float | None = None
    signature: Signature | None = None


NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True)
class Condition:
    """What raises an alert whatever the score says: its cause, the event time since which it stands, a sentence on it."""

    cause: Cause
    since_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class Episode:
    """One excursion that became an alert.

    `published`: subscribers know of it, so they must get its end. `published_ns`, `published_ratio`: the event time and the
    peak's ratio of the last event, or of the last step that was withheld. `condition`: the last one that stood; None: it is the
    score's alone. `ruled_out`: what the rules of its channels, or a lesson, have against it; None: nothing, or nothing any more.
    `counted_ns`: since when its windows have been of a channel that counts. `withheld`: what it was last withheld by. `magnitude`: at
    the peak. `course`: what it has looked like.
    """

    id: str
    onset_ns: int
    raised_ns: int
    peak_ns: int
    peak: Verdict
    shares: tuple[Share, ...]
    seq: int = 0
    published: bool = False
    published_ns: int = 0
    published_ratio: float = 0.0
    acked: bool = False
    realarms: int = 0
    similar: Similar | None = None
    condition: Condition | None = None
    ruled_out: Suppression | None = None
    counted_ns: int | None = None
    withheld: Suppression | None = None
    magnitude: float | None = None
    course: Course = NO_COURSE

    @property
    def cause(self) -> Cause:
        """What it was raised for, or what has joined it since."""
        return Cause.SCORE if self.condition is None else self.condition.cause


@dataclass(frozen=True, slots=True)
class AlertState:
    """All there is to know of an asset's alert. `shelved_until_ns` is a time of the wall clock. `silenced`: what the time of the
    newest verdict has against any alert; `cooldown_until_ns`: of event time."""

    phase: Phase = Phase.NORMAL
    since_ns: int = 0  # when the phase, or its run of HIGH or LOW, began
    onset_ns: int | None = None  # first row of the present run of windows that are not LOW
    episode: Episode | None = None
    shelving: Shelving = Shelving.UNSHELVED
    shelved_until_ns: int | None = None
    in_service: bool = True
    silenced: Suppression | None = None
    cooldown_until_ns: int | None = None

    @property
    def active(self) -> bool:
        """Whether there is an alert, be it a suppressed one."""
        return self.phase in (Phase.ACTIVE, Phase.CLEARING)

    @property
    def suppression(self) -> Suppression | None:
        """What stands against announcing its alert; None: nothing does, subscribers know of it, or there is none."""
        if self.episode is None or self.episode.published:
            return None
        return self.episode.ruled_out if self.silenced is None else self.silenced

    @property
    def raised(self) -> bool:
        """Whether there is an alert that is not suppressed."""
        return self.active and self.suppression is None

    @property
    def silent(self) -> bool:
        """Whether nothing new is published of it."""
        quiet = self.shelving is not Shelving.UNSHELVED or not self.in_service
        return quiet or self.silenced is not None or self.suppression is not None


@dataclass(frozen=True, slots=True)
class Transition:
    """A step in an alert's life that subscribers are to know of: its type, and the episode as it stands with it.

    `suppression`: it is withheld from them by this.
    """

    type: EventType
    episode: Episode
    cleared_ns: int | None = None
    suppression: Suppression | None = None


Stepped = tuple[AlertState, list[Transition]]
