"""What the time of day does to a model's channels, and a model as it sees windows of one time."""

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from edge_ae.core.model_spec import Channel, Explanation, Floats, ModelSpec
from edge_ae.core.season import DAY_WAVES, WEEK_WAVES, DayCourse, ModelAtSlot, day_course, is_weekend, local_ns, waves
from edge_ae.core.timestamps import HOUR, MINUTE, parse_time_ns
from tests.models import spec_of

BERLIN = ZoneInfo("Europe/Berlin")
SPEC = spec_of()


def slot(text: str, period_ns: int = MINUTE) -> int:
    return parse_time_ns(text) // period_ns


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-03-28T11:00:00Z", "2026-03-29T10:00:00Z"),  # clocks go forward
        ("2026-10-24T10:00:00Z", "2026-10-25T11:00:00Z"),  # and back
    ],
)
def test_noon_is_noon_before_and_after_clocks_change(before: str, after: str) -> None:
    first, second = (waves(np.array([slot(text)]), MINUTE, BERLIN) for text in (before, after))
    assert first == pytest.approx(second, abs=1e-9)
    assert first[0, 0] == pytest.approx(np.sin(np.pi), abs=1e-9)  # half a turn


def test_the_hour_that_a_clock_leaves_out_is_left_out() -> None:
    hours = local_ns(slot("2026-03-29T00:00:00Z") + 60 * np.arange(3), MINUTE, BERLIN) // HOUR % 24
    assert hours.tolist() == [1, 3, 4]


def test_a_time_before_the_epoch_has_its_place_in_the_day() -> None:
    early, late = (  # both on a Wednesday
        waves(np.array([slot(text)]), MINUTE, BERLIN) for text in ("1969-12-31T05:00:00Z", "2025-12-31T05:00:00Z")
    )
    assert early == pytest.approx(late, abs=1e-9)


def test_a_day_comes_round_to_its_beginning_and_a_channel_without_a_season_stays() -> None:
    course = DayCourse([[1.0] + [0.0] * (DAY_WAVES - 1), []], BERLIN, HOUR)
    day = course.of(slot("2026-01-05T00:00:00Z", HOUR), 25)
    assert day[24] == pytest.approx(day[0], abs=1e-6)
    assert day[:, 1].tolist() == [0.0] * 25
    assert day[5, 0] == pytest.approx(1.0)  # at 6 o'clock in Berlin a quarter of a turn is done


@pytest.mark.parametrize(
    ("text", "weekend"),
    [
        ("2026-01-02T22:59:00Z", False),  # a Friday, a minute before midnight in Berlin
        ("2026-01-02T23:00:00Z", True),
        ("2026-01-04T22:59:00Z", True),
        ("2026-01-04T23:00:00Z", False),
        ("1969-12-28T12:00:00Z", True),
        ("1969-12-29T12:00:00Z", False),
    ],
)
def test_a_weekend_is_from_midnight_to_midnight_by_the_clock_of_the_zone(text: str, weekend: bool) -> None:
    assert is_weekend(local_ns(np.array([slot(text)]), MINUTE, BERLIN)).tolist() == [weekend]


def test_at_weekends_a_channel_has_a_course_of_its_own_beside_one_that_has_the_days_alone() -> None:
    weights = [*[0.0] * DAY_WAVES, -3.0, 2.0, *[0.0] * (WEEK_WAVES - DAY_WAVES - 2)]
    course = DayCourse([weights, [1.0] + [0.0] * (DAY_WAVES - 1)], BERLIN, HOUR)
    friday, saturday = (course.of(slot(f"2026-01-0{day}T05:00:00Z", HOUR), 1)[0] for day in (2, 3))  # at 6 o'clock
    assert friday == pytest.approx([0.0, 1.0])
    assert saturday == pytest.approx([-3.0 + 2.0, 1.0])


def test_rows_of_a_window_are_what_they_are_in_a_longer_stretch() -> None:
    course = DayCourse([np.linspace(-1.0, 1.0, DAY_WAVES).tolist()], BERLIN, MINUTE)
    first = slot("2026-03-28T23:30:00Z")
    assert course.of(first, 300)[100:116] == pytest.approx(course.of(first + 100, 16), abs=1e-6)


class Mirror:
    """Scores the mean of a window, and expects half of what it is given."""

    spec: ModelSpec = SPEC

    def score(self, windows: Floats) -> Floats:
        return np.asarray(windows.mean(axis=(1, 2)))

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        return [Explanation(window.sum(axis=0), 0.5 * window, window[0]) for window in windows]


def test_a_model_at_a_slot_scores_what_is_left_and_expects_values_as_they_come() -> None:
    course, window = np.full((4, 2), 10.0, np.float32), np.full((1, 4, 2), 12.0, np.float32)
    model = ModelAtSlot(Mirror(), course)
    assert model.spec is SPEC
    assert model.score(window).tolist() == [2.0]
    (explanation,) = model.explain(window)
    assert explanation.channel_score.tolist() == [8.0, 8.0]
    assert explanation.reconstruction.tolist() == [[11.0, 11.0]] * 4
    assert explanation.restored is None


def test_a_missing_value_stays_missing() -> None:
    window = np.array([[[np.nan], [1.0]]], np.float32)
    (explanation,) = ModelAtSlot(Mirror(), np.ones((2, 1), np.float32)).explain(window)
    assert np.isnan(explanation.reconstruction[:, 0]).tolist() == [True, False]


def test_a_model_whose_channels_have_no_season_has_no_course() -> None:
    assert day_course(SPEC) is None
    channels = (replace(SPEC.channels[0], season=(1.0,) * DAY_WAVES), *SPEC.channels[1:])
    assert day_course(replace(SPEC, channels=channels, zone="Europe/Berlin")) is not None
    assert Channel("flow").season == ()
