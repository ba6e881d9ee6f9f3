"""What another budget would have raised, as far as one number an hour can tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.detector import Detector, Watch
from edge_ae.core.model_spec import Tail
from edge_ae.core.peak_hours import PeakHour
from edge_ae.core.rules import AlertRules, budget_ns, budget_text
from edge_ae.core.timestamps import HOUR
from edge_ae.core.what_if import BUDGETS, runs, what_if
from tests.models import FakeModel

WEEK_NS = budget_ns("1/week")
TAIL = Tail(level=1.0, scale=0.3, shape=0.1, rate=0.01)


def pump(budget: str = "1/week") -> Detector:
    return Detector("n1", "p1", Watch(FakeModel(tail=TAIL), AlertRules(budget_ns(budget))))


def peaks(*ratios: float) -> list[PeakHour]:
    """One hour after another; None is not possible, so an hour without a score is left out by hand."""
    return [PeakHour(hour, ratio, WEEK_NS) for hour, ratio in enumerate(ratios)]


def test_hours_are_beyond_the_boundary_of_the_budget_in_force_where_a_score_was() -> None:
    found = what_if(pump(), peaks(0.2, 0.999, 1.0, 3.0))
    assert [level >= found.boundary for _, level in found.hours] == [False, False, True, True]
    assert [t_ns for t_ns, _ in found.hours] == [0, HOUR, 2 * HOUR, 3 * HOUR]
    assert (found.budget, found.boundary) == ("1/week", pump().threshold)


@pytest.mark.parametrize("budget", BUDGETS)
def test_boundary_of_a_budget_is_the_one_that_the_command_would_set(budget: str) -> None:
    found = next(one for one in what_if(pump(), []).budgets if one.budget == budget)
    other = pump()
    other.set_budget(budget)
    assert found.boundary == other.threshold


def test_neighbouring_hours_are_one_alert_and_a_missing_hour_parts_them() -> None:
    assert runs([(0, 2.0), (1, 3.0), (2, 0.5), (3, 2.0), (5, 2.0)], 1.0) == 3


def test_hour_held_against_another_budget_counts_by_what_that_meant() -> None:
    """A ratio of 1 by one alert a day is far from an alert by one a year."""
    found = what_if(pump(), [PeakHour(0, 1.0, budget_ns("1/day"))])
    assert {one.budget: one.alerts for one in found.budgets} == {
        "1/year": 0, "3/year": 0, "1/month": 0, "2/month": 0, "1/week": 0, "2/week": 0, "1/day": 1, "2/day": 1, "4/day": 1,
    }  # fmt: skip


@given(st.lists(st.floats(0.0, 10.0), max_size=100))
def test_a_stricter_budget_never_has_more_alerts_nor_a_lower_boundary(ratios: list[float]) -> None:
    budgets = what_if(pump(), peaks(*ratios)).budgets
    assert [one.alerts for one in budgets] == sorted(one.alerts for one in budgets)
    assert [one.boundary for one in budgets] == sorted((one.boundary for one in budgets), reverse=True)


def test_two_excursions_that_a_low_boundary_joins_stay_two() -> None:
    budgets = {one.budget: one for one in what_if(pump(), peaks(2.0, 0.95, 2.0)).budgets}
    assert (budgets["1/week"].alerts, budgets["4/day"].alerts) == (2, 2)


@pytest.mark.parametrize("text", [*BUDGETS, "1/hour", "2.5/week", "30/hour", "0.5/year"])
def test_budget_is_written_as_people_say_it(text: str) -> None:
    assert budget_text(budget_ns(text)) == text
