"""What people have taught of an asset's alerts, frozen, and as it is kept. What comes of it is the affair of `lessons`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_ae.core.signatures import AlertSignatures, restored_signature
from edge_ae.core.suppression import Suppression, WithheldBy
from edge_ae.core.timestamps import minute_text


@dataclass(frozen=True, slots=True)
class Lesson:
    """What people said of one alert.

    id: the alert's. false_alarm: its like is withheld, unless it is more like a true one. name: of a true one, what it was; empty: it
    has none. raised_ns: of the alert, event time. until_ns: from this event time on it says nothing any more; None: it always does.
    reason: the alert's.
    """

    id: str
    false_alarm: bool
    name: str
    looks: AlertSignatures
    raised_ns: int
    until_ns: int | None = None
    reason: str = ""

    @property
    def suppression(self) -> Suppression:
        """Such as "lesson: like the false alarm of 2026-11-02 09:14 UTC, 0badc0de"."""
        when = minute_text(self.raised_ns)
        return Suppression(WithheldBy.LESSON, f"lesson: like the false alarm of {when}, {self.id}", self.id)


@dataclass(frozen=True, slots=True)
class Use:
    """How many alerts were like a lesson, its own not counted, and the event time at which the last of them ended."""

    count: int = 0
    last_ns: int | None = None


@dataclass(frozen=True, slots=True)
class LessonInForce:
    """A lesson as it is listed. `idle`: why it can say nothing at present, as a sentence; None: it does."""

    lesson: Lesson
    use: Use
    idle: str | None = None


# -- as they are kept ------------------------------------------------------------------------------------------


def signatures_of(saved: Mapping[str, Any]) -> AlertSignatures:
    """What `asdict` made of an alert's signatures. Raises what a text of another shape makes it raise."""
    signatures = tuple(map(restored_signature, saved["signatures"]))
    looks = AlertSignatures(str(saved["model"]), tuple(map(str, saved["channels"])), signatures)
    sizes = {len(part) for one in signatures for part in (one.direction, one.low, one.high, one.magnitude) if part}
    if not signatures or sizes != {len(looks.channels)}:
        raise ValueError("its lists are not as long as its channels are many")
    return looks


def lesson_of(saved: Mapping[str, Any]) -> Lesson:
    """The lesson of which `asdict` was kept. Raises what a text of another shape makes it raise."""
    return replace(Lesson(**dict(saved)), looks=signatures_of(saved["looks"]))
