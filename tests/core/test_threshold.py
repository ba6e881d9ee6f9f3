"""Judge, then learn: what the boundary learns, what it never does, and how far it may go."""

import math
from collections.abc import Sequence

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.events import Verdict
from edge_ae.core.model_spec import Tail
from edge_ae.core.threshold import (
    DRIFT_LIMIT,
    EARLY_STEPS,
    FAULT_RATIO,
    LASTING,
    LIFT_LIMIT,
    MEMORY_WINDOWS,
    RECENT_WINDOWS,
    SPENDING_HEIGHT,
    SPENDING_LIMIT,
    SPENDING_STEP,
    Threshold,
    costs_budget,
)
from tests.models import spec_of

BUDGET = 0.01  # alerts a window: with the tail of `spec_of` the boundary is 1
TYPICAL = 0.2

scores = st.lists(st.one_of(st.floats(0, 3), st.floats(0, 3e38)), max_size=60)


def threshold(budget: float = BUDGET) -> Threshold:
    return Threshold(spec_of(typical=TYPICAL), budget)


def walk(one: Threshold, stream: Sequence[float]) -> list[Verdict]:
    """An alert lasts as long as the boundary is passed: no off-delay, no deadband."""
    verdicts = []
    for slot, score in enumerate(stream):
        verdicts.append(one.judge(slot, score))
        one.learn(verdicts[-1], active=verdicts[-1].ratio >= 1.0)
    return verdicts


def test_the_boundary_is_the_tail_at_the_budget() -> None:
    assert threshold().value == 1.0
    assert threshold(BUDGET / 10).value == 1.0 + 0.1 * math.log(10)


def test_a_smaller_budget_is_a_higher_boundary() -> None:
    found = [Threshold(spec_of(tail=Tail(1.0, 0.2, 0.3, 0.05)), b).value for b in (1e-2, 1e-3, 1e-4, 1e-6)]
    assert found == sorted(found)
    assert len(set(found)) == 4


def test_gross_faults_keep_the_boundary_low_until_alerts_have_shown_that_what_passes_is_normal() -> None:
    one, free = (Threshold(spec_of(tail=Tail(1.0, 0.2, 0.3, 0.05, gross)), 1e-6) for gross in (1.5, math.inf))
    assert one.value == 1.5
    for _ in range(3):
        walk(one, [1.01 * one.value, 0.0])
    assert 1.5 < one.value < free.value
    walk(one, [0.0] * 100)
    assert one.value > 1.5


def test_a_verdict_is_the_score_over_the_boundary() -> None:
    assert threshold().judge(7, 0.5) == Verdict(7, 0.5, 1.0, 0.5)


def test_a_score_of_zero_is_a_score() -> None:
    one = threshold()
    assert [verdict.ratio for verdict in walk(one, [0.0, 0.0])] == [0.0, 0.0]
    assert one.value >= 1.0


def test_judging_teaches_nothing() -> None:
    one = threshold()
    before = one.snapshot()
    for score in (0.0, 0.5, 99.0):
        one.judge(1, score)
    assert one.snapshot() == before


@given(stream=scores, last=st.floats(0, 3e38))
def test_a_score_is_judged_by_what_was_learned_from_earlier_ones_alone(stream: list[float], last: float) -> None:
    """Red if `judge` learned, or if the threshold in a verdict depended on the score that it is for."""
    one, other = threshold(), threshold()
    walk(one, stream)
    walk(other, stream)
    assert one.judge(0, last).threshold == other.judge(0, 0.1).threshold == one.value


@given(stream=scores)
def test_the_boundary_stays_between_the_calibrated_one_and_its_limit(stream: list[float]) -> None:
    one = threshold()
    for verdict in walk(one, stream):
        assert 1.0 <= verdict.threshold <= math.exp(LIFT_LIMIT) * 1.0001
    one.accept()
    assert 1.0 <= one.value <= math.exp(LIFT_LIMIT + DRIFT_LIMIT)


def spending(tail: Tail, budget: float = BUDGET) -> Threshold:
    return Threshold(spec_of(tail=tail, typical=TYPICAL), budget)


STEEP = Tail(level=1.0, scale=0.1, shape=0.0, rate=0.1)


def alerts_of(one: Threshold, stream: Sequence[float]) -> int:
    before, count = False, 0
    for verdict in walk(one, stream):
        count += verdict.ratio >= 1.0 and not before
        before = verdict.ratio >= 1.0
    return count


@pytest.mark.parametrize("wrong_by", [0.85, 1.0, 1.1])
@pytest.mark.parametrize("budget", [1e-2, 1e-3])
def test_the_budget_holds_though_the_tail_is_wrong(wrong_by: float, budget: float) -> None:
    """Scores a tenth higher than the tail says would be 2.7 times as many alerts, or more."""
    rng = np.random.default_rng(0)
    peaks = np.where(rng.random(60_000) < STEEP.rate, 1.0 + rng.exponential(STEEP.scale, 60_000), TYPICAL)
    asked = budget * len(peaks)
    assert 0.5 * asked < alerts_of(spending(STEEP, budget), (peaks * wrong_by).tolist()) < 2.0 * asked


