"""Readings on the grid: the same rows whatever the order, the batching, or the moment of a restart."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_ae.core.align import (
    AHEAD_CONFIRMED,
    BEHIND_CONFIRMED,
    MAX_READINGS_PER_SLOT,
    SET_BACK_NS,
    USUAL_GAP_ROWS,
    Aligner,
)
from edge_ae.core.events import Readings, Row, slot_of
from edge_ae.core.timestamps import SECOND

NAN = math.nan
P = SECOND
NAMES = ("a", "b")
HOUR_S = 3600


def at(t_s: float, **values: float) -> Readings:
    return Readings("pump", round(t_s * SECOND), values)


def aligner(**options: Any) -> Aligner:
    return Aligner(NAMES, P, **({"max_gap_rows": 5} | options))


def rows_of(readings: Sequence[Readings], one: Aligner) -> list[Row]:
    rows = [row for reading in readings for row in one.push(reading)]
    return rows + one.flush()


def plain(rows: Sequence[Row]) -> list[tuple[int, tuple[float | None, ...]]]:
    """Rows that compare: None for NaN."""
    return [(row.slot, tuple(None if math.isnan(v) else v for v in row.values)) for row in rows]


values = st.dictionaries(st.sampled_from(("a", "b", "unknown")), st.floats(-1e6, 1e6), max_size=3)
streams = st.lists(st.builds(Readings, st.just("pump"), st.integers(0, 40 * P), values), max_size=40)
odd_streams = st.lists(
    st.builds(
        lambda t_s, hour, of: Readings("pump", t_s * P + hour * HOUR_S * P, of),
        st.integers(0, 40),
        st.sampled_from((0, 0, 0, 1)),
        values,
    ),
    max_size=60,
)
options = st.fixed_dictionaries(
    {"lateness_ns": st.integers(0, 5 * P), "max_gap_rows": st.integers(0, 6), "hold_rows": st.integers(0, 4)}
)


# -- one act ------------------------------------------------------------------------------------------------


def test_a_slot_is_centred_on_its_multiple_of_the_period() -> None:
    stream = [at(9.5, a=1.0), at(10.0, a=2.0), at(10.499999999, a=3.0), at(10.5, a=4.0)]
    assert plain(rows_of(stream, aligner())) == [(10, (2.0, None)), (11, (4.0, None))]


def test_times_before_the_epoch_have_slots_too() -> None:
    assert plain(rows_of([at(-1.6, a=1.0), at(-0.5, a=2.0)], aligner())) == [
        (-2, (1.0, None)),
        (-1, (None, None)),
        (0, (2.0, None)),
    ]


def test_an_odd_period_places_its_borders_by_integers_alone() -> None:
    first = 1_583_748_873_000_000_001  # a double would lose the last eight bits
    rows = rows_of([Readings("pump", first + n, {"a": float(n)}) for n in range(6)], Aligner(("a",), 3))
    assert [(row.slot * 3 - first, row.values[0]) for row in rows] == [(-1, 0.0), (2, 2.0), (5, 4.5)]


def test_only_data_closes_a_row() -> None:
    one = aligner()
    assert one.push(at(1, a=1.0)) == []
    assert plain(one.push(at(2, a=2.0))) == [(1, (1.0, None))]


def test_a_row_waits_for_its_lateness() -> None:
    one = aligner(lateness_ns=2 * P)
    assert [plain(one.push(at(t, a=float(t)))) for t in (1, 2, 3)] == [[], [], []]
    assert plain(one.push(at(3.4, b=9.0))) == []
    assert plain(one.push(at(4, a=4.0))) == [(1, (1.0, None))]


def test_the_watermark_closes_a_row_at_the_border_and_not_before() -> None:
    one = aligner(lateness_ns=P)
    one.push(at(1, a=1.0))
    assert one.push(at(2.499999999, a=2.0)) == []
    assert plain(one.push(at(2.5, b=1.0))) == [(1, (1.0, None))]


def test_channels_that_come_one_by_one_share_a_row() -> None:
    assert plain(rows_of([at(1, a=1.0), at(1.1, b=2.0)], aligner())) == [(1, (1.0, 2.0))]


def test_several_readings_of_a_channel_become_their_mean() -> None:
    assert plain(rows_of([at(0.9, a=1.0), at(1.0, a=2.0), at(1.2, a=6.0)], aligner())) == [(1, (3.0, None))]


def test_a_channel_that_the_model_does_not_know_changes_nothing_but_makes_its_row() -> None:
    assert plain(rows_of([at(1, other=1.0)], aligner())) == [(1, (None, None))]


def test_missing_values_take_no_part_in_a_mean() -> None:
    assert plain(rows_of([at(1, a=NAN), at(1.1, a=4.0), at(1.2, a=NAN)], aligner())) == [(1, (4.0, None))]


def test_values_that_overflow_a_sum_take_no_part_in_a_mean_and_end_nothing() -> None:
    stream = [at(1, a=1e308, b=math.inf), at(1.1, a=1.7e308, b=-math.inf), at(1.2, a=1.7e308), at(1.3, b=2.0)]
    assert plain(rows_of(stream, aligner())) == [(1, (math.inf, 2.0))]


# -- gaps ---------------------------------------------------------------------------------------------------


def test_a_gap_is_filled_with_rows_of_nothing_once_a_later_row_exists() -> None:
    rows = rows_of([at(1, a=1.0), at(4, a=4.0)], aligner(max_gap_rows=2))
    assert plain(rows) == [(1, (1.0, None)), (2, (None, None)), (3, (None, None)), (4, (4.0, None))]


def test_a_gap_one_row_longer_than_allowed_is_a_jump_in_slots() -> None:
    assert [row.slot for row in rows_of([at(1, a=1.0), at(5, a=4.0)], aligner(max_gap_rows=2))] == [1, 5]


def test_a_gap_of_a_thousand_years_costs_nothing() -> None:
    year = 365 * 86400
    assert [row.slot for row in rows_of([at(1), at(200 * year)], aligner())] == [1, 200 * year]


# -- late, doubled, crowded ---------------------------------------------------------------------------------


def test_late_reading_is_counted_and_changes_nothing() -> None:
    one = aligner()
    rows = rows_of([at(1, a=1.0), at(2, a=2.0), at(1.2, a=9.0), at(3, a=3.0)], one)
    assert plain(rows) == [(1, (1.0, None)), (2, (2.0, None)), (3, (3.0, None))]
    assert one.counts == {"late": 1}


def test_a_reading_sent_twice_is_counted_and_changes_nothing() -> None:
    one = aligner()
    rows = rows_of([at(1, a=1.0), at(1, a=1.0), at(1.2, a=4.0), at(1.2, a=4.0), at(1, a=1.0)], one)
    assert plain(rows) == [(1, (2.5, None))]
    assert one.counts == {"duplicate": 3}


def test_a_slot_takes_so_many_readings_and_counts_the_rest() -> None:
    one = aligner()
    for n in range(MAX_READINGS_PER_SLOT + 3):
        one.push(Readings("pump", P + n, {"a": 1.0}))
    assert one.counts == {"crowded": 3}
    assert plain(one.flush()) == [(1, (1.0, None))]


# -- values kept for channels that report on change ---------------------------------------------------------


def test_a_value_is_held_for_so_many_rows_and_no_longer() -> None:
    stream = [at(1, a=1.0, b=0.0), *(at(t, b=float(t)) for t in (2, 3, 4))]
    assert plain(rows_of(stream, aligner(hold_rows=2))) == [
        (1, (1.0, 0.0)),
        (2, (1.0, 2.0)),
        (3, (1.0, 3.0)),
        (4, (None, 4.0)),
    ]


def test_a_value_is_held_through_a_gap_that_is_filled() -> None:
    rows = rows_of([at(1, a=1.0, b=2.0), at(4, a=4.0)], aligner(hold_rows=2))
    assert plain(rows) == [(1, (1.0, 2.0)), (2, (1.0, 2.0)), (3, (1.0, 2.0)), (4, (4.0, None))]


def test_a_new_value_replaces_the_held_one_at_once() -> None:
    rows = rows_of([at(1, a=1.0), at(2, a=0.0), at(3)], aligner(hold_rows=5))
    assert [row.values[0] for row in rows] == [1.0, 0.0, 0.0]


# -- one odd stamp ------------------------------------------------------------------------------------------


def sent(*times_s: float) -> list[Readings]:
    """A reading each, whose value is its time."""
    return [at(t_s, a=float(t_s)) for t_s in times_s]


def seconds(rows: Sequence[Row]) -> list[float]:
    """The values of `sent` that became rows."""
    return [row.values[0] for row in rows if not math.isnan(row.values[0])]


@pytest.mark.parametrize("ahead_s", [USUAL_GAP_ROWS + 1, 60, 59 * 60, 86_400])
@pytest.mark.parametrize("lateness_s", [0, 1])
def test_one_odd_stamp_ahead_does_not_blind_the_asset(ahead_s: int, lateness_s: int) -> None:
    one = aligner(lateness_ns=lateness_s * P)
    ahead_s += lateness_s
    rows = rows_of(sent(1, 2, 3, 3 + ahead_s, *range(4, 10)), one)
    assert seconds(rows) == list(range(1, 10))
    assert one.counts == {"odd_time": 1}


def test_an_odd_stamp_that_comes_again_or_for_each_channel_is_one_odd_stamp() -> None:
    one = aligner()
    odd = [at(3000, a=1.0), at(3000, a=1.0), at(3000.2, b=2.0)]
    assert seconds(rows_of([*sent(1, 2), *odd, *sent(3, 4)], one)) == [1, 2, 3, 4]
    assert one.counts == {"odd_time": 3}


def test_odd_stamps_that_contradict_each_other_are_not_followed() -> None:
    one = aligner()
    assert seconds(rows_of(sent(1, 5000, 4000, 3000, 2000, 1000, 2, 3), one)) == [1, 2, 3]
    assert one.counts == {"odd_time": 5}


def test_two_clocks_on_one_asset_never_take_turns() -> None:
    one = aligner()
    both = [reading for t_s in range(1, 50) for reading in sent(t_s, t_s + HOUR_S)]
    assert seconds(rows_of(both[:-1], one)) == list(range(1, 50))
    assert one.counts == {"odd_time": 48}


def test_one_odd_stamp_right_after_an_outage_costs_itself_alone() -> None:
    one = aligner()
    assert seconds(rows_of(sent(1, 2, 1000, 9000, 1001, 1002, 1003), one)) == [1, 2, 1000, 1001, 1002, 1003]
    assert one.counts == {"odd_time": 1}


def test_what_is_ahead_by_disorder_alone_is_used_once_the_reading_between_has_come() -> None:
    late_s = 5
    one, between = aligner(lateness_ns=late_s * P, max_gap_rows=20), 10 + late_s + USUAL_GAP_ROWS
    rows = rows_of(sent(10, between + 2, between), one)
    assert (seconds(rows), one.counts) == ([10, between, between + 2], {})


# -- data after an outage -----------------------------------------------------------------------------------


def test_a_usual_gap_is_followed_at_once() -> None:
    one = aligner()
    one.push(at(1, a=1.0))
    assert len(one.push(at(1 + USUAL_GAP_ROWS, a=2.0))) == 1
    assert not one.doubts
    assert one.push(at(1 + 2 * USUAL_GAP_ROWS + 1, a=2.0)) == []
    assert one.doubts


@pytest.mark.parametrize("period_s", [0.1, 1, 60, 3600])
def test_data_that_come_back_after_a_weekend_are_followed_and_none_is_lost(period_s: float) -> None:
    one = Aligner(("a",), round(period_s * SECOND), max_gap_rows=5)
    back = 3 * 86_400
    times = [n * period_s for n in (1, 2)] + [back + n * period_s for n in range(AHEAD_CONFIRMED + 1)]
    rows = [row for reading in sent(*times) for row in one.push(reading)]
    assert seconds(rows) == times[:-1]
    assert one.counts == {}


def test_channels_that_come_one_by_one_are_confirmed_by_slots_and_none_is_lost() -> None:
    one = aligner(lateness_ns=P)
    stream = [at(t_s + lag, **{name: t_s}) for t_s in (1, 2, *range(500, 510)) for name, lag in (("b", 0.1), ("a", 0))]
    rows = rows_of(stream, one)
    assert plain(rows) == [(t_s, (t_s, t_s)) for t_s in (1, 2, *range(500, 510))]
    assert one.counts == {}


def test_readings_that_are_always_far_apart_are_all_used() -> None:
    one = aligner()
    times = range(0, 5000, 100)
    assert seconds(rows_of(sent(*times), one)) == list(times)
    assert one.counts == {}


def test_the_end_of_the_data_decides_for_what_is_ahead() -> None:
    assert seconds(rows_of(sent(1, 2, 1000), aligner())) == [1, 2, 1000]


# -- a sensor's clock set back ------------------------------------------------------------------------------


@pytest.mark.parametrize("back_s", [SET_BACK_NS // SECOND + 1, 30 * 60, HOUR_S, 10 * HOUR_S])
def test_a_clock_set_back_is_followed_once_enough_readings_confirm_it_and_none_is_lost(back_s: int) -> None:
    """Red where exactly an hour, as at the end of daylight saving, was late for an hour."""
    one = aligner()
    first = 20 * HOUR_S
    before, after = range(first - 3, first), range(first - back_s, first - back_s + BEHIND_CONFIRMED + 2)
    assert seconds(rows_of(sent(*before, *after), one)) == [*before, *after]
    assert one.counts == {"clock_set_back": 1}


def test_one_good_reading_in_between_shows_that_the_clock_is_fine() -> None:
    one = aligner()
    later = SET_BACK_NS // SECOND + 100
    one.push(at(later, a=1.0))
    for t in range(3 * BEHIND_CONFIRMED):
        one.push(at(t, a=1.0))
        if t % (BEHIND_CONFIRMED - 1) == 0:
            one.push(at(later + t / 10, a=2.0))
    one.flush()
    assert one.counts == {"late": 3 * BEHIND_CONFIRMED}


@given(st.permutations(range(100)))
def test_readings_that_are_merely_late_never_turn_the_clock(order: list[int]) -> None:
    one = aligner()
    one.push(at(SET_BACK_NS / SECOND, a=1.0))
    for t_s in order:
        one.push(at(1 + t_s, a=1.0))
    assert one.counts == {"late": 100}


def test_what_a_sender_repeats_after_a_break_is_late_and_changes_nothing() -> None:
    one = aligner()
    repeated = range(300, 999)
    rows = rows_of(sent(*range(1000), *repeated, *range(1000, 1100)), one)
    assert seconds(rows) == list(range(1100))
    assert one.counts == {"late": len(repeated)}


def test_old_readings_that_go_back_and_forth_never_turn_the_clock() -> None:
    one = aligner()
    times = [n * 100 % 997 for n in range(300)]
    assert seconds(rows_of(sent(2 * HOUR_S, *times), one)) == [2 * HOUR_S]
    assert one.counts == {"late": 300}


# -- whole, one by one, shuffled, doubled, restored ---------------------------------------------------------


def test_nothing_in_nothing_out() -> None:
    assert aligner().flush() == []


@given(stream=streams, config=options)
def test_a_slot_comes_once_and_in_order(stream: list[Readings], config: dict[str, int]) -> None:
    one = aligner(**config)
    slots = [row.slot for row in rows_of(stream, one)]
    assert slots == sorted(set(slots))
    assert one.counts["clock_set_back"] == 0


@given(stream=odd_streams, config=options)
def test_every_reading_is_used_or_counted(stream: list[Readings], config: dict[str, int]) -> None:
    one = aligner(**config | {"hold_rows": 0})
    numbered = [replace(reading, values={"a": 1.0 + n}) for n, reading in enumerate(stream)]
    rows = rows_of(numbered, one)
    slots = len({slot_of(reading.t_ns, P) for reading in stream})
    unused = one.counts["late"] + one.counts["odd_time"]
    assert len(seconds(rows)) <= slots + len(stream) * one.counts["clock_set_back"]
    assert len(seconds(rows)) + unused >= slots


@given(stream=streams, config=options, odd=st.sets(st.integers(1, 39), max_size=10), data=st.data())
def test_odd_stamps_change_nothing(
    stream: list[Readings], config: dict[str, int], odd: set[int], data: st.DataObject
) -> None:
    """Readings without a gap, and between them single ones whose time is far ahead."""
    steady = [replace(reading, t_ns=n * P) for n, reading in enumerate(stream)]
    mixed = []
    for n, reading in enumerate(steady):
        if n in odd:
            mixed.append(Readings("pump", data.draw(st.integers(100 * P, 10**6 * P)), {"a": -1.0}))
        mixed.append(reading)
    one = aligner(**config)
    assert plain(rows_of(mixed, one)) == plain(rows_of(steady, aligner(**config)))
    assert one.counts["odd_time"] == len(mixed) - len(steady)


@given(stream=streams, config=options, data=st.data())
def test_shuffled_within_the_lateness_is_in_order(
    stream: list[Readings], config: dict[str, int], data: st.DataObject
) -> None:
    ordered = sorted(stream, key=lambda r: r.t_ns)
    delays = data.draw(
        st.lists(st.integers(0, config["lateness_ns"]), min_size=len(ordered), max_size=len(ordered)), label="delays"
    )
    arrived = [r for _, r in sorted(zip(delays, ordered, strict=True), key=lambda pair: pair[1].t_ns + pair[0])]
    assert plain(rows_of(arrived, aligner(**config))) == plain(rows_of(ordered, aligner(**config)))


@given(stream=streams, config=options, data=st.data())
def test_duplicates_change_nothing(stream: list[Readings], config: dict[str, int], data: st.DataObject) -> None:
    ordered = sorted(stream, key=lambda r: r.t_ns)
    again = [r for r in ordered for _ in range(data.draw(st.integers(1, 3)))]
    assert plain(rows_of(again, aligner(**config))) == plain(rows_of(ordered, aligner(**config)))


@given(stream=st.one_of(streams, odd_streams), config=options, cut=st.integers(0, 60))
@example(stream=[Readings("pump", P, {"a": NAN}), Readings("pump", 2 * P, {"b": 1.0})], config={"hold_rows": 1}, cut=1)
def test_a_restart_at_any_point_is_not_noticed(stream: list[Readings], config: dict[str, int], cut: int) -> None:
    whole = aligner(**config)
    undisturbed = rows_of(stream, whole)
    first, second = aligner(**config), aligner(**config)
    rows = [row for reading in stream[:cut] for row in first.push(reading)]
    second.restore(through_json(first.snapshot()))
    assert plain(rows + rows_of(stream[cut:], second)) == plain(undisturbed)
    assert second.counts == whole.counts


def through_json(state: dict[str, Any]) -> Any:
    return orjson.loads(orjson.dumps(state))


@settings(max_examples=30)
@given(stream=st.lists(st.builds(Readings, st.just("pump"), st.integers(-(2**60), 2**60), values), max_size=200))
def test_what_is_kept_is_bounded_by_the_lateness(stream: list[Readings]) -> None:
    one = aligner(lateness_ns=3 * P)
    for reading in stream:
        one.push(reading)
        assert len(one.snapshot()["open"]) <= 200
        assert len({slot_of(t, P) for _, t, _ in one.snapshot()["aside"]}) < BEHIND_CONFIRMED
    if stream:
        slots = {slot_of(t, P) for _, t, _ in one.snapshot()["open"]}
        assert len(slots) <= 4 or max(slots) - min(slots) <= 4
