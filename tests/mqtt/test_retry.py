"""When to connect again: soon where a broker comes back, ever more slowly where another client has our id."""

import pytest

from edge_ae.mqtt import retry
from edge_ae.mqtt.retry import CUT_SHORT, LONGEST_RIVAL_S, LONGEST_S, SETTLED_S, Ending, Retry

UNREACHABLE = Ending(None, None)
CUT = Ending(0.3, None)
TAKEN_OVER = Ending(0.3, True)
SHUT_DOWN = Ending(0.3, False)
WHOLE = Ending(3600.0, None)


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, high: high)


def waits(*endings: Ending) -> list[float]:
    one = Retry()
    return [one.ended(ending) for ending in endings]


def test_a_broker_that_is_away_is_tried_more_and_more_slowly_up_to_a_limit() -> None:
    assert waits(*[UNREACHABLE] * 6) == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_a_connection_that_lasted_begins_anew() -> None:
    assert waits(UNREACHABLE, UNREACHABLE, WHOLE) == [0.5, 1.0, 0.25]


def test_a_connection_that_was_merely_accepted_does_not() -> None:
    assert waits(UNREACHABLE, CUT, CUT, CUT) == [0.5, 1.0, 2.0, 4.0]


def test_a_rival_that_the_broker_names_is_one_at_once() -> None:
    one = Retry()
    found = [(one.ended(TAKEN_OVER), one.rival, one.rivalries) for _ in range(7)]
    assert [wait_s for wait_s, _, _ in found] == [2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_RIVAL_S, LONGEST_RIVAL_S]
    assert [(rival, count) for _, rival, count in found] == [(True, number) for number in range(1, 8)]


def test_connections_cut_short_again_and_again_are_a_rival_that_nobody_names() -> None:
    one = Retry()
    found = []
    for _ in range(CUT_SHORT + 1):
        one.ended(CUT)
        found.append(one.rival)
    assert found == [False] * (CUT_SHORT - 1) + [True, True]


def test_a_broker_that_was_away_in_between_is_no_rival() -> None:
    one = Retry()
    for _ in range(5):
        for ending in [*[CUT] * (CUT_SHORT - 1), UNREACHABLE, *[SHUT_DOWN] * CUT_SHORT, UNREACHABLE]:
            assert one.ended(ending) <= LONGEST_S
            assert not one.rival


def test_a_rival_that_waits_as_long_as_we_do_stays_one() -> None:
    one, wait_s = Retry(), 0.3
    for _ in range(20):
        wait_s = one.ended(Ending(wait_s, None))
    assert (one.rival, wait_s) == (True, LONGEST_RIVAL_S)
    assert one.ended(Ending(2 * LONGEST_RIVAL_S + SETTLED_S, None)) == retry.FIRST_S
    assert (one.rival, one.rivalries) == (False, 0)
