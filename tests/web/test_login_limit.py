"""Guessing a password gets slower, for whoever guesses; memory is bounded; who knows it gets in within a minute."""

from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.timestamps import SECOND
from edge_ae.web.login_limit import (
    FREE,
    LONGEST_HELD_NS,
    LONGEST_NS,
    MAX_ADDRESSES,
    MAX_HELD,
    HeldGuess,
    LoginLimit,
    RefusedGuess,
)

NOW = 1_000_000 * SECOND


def wrong(limit: LoginLimit, address: str, now_ns: int) -> bool:
    """Whether a wrong password was looked at."""
    guess = limit.begin(address, now_ns)
    if isinstance(guess, HeldGuess):
        limit.end(address, False, now_ns + guess.delay_ns)
    return isinstance(guess, HeldGuess)


def test_a_thousand_wrong_ones_at_once_are_mostly_not_looked_at() -> None:
    limit = LoginLimit()
    assert sum(wrong(limit, "10.0.0.1", NOW + number) for number in range(1_000)) == FREE + 1


def test_the_wait_doubles_up_to_a_quarter_of_an_hour() -> None:
    limit, now_ns, waits = LoginLimit(), NOW, []
    for _ in range(FREE):
        assert wrong(limit, "10.0.0.1", now_ns)
    for _ in range(12):
        assert wrong(limit, "10.0.0.1", now_ns)
        guess = limit.begin("10.0.0.1", now_ns)
        assert isinstance(guess, RefusedGuess)
        waits.append(guess.wait_ns // SECOND)
        now_ns += guess.wait_ns
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert waits[-1] == LONGEST_NS // SECOND


def test_the_right_one_from_elsewhere_is_looked_at_within_seconds_whatever_others_do() -> None:
    limit = LoginLimit()
    for number in range(5_000):
        wrong(limit, f"10.{number // 65536}.{number // 256 % 256}.{number % 256}", NOW + number)
    guess = limit.begin("192.168.0.9", NOW + 5_000)
    assert isinstance(guess, HeldGuess)
    assert SECOND <= guess.delay_ns <= LONGEST_HELD_NS
    limit.end("192.168.0.9", True, NOW + 5_000)


def test_the_right_one_begins_its_address_anew() -> None:
    limit = LoginLimit()
    for _ in range(FREE):
        wrong(limit, "10.0.0.1", NOW)
    assert isinstance(limit.begin("10.0.0.1", NOW), HeldGuess)
    limit.end("10.0.0.1", True, NOW)
    assert len(limit) == 0


def test_one_guess_of_an_address_at_a_time_and_so_many_of_all() -> None:
    limit = LoginLimit()
    assert isinstance(limit.begin("10.0.0.1", NOW), HeldGuess)
    assert isinstance(limit.begin("10.0.0.1", NOW), RefusedGuess)
    held = [limit.begin(f"10.0.1.{number}", NOW) for number in range(MAX_HELD)]
    assert [type(guess) for guess in held] == [HeldGuess] * (MAX_HELD - 1) + [RefusedGuess]


def test_addresses_of_one_subscriber_of_ipv6_count_as_one() -> None:
    limit = LoginLimit()
    assert sum(wrong(limit, f"2001:db8:1:2::{number:x}", NOW) for number in range(100)) == FREE + 1
    assert wrong(limit, "2001:db8:1:3::1", NOW)


def test_wrong_ones_are_logged_once_a_minute_with_their_number() -> None:
    limit, logged = LoginLimit(), []
    for second in range(0, 130, 10):
        assert isinstance(limit.begin(f"10.0.0.{second}", NOW + second * SECOND), HeldGuess)
        logged.append(limit.end(f"10.0.0.{second}", False, NOW + second * SECOND))
    assert logged == [1, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 6]


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 10**12)), max_size=300))
def test_memory_is_bounded_and_no_wait_is_longer_than_the_longest(attempts: list[tuple[int, int]]) -> None:
    limit, now_ns = LoginLimit(), NOW
    for number, later_ns in attempts:
        now_ns += later_ns
        guess = limit.begin(str(number), now_ns)
        if isinstance(guess, HeldGuess):
            assert guess.delay_ns <= LONGEST_HELD_NS
            limit.end(str(number), False, now_ns)
        else:
            assert 0 < guess.wait_ns <= LONGEST_NS
    assert len(limit) <= MAX_ADDRESSES


def test_of_more_addresses_than_there_is_room_for_the_oldest_go() -> None:
    limit = LoginLimit()
    for number in range(MAX_ADDRESSES + 50):
        wrong(limit, f"10.0.{number // 256}.{number % 256}", NOW)
    assert len(limit) == MAX_ADDRESSES
