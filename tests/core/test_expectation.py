"""What is expected of a window's channels does not bend towards its fault."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge_ae.core.description import reason
from edge_ae.core.expectation import NEVER_SEEN, SUSPECTS, UNUSUAL, expected_by_others, magnitude_of, shares_of
from edge_ae.core.model_spec import Channel, Explanation, Floats, Kind
from tests.models import LENGTH, FakeModel, spec_of

THRESHOLD = 1.0
CHANNELS = tuple(Channel(name, "", 0.0, 1.0, 0.1) for name in "abcd")


class Mean(FakeModel):
    """Of every channel the mean of those that are there is expected; a channel's part is how far it is from 0."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = spec_of(channels=CHANNELS)

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        self.explained += len(windows)
        return [explanation_of(window) for window in windows]


def explanation_of(window: Floats) -> Explanation:
    expected = np.broadcast_to(np.nan_to_num(np.nanmean(window, axis=1, keepdims=True)), window.shape)
    return Explanation(np.abs(np.nan_to_num(window[-1])), expected, window[-1])


def window_of(*newest: float) -> Floats:
    return np.tile(np.array(newest, np.float32), (LENGTH, 1))


def expected(*newest: float) -> tuple[list[float], int]:
    """What is expected at the newest row, and for how many windows the model was asked."""
    model, window = Mean(), window_of(*newest)
    found = expected_by_others(model, window, explanation_of(window), THRESHOLD)
    return found.reconstruction[-1].tolist(), model.explained


def test_the_wrong_channel_has_no_part_in_what_is_expected_of_the_others() -> None:
    assert expected(0.0, 8.0, 0.0, 0.0) == ([0.0] * 4, SUSPECTS)


class Misled(Mean):
    """Where channel 1 is there, what is expected of channel 2 follows it, so that its part is the larger one."""

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        self.explained += len(windows)
        return [misled(window) for window in windows]


def misled(window: Floats) -> Explanation:
    leads = np.nan_to_num(window[-1, 1])
    parts = np.array([0.0, leads, 1.2 * leads, 0.0]) * ~np.isnan(window[-1])
    return Explanation(parts, np.full(window.shape, 1.2 * leads), window[-1])


def test_the_channel_without_which_least_is_left_is_accused_and_not_the_one_it_misleads() -> None:
    window = window_of(0.0, 8.0, 0.0, 0.0)
    found = expected_by_others(Misled(), window, misled(window), THRESHOLD)
    assert (found.accused, found.reconstruction[-1].tolist()) == ((1,), [0.0] * 4)


def test_as_many_channels_are_masked_as_it_takes() -> None:
    assert expected(0.0, 8.0, -4.0, 0.0) == ([0.0] * 4, 2 * SUSPECTS)


def test_where_most_channels_are_elsewhere_none_is_accused() -> None:
    assert expected(8.0, 8.0, 8.0, 0.0) == ([6.0] * 4, 2 * SUSPECTS)


def test_a_window_within_its_threshold_is_expected_as_the_model_restores_it() -> None:
    assert expected(0.5, 0.25, 0.25, 0.0) == ([0.25] * 4, 0)


def test_the_window_and_the_parts_of_its_score_stay_as_they_were() -> None:
    window = window_of(0.0, 8.0, 0.0, 0.0)
    before, explanation = window.copy(), explanation_of(window)
    found = expected_by_others(Mean(), window, explanation, THRESHOLD)
    np.testing.assert_array_equal(window, before)
    assert found.channel_score is explanation.channel_score
    assert found.latent is explanation.latent


def test_of_a_discrete_channel_one_of_its_values_is_expected_and_what_is_unusual_is_said() -> None:
    spec = spec_of(channels=(Channel("mode", kind=Kind.DISCRETE, values=(0.0, 1.0, 3.0)), Channel("flow")))
    seen, strange = (
        shares_of(
            spec,
            window_of(mode, 2.0),
            Explanation(np.array([3.0, 1.0], np.float32), window_of(0.8, 2.5), np.zeros(1, np.float32)),
        )
        for mode in (3.0, 4.0)
    )
    assert [(share.expected, share.unusual) for share in seen] == [(1.0, UNUSUAL), (2.5, "")]
    assert [(share.expected, share.unusual) for share in strange] == [(1.0, NEVER_SEEN), (2.5, "")]
    assert reason(strange) == ("mode 4, a value never seen (75 % of the deviation); flow 2, expected 2.5 (low, 25 %)")


def test_the_magnitude_is_that_of_the_accused_channel_that_is_furthest() -> None:
    far, window = np.array([9.0, 4.0, 2.0, 0.0], np.float32), window_of(0.0, 8.0, -4.0, 0.0)
    accused = expected_by_others(Mean(), window, replace(explanation_of(window), magnitude=far), THRESHOLD)
    assert magnitude_of(accused) == 4.0
    assert magnitude_of(replace(accused, accused=())) == 9.0


def test_a_model_that_knows_no_magnitude_has_none_nor_has_a_discrete_channel() -> None:
    known = explanation_of(window_of(0.0, 8.0, 0.0, 0.0))
    assert magnitude_of(known) is None
    assert magnitude_of(replace(known, magnitude=np.array([3.0, 0.0, 1.0, 0.0], np.float32), accused=(1,))) is None
