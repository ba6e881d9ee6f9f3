"""What people have taught of an asset's alerts: which are false, so that their like is withheld, and which are true and perhaps have a name.

    Signature ─ Lessons.recognise ─► a suppression, where a false alarm was like it; the named alert that it is most like

A window is like a lesson, the nearest, where its direction is within RADIUS of one of the lesson's signatures, more where noise blurs it, and no
channel is further from normal than BEYOND times what it was there. So a far stronger one is an alert all the same, and so is one
to the other side. Decides nothing about alerts: what comes of a suppression is the affair of `alert`. Where there is doubt, nothing
is withheld. The numbers were chosen on random plants and the pump simulator, which `tests/bench/lessons.py` measures anew.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.lesson_events import Lesson, LessonInForce, Use
from edge_ae.core.model_spec import ModelSpec, Similar
from edge_ae.core.signatures import Signature
from edge_ae.core.suppression import Suppression

MOST_LESSONS = 32
"""Of an asset; then the one that was of least use makes room, of those the oldest."""

RADIUS = math.radians(24.0)
NOISE = 0.4
"""Of the angle by which noise of the score's usual height turns a direction, so much is granted."""

BEYOND = 2.0
"""Times what was taught: stronger than that is an alert all the same."""

TRUE_BEYOND = 10.0
"""A true alarm may be so many times stronger, and is it still."""

MAGNITUDE_SLACK, SHIFT_SLACK = 3.0, 4.0
"""Normal deviations by which a channel may be further from normal than that, and to either side of what was expected: noise."""

PATIENCE = 16
"""Windows in a row that are no longer like the lesson, and no stronger than it allows, before a withheld alert is announced."""

Lines = NDArray[np.float64]
Near = tuple[str, float]
"""A lesson, and how far off a window is from it, in radii."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What lessons say of a window: what stands against an alert of it, and the named alert that it is most like."""

    withheld: Suppression | None = None
    similar: Similar | None = None


NOTHING = Recognised()
Known = Mapping[str, Lesson]


def with_lesson(known: Known, lesson: Lesson, uses: Mapping[str, Use]) -> tuple[dict[str, Lesson], list[Lesson]]:
    """The lessons with one more, in the place of another on the same alert, and those that had to make room for it."""
    others = sorted(
        (one for one in known.values() if one.id != lesson.id),
        key=lambda one: (-uses.get(one.id, Use()).count, -one.raised_ns),
    )
    kept, gone = others[: MOST_LESSONS - 1], others[MOST_LESSONS - 1 :]
    stays = {one.id for one in kept}
    return {one.id: one for one in known.values() if one.id in stays} | {lesson.id: lesson}, gone


