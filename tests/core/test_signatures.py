"""What a window looks like: a direction that hardly depends on its size, and how far it went to either side."""

import math
from typing import Any

import numpy as np
import orjson
import pytest

from edge_ae.core.events import Share
from edge_ae.core.model_spec import Channel, Explanation
from edge_ae.core.signatures import MOST_SIGNATURES, NO_COURSE, Signature, course_of, signature_of
from tests.models import LENGTH, spec_of

CHANNELS = (Channel("flow", "m3/h", deviation=0.5), Channel("pressure", "bar", deviation=0.1))

NOWHERE = np.zeros(1, np.float32)


def looks(parts: tuple[float, float] = (3.0, 1.0), off: float = 1.0, **facts: Any) -> Signature:
    spec = spec_of(channels=CHANNELS)
    window = np.full((LENGTH, 2), 5.0, np.float32)
    expected = window - np.array([off, 0.0], np.float32)
    explanation = Explanation(np.array(parts, np.float32), expected, NOWHERE, np.array([4.0, 1.0], np.float32), (0,))
    found = signature_of(spec, window, explanation, 2.0, facts.get("shares", ()))
    assert found is not None
    return found


def test_a_direction_has_length_one_and_says_nothing_of_the_size() -> None:
    assert looks().direction == looks((30.0, 10.0)).direction == (0.866, 0.5)
    assert looks().angle_to(looks((0.0, 2.0))) == pytest.approx(math.radians(60.0), abs=2e-3)


def test_a_shift_is_in_normal_deviations_and_has_a_side() -> None:
    assert (looks(off=1.0).high, looks(off=1.0).low) == ((2.0, 0.0), (0.0, 0.0))
    assert (looks(off=-1.5).high, looks(off=-1.5).low) == ((0.0, 0.0), (-3.0, 0.0))


def test_the_shift_is_from_what_the_graph_itself_expected() -> None:
    spec, window = spec_of(channels=CHANNELS), np.full((LENGTH, 2), 5.0, np.float32)
    own, others = window - 1.0, window - 4.0
    explanation = Explanation(np.ones(2, np.float32), others, NOWHERE, restored=own)
    found = signature_of(spec, window, explanation, 2.0, ())
    assert found is not None
    assert (found.high, found.magnitude) == ((2.0, 10.0), ())


def test_missing_values_and_parts_that_are_no_number_break_nothing() -> None:
    spec, window = spec_of(channels=CHANNELS), np.full((LENGTH, 2), np.nan, np.float32)
    found = signature_of(
        spec, window, Explanation(np.array([np.inf, np.nan], np.float32), window, NOWHERE), math.inf, ()
    )
    assert found is not None
    assert (found.direction, found.high) == ((1.0, 0.0), (0.0, 0.0))
    assert signature_of(spec, window, Explanation(np.zeros(2, np.float32), window, NOWHERE), 1.0, ()) is None


def test_values_that_training_never_saw_are_part_of_it() -> None:
    spec = spec_of(channels=(Channel("valve", values=(0.0, 1.0)), Channel("mode", values=(0.0, 1.0))))
    window = np.ones((LENGTH, 2), np.float32)
    explanation = Explanation(np.ones(2, np.float32), window, window[0])
    valve, mode = Share("valve", "", 0.9, 7.0, 1.0, accused=True), Share("mode", "", 0.1, 1.0, 0.0, accused=True)
    found = signature_of(spec, window, explanation, 2.0, (valve, mode))
    assert found is not None
    assert found.novel == (("valve", 7.0),)


def test_windows_in_one_direction_share_a_signature_that_has_the_furthest_of_both() -> None:
    course = NO_COURSE.further(2.0, looks()).further(1.5, None).further(3.0, looks((3.1, 1.0), off=-2.0))
    (joined,) = course.signatures
    assert (joined.chief, joined.accused) == ("flow", ("flow",))
    assert (joined.direction, joined.low, joined.high) == (looks().direction, (-4.0, 0.0), (2.0, 0.0))
    assert (course.windows, course.looked, course.ratio) == (3, 3, 3.0)


def test_an_alert_has_a_few_signatures_and_no_more() -> None:
    course = NO_COURSE
    for angle in np.linspace(0.0, 90.0, 50):
        parts = (math.cos(math.radians(angle)) ** 2 + 1e-9, math.sin(math.radians(angle)) ** 2)
        course = course.further(2.0, looks(parts))
    assert 4 <= len(course.signatures) <= MOST_SIGNATURES
    assert course_of(orjson.loads(orjson.dumps(course))) == course
