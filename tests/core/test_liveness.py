"""Whether an asset sends, and whether its clock agrees with ours."""

from edge_ae.core.liveness import AHEAD_NS, JUMP_SHOWN_NS, LATE_READINGS, LONGEST_TICK_NS, InputCounts, Liveness
from edge_ae.core.timestamps import SECOND

NOW = 1_800_000_000 * SECOND
SILENCE_NS = 30 * SECOND


def counts(readings: int, newest_s: float = 0.0, late: int = 0, set_back: int = 0) -> InputCounts:
    return InputCounts(readings, NOW + round(newest_s * SECOND), late, set_back)


def ticked(liveness: Liveness, seconds: range, one: InputCounts, listening: bool = True) -> str | None:
    for second in seconds:
        liveness.tick(NOW + second * SECOND, one, listening)
    return liveness.fault


def test_an_asset_that_sends_nothing_for_too_long_is_stale_until_it_sends() -> None:
    liveness = Liveness(SILENCE_NS)
    assert ticked(liveness, range(30), counts(1)) is None
    assert ticked(liveness, range(30, 40), counts(1)) == "stale"
    assert liveness.since_ns == NOW + 30 * SECOND
    assert ticked(liveness, range(40, 41), counts(2)) is None


def test_silence_counts_only_while_we_listen() -> None:
    liveness = Liveness(SILENCE_NS)
    assert ticked(liveness, range(100), counts(1), listening=False) is None
    assert ticked(liveness, range(100, 129), counts(1)) is None
    assert ticked(liveness, range(129, 140), counts(1)) == "stale"


def test_a_suspended_machine_or_a_clock_set_forward_is_no_silence() -> None:
    liveness = Liveness(2 * LONGEST_TICK_NS)
    assert ticked(liveness, range(2), counts(1)) is None
    assert ticked(liveness, range(86_400, 86_402), counts(1)) is None


def test_event_time_ahead_of_ours_is_a_clock_jump_that_is_shown_for_a_while() -> None:
    liveness = Liveness(SILENCE_NS)
    ahead_s = AHEAD_NS / SECOND + 2
    assert ticked(liveness, range(1), counts(1)) is None
    assert ticked(liveness, range(1, 2), counts(2, ahead_s)) == "clock_jump"
    shown_s = JUMP_SHOWN_NS // SECOND
    for second in range(2, shown_s):
        liveness.tick(NOW + second * SECOND, counts(second + 1, ahead_s if second < 5 else second), True)
    assert liveness.fault == "clock_jump"
    liveness.tick(NOW + (shown_s + 5) * SECOND, counts(10**6, shown_s), True)
    assert liveness.fault is None


def test_many_late_readings_in_a_row_are_a_clock_jump_and_stragglers_are_none() -> None:
    liveness = Liveness(SILENCE_NS)
    for second in range(100):
        liveness.tick(NOW + second * SECOND, counts(2 * second, second, late=3 * second), True)
    assert liveness.fault is None
    liveness.tick(NOW + 100 * SECOND, counts(300, 99, late=3 * 99 + LATE_READINGS), True)
    assert liveness.fault == "clock_jump"


def test_a_clock_that_was_set_back_is_a_clock_jump() -> None:
    liveness = Liveness(SILENCE_NS)
    assert ticked(liveness, range(2), counts(5)) is None
    assert ticked(liveness, range(2, 3), counts(21, -7200, set_back=1)) == "clock_jump"


def test_what_was_wrong_before_a_restart_is_wrong_after_it() -> None:
    first, second = Liveness(SILENCE_NS), Liveness(SILENCE_NS)
    ticked(first, range(40), counts(1))
    second.restore(first.snapshot())
    assert ticked(second, range(41, 43), counts(0)) == "stale"
    assert second.since_ns == first.since_ns
    assert ticked(second, range(43, 44), counts(1)) is None
