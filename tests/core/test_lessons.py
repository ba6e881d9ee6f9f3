"""What people taught: the like of a false alarm is withheld, within limits; a named one is recognised; the rest is heard."""

import math
from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest

from edge_ae.core.lesson_events import Lesson, Use, lesson_of
from edge_ae.core.lessons import (
    BEYOND,
    MAGNITUDE_SLACK,
    MOST_LESSONS,
    PATIENCE,
    Lessons,
    with_lesson,
)
from edge_ae.core.model_spec import Channel, Similar
from edge_ae.core.signatures import AlertSignatures, Signature
from edge_ae.core.suppression import WithheldBy
from edge_ae.core.timestamps import SECOND
from tests.models import spec_of

NAMES = ("flow", "pressure", "speed")
SPEC = spec_of(channels=tuple(map(Channel, NAMES)))
DAY_NS = 86_400 * SECOND


def looks(degrees: float = 0.0, **changes: Any) -> Signature:
    """In the plane of the first two channels."""
    direction = (math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.0)
    facts: dict[str, Any] = {
        "ratio": 2.0,
        "blur": 0.0,
        "magnitude": (5.0, 1.0, 1.0),
        "low": (0.0,) * 3,
        "high": (4.0, 0.0, 0.0),
    }
    return Signature(direction, **(facts | changes))


def lesson(identity: str = "a1", name: str = "", *signatures: Signature, **changes: Any) -> Lesson:
    of = AlertSignatures(SPEC.sha256, NAMES, signatures or (looks(),))
    return replace(Lesson(identity, not name, name, of, 20_000 * DAY_NS), **changes)


def taught(*lessons: Lesson) -> Lessons:
    known = Lessons(SPEC)
    known.set({one.id: one for one in lessons})
    return known


def withheld(known: Lessons, signature: Signature) -> bool:
    return known.recognise(signature, None).withheld is not None


def test_the_like_of_a_false_alarm_is_withheld_and_says_by_which_lesson() -> None:
    found = taught(lesson()).recognise(looks(10.0), None).withheld
    assert found is not None
    assert (found.by, found.source) == (WithheldBy.LESSON, "a1")
    assert found.text == "lesson: like the false alarm of 2024-10-04 00:00 UTC, a1"


@pytest.mark.parametrize(
    "other",
    [
        looks(25.0),
        looks(ratio=2.0 * BEYOND + 0.01),
        looks(magnitude=(5.0 * BEYOND + MAGNITUDE_SLACK + 0.1, 1.0, 1.0)),
        looks(magnitude=(5.0, 1.0, 1.0 * BEYOND + MAGNITUDE_SLACK + 0.1)),
        looks(high=(0.0,) * 3, low=(-5.0, 0.0, 0.0)),
        looks(novel=(("valve", 7.0),)),
    ],
    ids=["another direction", "rarer", "further", "another channel as well", "the other side", "a value never seen"],
)
def test_what_is_another_or_far_stronger_is_an_alert_all_the_same(other: Signature) -> None:
    assert withheld(taught(lesson()), looks())
    assert not withheld(taught(lesson()), other)


def test_what_blames_another_channel_is_no_like_of_it_however_the_model_smears_it() -> None:
    known = taught(lesson("a1", "", looks(chief="flow", accused=("flow", "speed"))))
    found = [withheld(known, looks(5.0, chief=chief)) for chief in ("flow", "speed", "pressure", "")]
    assert found == [True, True, False, True]


def test_what_noise_blurs_may_be_further_off() -> None:
    assert [withheld(taught(lesson()), looks(32.0, blur=blur)) for blur in (0.0, 0.5)] == [False, True]


def test_of_a_lesson_with_several_looks_each_has_its_own_limits() -> None:
    known = taught(lesson("a1", "", looks(0.0, ratio=1.2), looks(90.0, ratio=5.0, high=(0.0, 9.0, 0.0))))
    assert withheld(known, looks(90.0, ratio=5.0, high=(0.0, 9.0, 0.0)))
    assert not withheld(known, looks(0.0, ratio=5.0))


def test_an_alert_that_is_withheld_may_be_unlike_for_a_few_windows_and_then_it_is_announced() -> None:
    known = taught(lesson())
    against = known.recognise(looks(), None).withheld
    unlike = [known.recognise(looks(45.0), against).withheld for _ in range(PATIENCE)]
    assert [one is not None for one in unlike] == [True] * (PATIENCE - 1) + [False]
    known.recognise(looks(45.0), against)
    known.recognise(looks(), against)  # alike again: counted anew
    assert all(known.recognise(looks(45.0), against).withheld for _ in range(PATIENCE - 1))
    assert known.recognise(looks(ratio=9.0), against).withheld is None, "far stronger: at once"


