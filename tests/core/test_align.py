"""Readings on the grid: the same rows whatever the order, the batching, or the moment of a restart."""

import math
from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_ae.core.align import MAX_READINGS_PER_SLOT, SKEW_CONFIRMED, SKEW_NS, Aligner
from edge_ae.core.events import Readings, Row
from edge_ae.core.timestamps import SECOND

NAN = math.nan
P = SECOND
NAMES = ("a", "b")


def at(t_s: float, **values: float) -> Readings:
    return Readings("pump", round(t_s * SECOND), values)


def aligner(**options: int) -> Aligner:
    return Aligner(NAMES, P, **({"max_gap_rows": 5} | options))


def rows_of(readings: Sequence[Readings], one: Aligner) -> list[Row]:
    rows = [row for reading in readings for row in one.push(reading)]
    return rows + one.flush()


def plain(rows: Sequence[Row]) -> list[tuple[int, tuple[float | None, ...]]]:
    """Rows that compare: None for NaN."""
    return [(row.slot, tuple(None if math.isnan(v) else v for v in row.values)) for row in rows]


values = st.dictionaries(st.sampled_from(("a", "b", "unknown")), st.floats(-1e6, 1e6), max_size=3)
streams = st.lists(st.builds(Readings, st.just("pump"), st.integers(0, 40 * P), values), max_size=40)
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


def test_values_that_overflow_a_sum_are_missing_and_end_nothing() -> None:
    stream = [at(1, a=1e308, b=math.inf), at(1.1, a=1.7e308, b=-math.inf), at(1.2, a=1.7e308), at(1.3, b=2.0)]
    assert plain(rows_of(stream, aligner())) == [(1, (None, 2.0))]


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


# -- a sensor's clock set back ------------------------------------------------------------------------------


def test_a_clock_set_back_is_followed_once_enough_readings_say_so() -> None:
    one = aligner()
    later = SKEW_NS // SECOND + 100
    one.push(at(later, a=1.0))
    rows = [row for t in range(SKEW_CONFIRMED + 2) for row in one.push(at(t, a=float(t)))]
    first = SKEW_CONFIRMED - 1
    assert plain(rows) == [(later, (1.0, None)), (first, (float(first), None)), (first + 1, (float(first + 1), None))]
    assert one.counts == {"late": SKEW_CONFIRMED, "clock_set_back": 1}


def test_one_good_reading_in_between_says_the_clock_is_fine() -> None:
    one = aligner()
    later = SKEW_NS // SECOND + 100
    one.push(at(later, a=1.0))
    for t in range(3 * SKEW_CONFIRMED):
        one.push(at(t, a=1.0))
        if t % (SKEW_CONFIRMED - 1) == 0:
            one.push(at(later + t, a=1.0))
    assert one.counts["clock_set_back"] == 0


def test_readings_that_are_merely_late_never_turn_the_clock() -> None:
    one = aligner()
    one.push(at(SKEW_NS / SECOND, a=1.0))
    for t in range(1, 100):
        one.push(at(t, a=1.0))
    assert one.counts == {"late": 99}


# -- whole, one by one, shuffled, doubled, restored ---------------------------------------------------------


def test_nothing_in_nothing_out() -> None:
    assert aligner().flush() == []


@given(stream=streams, config=options)
def test_a_slot_comes_once_and_in_order(stream: list[Readings], config: dict[str, int]) -> None:
    slots = [row.slot for row in rows_of(stream, aligner(**config))]
    assert slots == sorted(set(slots))


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


@given(stream=streams, config=options, cut=st.integers(0, 40))
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
    if stream:
        slots = {(t + P // 2) // P for _, t, _ in one.snapshot()["open"]}
        assert len(slots) <= 4 or max(slots) - min(slots) <= 4
