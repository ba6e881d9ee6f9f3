"""Whether an asset is heard, and whether its clock agrees with ours."""

from edge_ae.core.liveness import AHEAD_NS, JUMP_SHOWN_NS, LATE_READINGS, LONGEST_TICK_NS, Heard, Pulse
from edge_ae.core.timestamps import SECOND

NOW = 1_800_000_000 * SECOND
SILENCE_NS = 30 * SECOND


def heard(readings: int, newest_s: float = 0.0, late: int = 0, set_back: int = 0) -> Heard:
    return Heard(readings, NOW + round(newest_s * SECOND), late, set_back)


def ticked(pulse: Pulse, seconds: range, one: Heard, listening: bool = True) -> str | None:
    for second in seconds:
        pulse.tick(NOW + second * SECOND, one, listening)
    return pulse.fault


def test_an_asset_that_says_nothing_for_too_long_is_stale_until_it_is_heard() -> None:
    pulse = Pulse(SILENCE_NS)
    assert ticked(pulse, range(30), heard(1)) is None
    assert ticked(pulse, range(30, 40), heard(1)) == "stale"
    assert pulse.since_ns == NOW + 30 * SECOND
    assert ticked(pulse, range(40, 41), heard(2)) is None


def test_silence_counts_only_while_we_listen() -> None:
    pulse = Pulse(SILENCE_NS)
    assert ticked(pulse, range(100), heard(1), listening=False) is None
    assert ticked(pulse, range(100, 129), heard(1)) is None
    assert ticked(pulse, range(129, 140), heard(1)) == "stale"


def test_a_suspended_machine_or_a_clock_set_forward_is_no_silence() -> None:
    pulse = Pulse(2 * LONGEST_TICK_NS)
    assert ticked(pulse, range(2), heard(1)) is None
    assert ticked(pulse, range(86_400, 86_402), heard(1)) is None


def test_event_time_ahead_of_ours_is_a_clock_jump_that_is_shown_for_a_while() -> None:
    pulse = Pulse(SILENCE_NS)
    ahead_s = AHEAD_NS / SECOND + 2
    assert ticked(pulse, range(1), heard(1)) is None
    assert ticked(pulse, range(1, 2), heard(2, ahead_s)) == "clock_jump"
    shown_s = JUMP_SHOWN_NS // SECOND
    for second in range(2, shown_s):
        pulse.tick(NOW + second * SECOND, heard(second + 1, ahead_s if second < 5 else second), True)
    assert pulse.fault == "clock_jump"
    pulse.tick(NOW + (shown_s + 5) * SECOND, heard(10**6, shown_s), True)
    assert pulse.fault is None


def test_many_late_readings_in_a_row_are_a_clock_jump_and_stragglers_are_none() -> None:
    pulse = Pulse(SILENCE_NS)
    for second in range(100):
        pulse.tick(NOW + second * SECOND, heard(2 * second, second, late=3 * second), True)
    assert pulse.fault is None
    pulse.tick(NOW + 100 * SECOND, heard(300, 99, late=3 * 99 + LATE_READINGS), True)
    assert pulse.fault == "clock_jump"


def test_a_clock_that_was_set_back_is_a_clock_jump() -> None:
    pulse = Pulse(SILENCE_NS)
    assert ticked(pulse, range(2), heard(5)) is None
    assert ticked(pulse, range(2, 3), heard(21, -7200, set_back=1)) == "clock_jump"


def test_what_was_wrong_before_a_restart_is_wrong_after_it() -> None:
    first, second = Pulse(SILENCE_NS), Pulse(SILENCE_NS)
    ticked(first, range(40), heard(1))
    second.restore(first.snapshot())
    assert ticked(second, range(41, 43), heard(0)) == "stale"
    assert second.since_ns == first.since_ns
    assert ticked(second, range(43, 44), heard(1)) is None