def test_a_lesson_that_is_taken_back_withholds_nothing_of_the_present_alert_either() -> None:
    known = taught(lesson())
    against = known.recognise(looks(), None).withheld
    known.set({})
    assert known.recognise(looks(), against).withheld is None


def test_a_named_alert_is_recognised_with_how_often_and_when_last() -> None:
    known = taught(lesson("a1", "closing valve"), lesson("b2", "closing valve", raised_ns=20_010 * DAY_NS))
    found = known.recognise(looks(5.0, ratio=9.0), None)
    assert (found.withheld, found.similar and found.similar.mode) == (None, "closing valve")
    assert found.similar is not None
    assert (found.similar.count, found.similar.last_ns) == (2, 20_010 * DAY_NS)
    known.ended("c3", [found.similar.lesson], 20_020 * DAY_NS)
    known.ended("a1", ["a1"], 20_030 * DAY_NS)  # its own alert
    again = known.recognise(looks(), None).similar
    assert again == Similar("closing valve", 0.0, 3, 20_020 * DAY_NS, again.lesson if again else "")


def test_what_is_more_like_a_true_alarm_is_announced() -> None:
    true = lesson("b2", "", looks(20.0), false_alarm=False)
    assert [withheld(taught(lesson(), true), looks(degrees)) for degrees in (5.0, 9.0, 11.0, 15.0)] == [
        True,
        True,
        False,
        False,
    ]
    assert withheld(taught(lesson()), looks(15.0))


def test_a_lesson_is_over_at_its_time() -> None:
    known = taught(lesson(until_ns=10), lesson("b2", until_ns=20))
    known.expire(9)
    assert set(known.known) == {"a1", "b2"}
    known.expire(10)
    assert (set(known.known), known.withholds) == ({"b2"}, True)


def test_of_too_many_lessons_the_one_of_least_use_makes_room_of_those_the_oldest() -> None:
    lessons = {f"a{n}": lesson(f"a{n}", raised_ns=n) for n in range(MOST_LESSONS)}
    uses = {f"a{n}": Use(1, 5) for n in range(MOST_LESSONS) if n != 7 and n != 9}
    known, gone = with_lesson(lessons, lesson("new", raised_ns=1), uses)
    assert ([one.id for one in gone], len(known), "new" in known) == (["a7"], MOST_LESSONS, True)
    known, gone = with_lesson(lessons, lesson("a3", "named"), uses)
    assert (gone, known["a3"].name, len(known)) == ([], "named", MOST_LESSONS)


def test_lessons_of_another_model_are_compared_by_the_names_of_its_channels() -> None:
    other = spec_of(sha256="6" * 64, channels=tuple(map(Channel, ("speed", "new", "pressure", "flow"))))
    known = Lessons(other)
    known.set({"a1": lesson()})
    turned = Signature((0.0, 0.0, 0.1, 0.995), 2.0, 0.0, (1.0, 1.0, 1.0, 5.0), (0.0,) * 4, (0.0, 0.0, 0.0, 4.0))
    assert withheld(known, turned)
    assert not withheld(known, replace(turned, direction=(0.995, 0.0, 0.1, 0.0)))


def test_a_lesson_on_a_channel_that_the_model_has_not_waits_and_says_why() -> None:
    known = Lessons(spec_of(sha256="6" * 64, channels=(Channel("flow"), Channel("speed"))))
    known.set({"a1": lesson()})
    assert (
        known.withholds,
        known.recognise(Signature((1.0, 0.0), 2.0, 0.0, (), (0.0,) * 2, (0.0,) * 2), None).withheld,
    ) == (
        False,
        None,
    )
    assert known.listed[0].idle == "the model in use has no channel 'pressure'"


def test_what_is_kept_is_what_there_was() -> None:
    one = lesson("a1", "closing valve", looks(novel=(("valve", 7.0),)), looks(90.0), until_ns=7, reason="flow high")
    assert lesson_of(orjson.loads(orjson.dumps(asdict(one)))) == one
    known = taught(one)
    known.ended("b2", ["a1", ""], 5)
    again = taught(one)
    again.restore(orjson.loads(orjson.dumps(known.snapshot())))
    assert again.uses == {"a1": Use(1, 5)}


@pytest.mark.parametrize(
    "changes", [{"channels": ["flow"]}, {"signatures": []}], ids=["fewer channels", "no signature"]
)
def test_a_lesson_of_another_shape_is_refused(changes: dict[str, Any]) -> None:
    saved = asdict(lesson())
    saved["looks"] |= changes
    with pytest.raises(ValueError, match="not as long as"):
        lesson_of(saved)