def test_an_alert_lifts_the_boundary_once_it_is_over_and_time_without_one_sinks_it() -> None:
    one = spending(STEEP)
    calibrated = one.value
    assert {verdict.threshold for verdict in walk(one, [calibrated * 1.1])} == {calibrated}
    walk(one, [TYPICAL])
    assert calibrated < one.value <= STEEP.boundary(BUDGET * math.exp(-SPENDING_STEP * (1.0 + EARLY_STEPS)))
    walk(one, [TYPICAL] * 300)
    assert one.value < calibrated


def test_the_first_alerts_teach_more_than_later_ones() -> None:
    one = spending(STEEP, 1e-6)
    steps = []
    for _ in range(2):
        before = one.snapshot()["spent"]
        walk(one, [1.1 * one.value, TYPICAL])
        steps.append(one.snapshot()["spent"] - before)
    assert steps[0] > steps[1] > SPENDING_STEP


@pytest.mark.parametrize("beyond", [0.8, 1.2])
def test_the_budget_holds_from_the_first_alerts_on_though_the_tail_is_far_off(beyond: float) -> None:
    """A seventh of the alerts that the tail expects, or seven times as many, over a time in which three are accepted."""
    rng = np.random.default_rng(0)
    excursions = rng.random((20, 3000)) < STEEP.rate
    scores = np.where(excursions, beyond + rng.exponential(STEEP.scale, (20, 3000)), TYPICAL)
    raised = np.mean([alerts_of(spending(STEEP, 1e-3), one.tolist()) for one in scores])
    assert 0.7 * 3 < raised < 1.6 * 3


@pytest.mark.parametrize(("peak", "costs"), [(1.0, True), (FAULT_RATIO * 0.999, True), (FAULT_RATIO, False)])
def test_an_alert_that_reaches_far_above_the_boundary_costs_no_budget(peak: float, costs: bool) -> None:
    assert costs_budget(peak) is costs


def test_the_spending_moves_the_boundary_within_its_limits() -> None:
    one, other = spending(STEEP), spending(STEEP)
    walk(one, [TYPICAL] * 10_000)
    assert math.isclose(one.value, STEEP.boundary(BUDGET * math.exp(SPENDING_LIMIT)))
    for _ in range(20):
        walk(other, [other.value * 1.1] + [TYPICAL] * 10)
    assert STEEP.boundary(BUDGET) < other.value <= STEEP.boundary(BUDGET * math.exp(-SPENDING_LIMIT))


def test_no_level_below_the_calibrated_boundary_is_an_alert_for_ever() -> None:
    one = spending(STEEP)
    calibrated = one.value
    walk(one, [TYPICAL] * 10_000)
    assert one.value < 0.9 * calibrated
    assert [verdict.ratio >= 1.0 for verdict in walk(one, [0.95 * calibrated] * 400)][::399] == [True, False]


def test_an_alert_that_lasts_just_above_the_boundary_is_charged_for_as_long_as_it_does() -> None:
    """Within the limit of what is charged: a level that the tail did not know is no alert for ever."""
    one = spending(STEEP)
    calibrated = one.value
    moved = walk(one, [1.1 * calibrated] * 400)
    assert 1.0 < moved[50].ratio < moved[0].ratio
    assert moved[-1].ratio < 1.0
    assert walk(one, [1.4 * one.value] * 5000)[-1].threshold <= STEEP.boundary(BUDGET * math.exp(-SPENDING_LIMIT))


def test_while_a_fault_lasts_a_sunk_boundary_stays_where_it_is() -> None:
    one = spending(STEEP)
    walk(one, [TYPICAL] * 10_000)
    assert len({verdict.threshold for verdict in walk(one, [FAULT_RATIO * one.value] * 1000)}) == 1


def test_alerts_lift_the_boundary_no_higher_than_twofold_by_whatever_tail() -> None:
    one = spending(Tail(level=1.0, scale=0.2, shape=0.5, rate=0.1))
    calibrated = one.value
    for _ in range(20):
        walk(one, [1.1 * one.value, TYPICAL])
    assert one.value == SPENDING_HEIGHT * calibrated


def test_a_fault_is_not_charged_to_the_budget() -> None:
    one = spending(STEEP)
    calibrated = one.value
    walk(one, [calibrated * FAULT_RATIO * 1.01, TYPICAL, TYPICAL])
    assert one.snapshot()["spent"] < 0.0
    assert one.value <= calibrated


def test_the_boundary_never_sinks_to_where_the_tail_says_nothing() -> None:
    one = spending(Tail(level=1.0, scale=0.1, shape=-0.3, rate=0.02))
    walk(one, [TYPICAL] * 10_000)
    assert one.value == 1.0


