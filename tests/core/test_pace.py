"""How often readings come is found from event times alone, whatever the order and the company in which they come."""

import json
import math
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.pace import FOLLOWED, TIMES, TIMES_BEHIND, Pace, pace_fault
from edge_ae.core.timestamps import HOUR, MINUTE, SECOND, duration_text


def step_of(times: Iterable[int], *names: str) -> int | None:
    pace = Pace()
    for t_ns in times:
        pace.push(t_ns, dict.fromkeys(names or ("",), 1.0))
    return pace.step_ns


def test_the_pace_is_known_from_the_sixth_reading_on() -> None:
    assert [step_of(range(0, n * SECOND, SECOND)) for n in (0, 1, 5, 6)] == [None, None, None, SECOND]


@given(st.permutations(range(20)), st.integers(1, 10**12), st.integers(1, 3))
def test_neither_order_nor_repetition_matters(order: list[int], step_ns: int, times: int) -> None:
    assert step_of((k * step_ns for k in order for _ in range(times)), "a", "b") == step_ns


def test_jitter_and_a_gap_leave_the_median() -> None:
    jitter = random.Random(3)
    times = [k * SECOND + jitter.randrange(SECOND // 10) + (HOUR if k > 10 else 0) for k in range(15)]
    found = step_of(times, "a")
    assert found is not None
    assert abs(found - SECOND) < SECOND // 5


def test_channels_on_topics_of_their_own_have_the_pace_of_each() -> None:
    pace = Pace()
    for k in range(200):
        pace.push(k * SECOND // 10, {f"channel {k % 10}": 1.0})
    assert pace.step_ns == SECOND


def test_of_two_channels_the_one_that_comes_whole_counts() -> None:
    pace = Pace()
    for k in range(32):
        pace.push(k * SECOND, {"a": 1.0 if k % 2 == 0 else math.nan, "b": 1.0})
    assert pace.step_ns == SECOND


def test_a_change_of_pace_is_followed() -> None:
    times = [*range(0, 100 * SECOND, SECOND), *range(100 * SECOND, 500 * SECOND, 20 * SECOND)]
    assert step_of(times, "a") == 20 * SECOND


def test_a_clock_that_was_set_back_is_followed_and_a_few_old_readings_are_not() -> None:
    pace = Pace()
    for k in range(TIMES):
        pace.push(HOUR + k * SECOND, {"a": 1.0})
    for k in range(TIMES_BEHIND - 1):
        pace.push(k * MINUTE // 10, {"a": 1.0})
    assert pace.step_ns == SECOND
    for k in range(TIMES_BEHIND, TIMES_BEHIND + 10):
        pace.push(k * MINUTE // 10, {"a": 1.0})
    assert pace.step_ns == MINUTE // 10


def test_what_is_kept_is_bounded() -> None:
    pace = Pace()
    for k in range(5000):
        pace.push(k, {f"channel {k % 400}": 1.0, "b": 1.0})
    kept = pace.snapshot()["times"]
    assert (len(kept), max(map(len, kept.values()))) == (FOLLOWED, TIMES)


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(0, 60))
def test_a_restart_of_the_pace_changes_nothing(times: list[int], stop: int) -> None:
    whole, after = Pace(), Pace()
    for t_ns in times:
        whole.push(t_ns, {"a": 1.0})
    for number, t_ns in enumerate(times):
        if number == stop:
            saved = json.loads(json.dumps(after.snapshot()))
            after = Pace()
            after.restore(saved)
        after.push(t_ns, {"a": 1.0})
    assert after.snapshot() == whole.snapshot()


def test_pace_that_was_asked_for_is_found_anew_of_whatever_comes_after() -> None:
    pace, slow, found = Pace(), Pace(), []
    for t_ns in range(0, 10 * SECOND, SECOND):
        pace.push(t_ns)
        slow.push(7 * t_ns)
    found.append(pace.step_ns)
    for t_ns in range(10 * SECOND, 60 * SECOND, 2 * SECOND):
        pace.push(t_ns)
    found.append(pace.step_ns)
    pace.push_all([*range(60 * SECOND, 200 * SECOND, 5 * SECOND)])
    found.append(pace.step_ns)
    pace.restore(slow.snapshot())
    assert [*found, pace.step_ns] == [SECOND, 2 * SECOND, 5 * SECOND, 7 * SECOND]


@pytest.mark.parametrize(
    ("step_ns", "period_ns", "fault"),
    [
        (20 * SECOND, SECOND, "readings come every 20 s, the model takes one every 1 s"),
        (2 * MINUTE, MINUTE, "readings come every 2 min, the model takes one every 1 min"),
        (SECOND // 10, SECOND, "readings come every 100 ms, the model takes one every 1 s"),
        (SECOND * 14 // 10, SECOND, None),
        (None, SECOND, None),
    ],
)
def test_the_sentence_says_both_paces_where_they_differ_by_more_than_half(
    step_ns: int | None, period_ns: int, fault: str | None
) -> None:
    assert pace_fault(step_ns, period_ns) == fault


def test_a_length_of_time_is_written_in_the_unit_that_suits_it() -> None:
    lengths = (20 * SECOND, 90 * MINUTE, SECOND // 4, 48 * HOUR)
    assert list(map(duration_text, lengths)) == ["20 s", "1.5 h", "250 ms", "2 days"]
