"""Feedback of people -> what the next training is told, and what is in force at once: lessons.

    feedback ─► the store: feedback and lessons, in one transaction ─► the detector ─► the answer

A lesson is on disk before it is in force, and both before the answer: who was told that it is kept finds it after any crash.
A command that is delivered once more teaches nothing twice, for a lesson has the id of its alert.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from edge_ae.core.alert_events import AlertStep
from edge_ae.core.alert_state import Cause
from edge_ae.core.commands import FALSE_ALARM, GiveFeedback
from edge_ae.core.detector import Detector
from edge_ae.core.lesson_events import Lesson
from edge_ae.core.lessons import MOST_LESSONS, with_lesson
from edge_ae.core.signatures import AlertSignatures
from edge_ae.core.timestamps import minute_text, parse_time_ns
from edge_ae.errors import BadPayload
from edge_ae.store.node_store import Feedback, NodeStore

log = logging.getLogger(__name__)

KEPT = "kept for the next training"


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """What came of a command: steps of the alert, and a sentence for whoever gave it, where there is more to say than that it was done."""

    steps: Sequence[AlertStep] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class _TaughtOf:
    """An alert that feedback is on. `looks` None: nothing can be learned at once, and `why` not, as a clause."""

    id: str
    raised_ns: int
    reason: str
    looks: AlertSignatures | None
    why: str = ""


class Teaching:
    """Of all assets of a node; `store` has what they had before."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def take(self, feedback: GiveFeedback, detector: Detector, now_ns: int) -> CarriedOut:
        """`now_ns`: the wall's time. Raises BadPayload with a sentence."""
        self._check_durable()
        of = self._alert(feedback.id, detector)
        if feedback.until_ns is not None and feedback.until_ns <= detector.t_ns:
            raise BadPayload("bad_command", f"until is over already: the asset's time is {minute_text(detector.t_ns)}")
        lesson = _lesson(feedback, of)
        known: dict[str, Lesson] = _without(detector.lessons.known, of.id)
        gone: list[Lesson] = []
        if lesson is not None:
            known, gone = with_lesson(known, lesson, detector.lessons.uses)
        said = Feedback(now_ns, detector.asset, of.id, feedback.label, feedback.note, feedback.name)
        self._check_kept(self._store.add_feedback(said, known))
        steps = [*detector.set_lessons(known)]
        if lesson is not None and lesson.false_alarm:
            steps += detector.dismiss(of.id)
        idle = None if lesson is None else detector.lessons.idle(lesson)
        return CarriedOut(steps, "; ".join([*_notes(feedback, of, lesson, idle), *_room(gone)]))

    def unlearn(self, identity: str, detector: Detector) -> CarriedOut:
        """Raises BadPayload with a sentence for an unknown lesson."""
        self._check_durable()
        known = detector.lessons.known
        if identity not in known:
            there = ", ".join(known) or "none"
            raise BadPayload("bad_command", f"{detector.asset} has no lesson {identity!r}; there are {there[:400]}")
        left = _without(known, identity)
        self._check_kept(self._store.keep_lessons(detector.asset, left))
        log.info("%s: the lesson %s is taken back", detector.asset, identity)
        return CarriedOut(detector.set_lessons(left))

    def lessons_of(self, asset: str) -> Mapping[str, Lesson]:
        """What an asset has been taught, as it is on disk."""
        return self._store.lessons.of(asset)

    def _alert(self, identity: str | None, detector: Detector) -> _TaughtOf:
        """The one that is named, else the present one, else the newest."""
        episode = detector.alert.episode
        newest = self._store.newest_alert(detector.asset) if episode is None else episode.id
        wanted = newest if identity is None else identity
        if wanted is None:
            raise BadPayload("bad_command", f"{detector.asset} has had no alert to give feedback on")
        if episode is not None and episode.id == wanted:
            reason = detector.alert_now().reason or ""
            why = "" if episode.condition is None else _not_by_score(episode.condition.cause)
            return _TaughtOf(wanted, episode.raised_ns, reason, None if why else detector.present_signatures, why)
        body = self._store.alert_body(wanted)
        if body is None:
            raise BadPayload("bad_command", f"no alert {wanted!r} of {detector.asset} is remembered")
        return self._past(wanted, orjson.loads(body), detector.asset)

    def _past(self, identity: str, body: Mapping[str, Any], asset: str) -> _TaughtOf:
        if body.get("asset", asset) != asset:
            raise BadPayload("bad_command", f"the alert {identity} is of {body['asset']}, not of {asset}")
        cause, raised = body.get("cause", Cause.SCORE), body.get("ts_raised")
        raised_ns = 0 if raised is None else parse_time_ns(raised)
        why = "" if cause == Cause.SCORE else _not_by_score(cause)
        looks = None if why else self._store.lessons.looks_of(identity)
        return _TaughtOf(identity, raised_ns, str(body.get("reason") or ""), looks, why)

    def _check_durable(self) -> None:
        if not self._store.durable:
            raise BadPayload("bad_command", "feedback cannot be kept, for state.checkpoint_s is 0")

    def _check_kept(self, kept: bool) -> None:
        if not kept:
            raise BadPayload("bad_command", f"feedback cannot be kept: {self._store.fault}")


def _not_by_score(cause: str) -> str:
    return f"its cause is {cause}, which no lesson withholds"


def _without(known: Mapping[str, Lesson], identity: str) -> dict[str, Lesson]:
    return {one.id: one for one in known.values() if one.id != identity}


def _lesson(feedback: GiveFeedback, of: _TaughtOf) -> Lesson | None:
    """None: one of whose looks nothing is known."""
    if of.looks is None:
        return None
    false_alarm = feedback.label == FALSE_ALARM
    return Lesson(of.id, false_alarm, feedback.name, of.looks, of.raised_ns, feedback.until_ns, of.reason)


def _notes(feedback: GiveFeedback, of: _TaughtOf, lesson: Lesson | None, idle: str | None) -> list[str]:
    if lesson is None:
        wanted = feedback.label == FALSE_ALARM or bool(feedback.name)
        return [f"{KEPT} alone: {of.why or 'what it looked like is not remembered'}" if wanted else KEPT]
    if idle is not None:
        return [KEPT, f"the lesson says nothing now: {idle}"]
    if not lesson.false_alarm:
        return [KEPT, *([f"later alerts that look like it say: similar to {lesson.name}"] if lesson.name else [])]
    until = "" if lesson.until_ns is None else f" until {minute_text(lesson.until_ns)}"
    return [KEPT, f"what looks like it is withheld{until}", f"unlearn with the id {of.id} takes that back"]


def _room(gone: Sequence[Lesson]) -> list[str]:
    return [f"the lesson {one.id} made room, for an asset has {MOST_LESSONS} at most" for one in gone]
