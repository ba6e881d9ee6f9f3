"""The nouns: frozen, and true to their formulas."""

import dataclasses
import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core import alert_events, events, health_events, model_spec
from edge_ae.core.events import Share
from edge_ae.core.model_spec import Channel, Modes, Similar, Tail
from tests.models import spec_of


def test_all_data_is_frozen() -> None:
    classes = [
        c
        for m in (events, alert_events, health_events, model_spec)
        for _, c in inspect.getmembers(m, dataclasses.is_dataclass)
        if inspect.isclass(c)
    ]
    assert len(classes) >= 8
    assert [c.__name__ for c in classes if not c.__dataclass_params__.frozen] == []  # type: ignore[attr-defined]


def test_at_the_rate_of_its_clusters_the_boundary_is_the_level() -> None:
    assert Tail(2.0, 0.5, 0.2, 0.01).boundary(0.01) == 2.0
    assert Tail(2.0, 0.5, 0.0, 0.01).boundary(0.01) == 2.0


@given(per_window=st.floats(0.01, 1e3), shape=st.floats(-0.3, 0.5))
def test_no_budget_is_so_large_that_the_boundary_is_below_the_level(per_window: float, shape: float) -> None:
    assert Tail(2.0, 0.5, shape, 0.01).boundary(per_window) == 2.0


def test_the_boundary_is_exceeded_as_often_as_asked() -> None:
    tail = Tail(2.0, 0.5, 0.2, 0.05)
    boundary = tail.boundary(0.001)
    survival = (1 + tail.shape * (boundary - tail.level) / tail.scale) ** (-1 / tail.shape)
    assert math.isclose(tail.rate * survival, 0.001)


@given(st.floats(1e-6, 1e-2), st.sampled_from([-0.1, 0.0, 0.3]))
def test_how_often_a_boundary_is_exceeded_is_the_budget_that_it_was_made_for(per_window: float, shape: float) -> None:
    tail = Tail(2.0, 0.5, shape, 0.05)
    assert math.isclose(tail.exceeded(tail.boundary(per_window)), per_window, rel_tol=1e-6)


def test_no_budget_puts_the_boundary_beyond_gross_faults() -> None:
    tail = Tail(2.0, 0.5, 0.2, 0.05, gross=3.0)
    assert [tail.boundary(per_window) for per_window in (0.05, 1e-6)] == [2.0, 3.0]
    assert tail.extrapolated(1e-6) > 3.0


@given(shape=st.floats(-0.5, 0.5), per_window=st.floats(1e-9, 0.05))
def test_an_exponential_tail_is_the_limit_of_the_pareto_tail(shape: float, per_window: float) -> None:
    near = Tail(1.0, 0.3, shape * 1e-4, 0.05).boundary(per_window)
    assert math.isclose(near, Tail(1.0, 0.3, 0.0, 0.05).boundary(per_window), rel_tol=0.01)


@given(per_window=st.lists(st.floats(1e-12, 1), min_size=2, max_size=5), shape=st.floats(-0.4, 0.5))
def test_fewer_alerts_are_a_higher_boundary(per_window: list[float], shape: float) -> None:
    tail = Tail(1.0, 0.3, shape, 0.05)
    boundaries = [tail.boundary(p) for p in sorted(per_window)]
    assert boundaries == sorted(boundaries, reverse=True)


@pytest.mark.parametrize(
    ("observed", "expected", "word"),
    [(2.0, 1.0, "high"), (1.0, 2.0, "low"), (1.0, 1.0, "none"), (math.nan, 1.0, "none")],
)
def test_a_share_says_on_which_side_the_channel_is(observed: float, expected: float, word: str) -> None:
    assert Share("flow", "m3/h", 1.0, observed, expected).direction == word


MODES = Modes(spread=(1.0, 10.0), centres=((0.0, 0.0), (4.0, 3.0)), radii=(2.0, 0.5))


def test_a_window_is_like_the_mode_whose_centre_is_nearest_and_so_many_radii_away() -> None:
    assert MODES.similar((0.0, 10.0)) == Similar("mode 1", 0.5)
    assert MODES.similar((4.0, 20.0)) == Similar("mode 2", 2.0)


@pytest.mark.parametrize("nothing", [math.nan, math.inf])
def test_a_window_without_a_place_is_like_no_mode(nothing: float) -> None:
    assert MODES.similar((0.0, nothing)) is None


def test_a_channel_that_nothing_is_known_of_may_take_any_value() -> None:
    assert (Channel("a").low, Channel("a").high) == (-np.inf, np.inf)


def test_a_model_names_its_channels_in_its_own_order() -> None:
    assert spec_of(channels=(Channel("b"), Channel("a"))).names == ("b", "a")