def test_a_long_fault_never_lifts_the_boundary() -> None:
    one = threshold()
    assert {verdict.threshold for verdict in walk(one, [5.0] * 5000)} == {1.0}


def test_a_fault_that_grows_lifts_the_boundary_no_more_once_it_is_one() -> None:
    one = threshold()
    verdicts = walk(one, [1.0 + n / 100 for n in range(5000)])
    assert len({verdict.threshold for verdict in verdicts if verdict.ratio >= FAULT_RATIO}) == 1
    assert one.value < 1.2


def test_slow_drift_is_followed_within_its_limit() -> None:
    one = threshold()
    walk(one, [TYPICAL * 1.5] * 10 * MEMORY_WINDOWS)
    assert 1.4 < one.value < 1.6
    walk(one, [TYPICAL * 3.5] * 50 * MEMORY_WINDOWS)
    assert one.value <= math.exp(DRIFT_LIMIT) * 1.0001


def test_a_quieter_asset_keeps_its_boundary() -> None:
    one = threshold()
    walk(one, [TYPICAL / 100] * 2 * MEMORY_WINDOWS)
    assert one.value == 1.0


def test_what_is_left_of_an_excursion_is_no_alert_and_only_sinks() -> None:
    one = threshold()
    walk(one, [8.0] * 50)
    after = walk(one, [1.6] * 100)
    assert after[-1].ratio < 0.8
    left = []
    for n in range(400):
        walk(one, [1.6 * 0.99**n])
        left.append(one.snapshot()["residue"])
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0.0


def test_a_new_fault_on_top_of_what_is_left_is_found() -> None:
    one = threshold()
    walk(one, [8.0] * 50 + [1.6] * 100)
    assert walk(one, [4.0])[0].ratio > 1.0


def test_an_accepted_level_is_normal_from_then_on() -> None:
    one = threshold()
    walk(one, [4.0] * 10 * RECENT_WINDOWS)
    assert one.judge(0, 4.0).ratio > 1.0
    one.accept()
    assert one.judge(0, 4.0).ratio < 0.8
    assert one.judge(0, 40.0).ratio > 1.0


def test_an_accepted_fault_is_no_error_of_the_tail() -> None:
    """The alert lasts through its off-delay, with ratios far below the boundary."""
    one = threshold()
    one.learn(one.judge(0, 50.0), active=True)
    one.accept()
    for slot in range(10):
        one.learn(one.judge(slot, TYPICAL), active=True)
    one.learn(one.judge(10, TYPICAL), active=False)
    assert one.snapshot()["alerts"] == 0
    assert one.snapshot()["spent"] <= 10 * LASTING * BUDGET


def test_accepting_a_quiet_level_changes_nothing() -> None:
    one = threshold()
    walk(one, [TYPICAL] * 10)
    one.accept()
    assert one.value == 1.0


@given(stream=scores, cut=st.integers(0, 60))
def test_a_restart_at_any_point_is_not_noticed(stream: list[float], cut: int) -> None:
    whole, first, second = threshold(), threshold(), threshold()
    undisturbed = walk(whole, stream)
    found = walk(first, stream[:cut])
    second.restore(orjson.loads(orjson.dumps(first.snapshot())))
    found += walk(second, stream[cut:])
    assert [v.threshold for v in found] == [v.threshold for v in undisturbed]
    assert second.snapshot() == whole.snapshot()


def test_a_state_of_another_version_is_taken_up_as_far_as_it_is_known() -> None:
    one, other = threshold(), threshold()
    walk(one, [1.2, TYPICAL, TYPICAL])
    known = {name: value for name, value in one.snapshot().items() if name != "alerts"}
    other.restore({**known, "of_a_later_version": 1.0})
    assert other.value == one.value
    assert other.snapshot() == {**known, "alerts": 0}


def test_another_budget_moves_the_boundary_to_where_it_is_for_a_new_asset_and_back() -> None:
    one = threshold()
    one.set_budget(BUDGET / 10)
    assert one.value == threshold(BUDGET / 10).value
    one.set_budget(BUDGET)
    assert one.value == 1.0


@given(scores, st.sampled_from([1e-1, 1e-3, 1e-6]))
def test_levels_that_were_learned_stay_where_they_are_under_another_budget(stream: list[float], budget: float) -> None:
    one = threshold()
    walk(one, stream)
    before, base = one.snapshot(), threshold().value
    one.set_budget(budget)
    after, moved = one.snapshot(), threshold(budget).value
    assert math.isclose(base * math.exp(before["recent"]), moved * math.exp(after["recent"]), rel_tol=1e-9)
    if after["residue"] > 0.0:
        assert math.isclose(base * math.exp(before["residue"]), moved * math.exp(after["residue"]), rel_tol=1e-9)
