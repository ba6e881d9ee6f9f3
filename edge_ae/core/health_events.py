"""What is known of an asset and its sensors, frozen: whether it is watched, why not, and which channels are at fault.

A sensor's faults are in slots of the asset's time grid inside the core, and in nanoseconds for those who read of them.
"""

from dataclasses import dataclass
from enum import StrEnum

from edge_ae.core.lesson_events import LessonInForce
from edge_ae.core.rules import RuleInForce
from edge_ae.core.suppression import Silence
from edge_ae.core.timestamps import minute_text

CHANNELS_TOLD = 3  # of those that have moved, in a sentence


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


@dataclass(frozen=True, slots=True)
class MovedChannel:
    """A channel that has slowly moved away from what the model expects of it.

    channel: its name.
    level: how far it is above that on average, in its normal deviations, to a tenth; below it: less than 0.
    spread: how far it is off on the whole, as the root of the mean square, likewise; as in training: 1.0.
    """

    channel: str
    level: float
    spread: float

    @property
    def text(self) -> str:
        """Such as "flow is 1.4 normal deviations above what is expected"."""
        if abs(self.level) > 0.5 * self.spread:
            side = "above" if self.level > 0 else "below"
            return f"{self.channel} is {abs(self.level):.1f} normal deviations {side} what is expected"
        return f"{self.channel} is {self.spread:.1f} times as far as usual from what is expected"


class Watching(StrEnum):
    """Whether an asset would raise an alert now."""

    WARM_UP = "warm_up"  # the first window since the start, or since a long gap, is not full yet
    WATCHED = "watched"
    # Nothing comes, at another pace or with too few values, or too many sensors are at fault.
    NOT_WATCHED = "not_watched"
    OUT_OF_SERVICE = "out_of_service"
    LEARNING = "learning"  # there is no model of it yet: one is made on this machine, of what comes


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
class Learning:
    """How far an asset is whose models are made on this machine.

    hours: whole ones that its readings cover.
    text: a sentence on that, on the next model, and on what keeps it from coming.
    """

    hours: int
    text: str


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
    learning: how far that is; None: its model was made elsewhere.
    lessons: what people have taught of its alerts, the oldest first.
    beside: what has come of the model that runs beside the one in use, as a sentence; None: none does.
    moved: channels that have slowly moved away from what its model expects, in the model's order.
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
    learning: Learning | None = None
    lessons: tuple[LessonInForce, ...] = ()
    beside: str | None = None
    moved: tuple[MovedChannel, ...] = ()

    @property
    def advice(self) -> str | None:
        """What to do about the channels that have moved, in a sentence; None: none has."""
        if not self.moved:
            return None
        others = f", and {len(self.moved) - CHANNELS_TOLD} more" if len(self.moved) > CHANNELS_TOLD else ""
        return f"retraining advised: {', '.join(one.text for one in self.moved[:CHANNELS_TOLD])}{others}"
