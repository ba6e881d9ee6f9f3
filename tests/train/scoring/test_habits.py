"""What discrete channels do, and what of it that they never did is odd."""

import numpy as np
import pytest
from edge_ae_train.scoring.habits import LEAST_OCCASIONS, fit_habits, vocabulary
from edge_ae_train.scoring.oddness import HabitOddness

from edge_ae.core.model_spec import Floats

LENGTH = 16
ANOTHER_VALUE, TOGETHER, LONGER, BUSIER = range(HabitOddness.KINDS)


def plant(rows: int = 600) -> Floats:
    """A temperature; a pump that is on for six rows of twelve, and a valve that is open while the pump is off; a door that
    was opened once."""
    on = np.arange(rows) % 12 < 6
    door = np.arange(rows) > rows // 2
    return np.column_stack([np.sin(np.arange(rows)), on, ~on, door]).astype(np.float32)


def oddness(window: Floats, channels: tuple[int, ...] = (1, 2, 3)) -> Floats:
    """[kind, channel] of a window, to who has seen the plant."""
    known = vocabulary([plant()], channels)
    part = HabitOddness(fit_habits(known, [plant()], LENGTH), LENGTH)
    found: Floats = part(window[None])[:, 0]
    return found


def test_what_was_seen_in_training_is_not_odd() -> None:
    for first in (0, 5, 290, 400):
        assert not oddness(plant()[first : first + LENGTH]).any()


def test_a_value_never_seen_is_as_odd_as_its_channel_changed_often() -> None:
    window = plant()[:LENGTH]
    window[-2:, 1] = 4.0
    found = oddness(window)
    assert found[ANOTHER_VALUE, 0] == pytest.approx(np.log1p(100))
    assert not found[ANOTHER_VALUE, 1:].any()


def test_a_value_between_two_others_for_one_row_is_a_mean_of_both() -> None:
    window = plant()[:LENGTH]
    window[-1, 1] = 0.5
    assert not oddness(window)[ANOTHER_VALUE].any()


def test_a_channel_that_changed_too_seldom_to_tell_may_take_another_value() -> None:
    window = plant()[:LENGTH]
    window[-2:, 3] = 4.0
    assert LEAST_OCCASIONS > 2
    assert not oddness(window)[ANOTHER_VALUE].any()


def test_two_values_that_never_came_together_accuse_both_channels() -> None:
    window = plant()[:LENGTH]
    window[-1, 1:3] = 1.0
    found = oddness(window)
    assert found[TOGETHER, 0] == found[TOGETHER, 1] > 0.0
    assert found[TOGETHER, 2] == 0.0


def test_a_stay_half_longer_than_ever_is_odd_and_a_little_longer_is_not() -> None:
    window = plant()[:LENGTH]
    window[:, 1:3] = (1.0, 0.0)
    window[: LENGTH - 8, 1:3] = (0.0, 1.0)
    assert not oddness(window)[LONGER].any()
    window[LENGTH - 12 :, 1:3] = (1.0, 0.0)
    assert oddness(window)[LONGER, :2].tolist() == pytest.approx([np.log1p(50)] * 2)


def test_more_switches_in_a_window_than_ever_are_odd() -> None:
    window = plant()[:LENGTH]
    window[:, 3] = np.arange(LENGTH) % 2
    found = oddness(window)
    assert found[BUSIER].tolist() == pytest.approx([0.0, 0.0, np.log1p(600 / LENGTH)])


def test_what_is_missing_is_not_odd() -> None:
    window = plant()[:LENGTH]
    window[-4:, 1:] = np.nan
    assert not oddness(window).any()


def test_oddness_does_not_depend_on_the_unit_of_a_channel() -> None:
    small = plant() * np.float32(1e-3) + np.float32(7.0)
    known = vocabulary([small], (1, 2, 3))
    part = HabitOddness(fit_habits(known, [small], LENGTH), LENGTH)
    window = small[:LENGTH].copy()
    window[-1, 1:3] = small[:, 1].max()
    found = part(window[None])[:, 0]
    assert found[TOGETHER, 0] > 0.0
    assert not part(small[None, :LENGTH]).any()


def test_habits_of_two_recordings_know_nothing_of_what_lies_between_them() -> None:
    rows = plant(24)
    apart = fit_habits(vocabulary([rows], (1,)), [rows[:3], rows[3:6]], LENGTH)
    joined = fit_habits(vocabulary([rows], (1,)), [rows[:6]], LENGTH)
    assert (apart.longest.max(), joined.longest.max()) == (3.0, 6.0)