class Lessons:
    """Those of one asset. `spec`: of its model; lessons on alerts of another model are compared by the names of the channels."""

    def __init__(self, spec: ModelSpec) -> None:
        self.known: dict[str, Lesson] = {}
        self.uses: dict[str, Use] = {}
        self._spec = spec
        self._faces: dict[str, _Faces] = {}
        self._unlike = 0  # windows in a row of the present alert that are no longer like what withholds it

    def set(self, known: Known) -> None:
        """These there are from now on."""
        self.known = dict(known)
        self.uses = {identity: use for identity, use in self.uses.items() if identity in known}
        comparable = {one.id: one for one in known.values() if self.idle(one) is None}
        self._faces = {identity: _Faces.of(one, self._spec.names) for identity, one in comparable.items()}

    def take_over(self, other: "Lessons") -> None:
        """Go on with those of another model's detector of the same asset."""
        self.uses, self._unlike = dict(other.uses), other._unlike
        self.set(other.known)

    def idle(self, lesson: Lesson) -> str | None:
        """Why a lesson can say nothing with this model; None: it can."""
        if lesson.looks.model == self._spec.sha256:
            return None
        missing = [name for name in lesson.looks.channels if name not in self._spec.names]
        return f"the model in use has no channel {missing[0]!r}" if missing else None

    @property
    def withholds(self) -> bool:
        """Whether any lesson may withhold an alert."""
        return any(self.known[identity].false_alarm for identity in self._faces)

    def expire(self, t_ns: int) -> None:
        """Forget those that are over at an event time."""
        if any(one.until_ns is not None and one.until_ns <= t_ns for one in self.known.values()):
            self.set({key: one for key, one in self.known.items() if one.until_ns is None or one.until_ns > t_ns})

    def recognise(self, signature: Signature | None, against: Suppression | None) -> Recognised:
        """What there is to say of a window. `against`: what withholds the present alert, if anything does."""
        if signature is None or not self._faces:
            return NOTHING
        true = [one for one in self._faces if not self.known[one].false_alarm]
        named = self._nearest(signature, [one for one in true if self.known[one].name], TRUE_BEYOND)
        withheld = self._withheld(signature, self._nearest(signature, true, TRUE_BEYOND), against)
        return Recognised(withheld, None if named is None else self._similar(*named))

    def _withheld(self, signature: Signature, true: Near | None, against: Suppression | None) -> Suppression | None:
        found = self._nearest(signature, [one for one in self._faces if self.known[one].false_alarm], BEYOND)
        if true is not None and (found is None or true[1] < found[1]):
            return None
        if found is not None:
            self._unlike = 0
            return self.known[found[0]].suppression
        held = None if against is None else self._faces.get(against.source)
        if held is None or held.surpassed_by(signature, BEYOND) or self._unlike + 1 >= PATIENCE:
            self._unlike = 0
            return None
        self._unlike += 1
        return against

    def _nearest(self, signature: Signature, among: Iterable[str], beyond: float) -> Near | None:
        distances = {one: self._faces[one].distance(signature, beyond) for one in among}
        near = {one: distance for one, distance in distances.items() if distance <= 1.0}
        return min(near.items(), key=lambda item: item[1]) if near else None

    def _similar(self, identity: str, distance: float) -> Similar:
        """Of all lessons of that name: how often it was, and when last."""
        name = self.known[identity].name
        same = [one for one in self.known.values() if one.name == name]
        uses = [self.uses.get(one.id, Use()) for one in same]
        last_ns = max([one.raised_ns for one in same] + [use.last_ns for use in uses if use.last_ns is not None])
        return Similar(name, distance, len(same) + sum(use.count for use in uses), last_ns, identity)

    def ended(self, alert: str, lessons: Iterable[str], t_ns: int) -> None:
        """An alert is over that was like these lessons."""
        for identity in {*lessons} - {alert}:
            if identity in self.known:
                self.uses[identity] = Use(self.uses.get(identity, Use()).count + 1, t_ns)

    @property
    def listed(self) -> tuple[LessonInForce, ...]:
        """The oldest alert's first."""
        by_age = sorted(self.known.values(), key=lambda one: (one.raised_ns, one.id))
        return tuple(LessonInForce(one, self.uses.get(one.id, Use()), self.idle(one)) for one in by_age)

    # -- restarts ------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """What changes with each alert, as plain values; the lessons themselves are kept when they are taught."""
        return {"uses": {identity: asdict(use) for identity, use in self.uses.items()}, "unlike": self._unlike}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made; `set` is to be called with the lessons themselves."""
        self.uses = {identity: Use(**use) for identity, use in state["uses"].items()}
        self._unlike = state["unlike"]


@dataclass(frozen=True, slots=True, eq=False)
class _Faces:
    """A lesson's signatures as arrays, [signature] and [signature, channel], in the channels of the model in use."""

    direction: Lines
    ratio: Lines
    magnitude: Lines | None
    low: Lines
    high: Lines
    novel: tuple[frozenset[tuple[str, float]], ...]
    accused: frozenset[str]

    @classmethod
    def of(cls, lesson: Lesson, names: tuple[str, ...]) -> "_Faces":
        """A channel that the lesson does not know was as expected."""
        looks = lesson.looks
        places = [names.index(name) for name in looks.channels]

        def spread(attribute: str) -> Lines:
            lines = np.zeros((len(looks.signatures), len(names)))
            lines[:, places] = [getattr(one, attribute) for one in looks.signatures]
            return lines

        return cls(
            spread("direction"),
            np.array([one.ratio for one in looks.signatures]),
            spread("magnitude") if all(one.magnitude for one in looks.signatures) else None,
            spread("low"),
            spread("high"),
            tuple(frozenset(one.novel) for one in looks.signatures),
            frozenset(name for one in looks.signatures for name in one.accused),
        )

    def distance(self, signature: Signature, beyond: float) -> float:
        """The angle to the nearest signature in its radius, which is 1; infinite where none allows so much, or where the channel that
        is accused first was never accused then: a model that restores channels from each other smears the direction, not the blame."""
        if signature.chief and self.accused and signature.chief not in self.accused:
            return math.inf
        angle = np.arccos(np.minimum(self.direction @ np.array(signature.direction), 1.0))
        radius = RADIUS + NOISE * math.asin(signature.blur)
        allowed = ~self._surpassed(signature, beyond)
        return float(np.min(np.where(allowed, angle / radius, math.inf)))

    def surpassed_by(self, signature: Signature, beyond: float) -> bool:
        """Whether a window goes further than any of the signatures allows."""
        return bool(self._surpassed(signature, beyond).all())

    def _surpassed(self, signature: Signature, beyond: float) -> NDArray[np.bool_]:
        too_far = signature.ratio > beyond * self.ratio
        too_far |= (np.array(signature.high) > beyond * self.high + SHIFT_SLACK).any(axis=1)
        too_far |= (np.array(signature.low) < beyond * self.low - SHIFT_SLACK).any(axis=1)
        if self.magnitude is not None and signature.magnitude:
            too_far |= (np.array(signature.magnitude) > beyond * self.magnitude + MAGNITUDE_SLACK).any(axis=1)
        unseen = np.array([not seen.issuperset(signature.novel) for seen in self.novel], np.bool_)
        return np.logical_or(too_far, unseen)
