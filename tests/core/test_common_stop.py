"""Channels that stop together have one cause, which is no sensor's fault; sensors fail one by one."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_ae.core.channel_profile import BLOCK, with_profile
from edge_ae.core.common_stop import are_many
from edge_ae.core.events import Row
from edge_ae.core.health_events import CommonStop
from edge_ae.core.model_spec import Channel
from edge_ae.core.sensor_health import SensorHealth

Values = NDArray[np.float64]
CHANNELS, STOP, ROWS = 52, 700, 1300


def plant(rows: int, seed: int, channels: int = CHANNELS) -> Values:
    """Channels that follow common drivers; the first few are sampled in every fifth row only."""
    mix, noise = np.random.default_rng(1), np.random.default_rng(seed)
    drivers = np.zeros((rows, 4))
    for row in range(1, rows):
        drivers[row] = 0.97 * drivers[row - 1] + noise.normal(size=4)
    values = 50.0 + drivers @ mix.normal(size=(4, channels)) + noise.normal(size=(rows, channels))
    values[:, : channels // 5] = np.repeat(values[::5, : channels // 5], 5, axis=0)[:rows]
    return np.asarray(np.round(values, 2))


def health_of(channels: int = CHANNELS) -> SensorHealth:
    rows = plant(2000, 0, channels).astype(np.float32)
    ranges = zip(rows.min(axis=0).tolist(), rows.max(axis=0).tolist(), strict=True)
    return SensorHealth(with_profile([Channel(f"c{i}", "", low, high) for i, (low, high) in enumerate(ranges)], [rows]))


def pushed(health: SensorHealth, values: Values, start: int = 0) -> list[tuple[float, ...]]:
    return [health.push(Row(start + i, tuple(row))).values for i, row in enumerate(values.tolist())]


def named(health: SensorHealth) -> list[str]:
    return [sick.channel for sick in health.sick]


def state(health: SensorHealth) -> tuple[CommonStop | None, int | None, list[str]]:
    return health.stop, health.frozen_since, named(health)


def stopped(values: Values, channels: list[int], row: int = STOP, end: int = ROWS) -> Values:
    values = values.copy()
    values[row:end, channels] = values[row, channels]
    return values


def test_half_of_a_plant_that_stops_is_not_masked_and_has_one_cause() -> None:
    half = list(range(0, CHANNELS, 2))
    health, values = health_of(), stopped(plant(ROWS, 2), half)
    np.testing.assert_array_equal(pushed(health, values), values)
    assert (health.sick, health.watched, health.frozen_since) == ((), True, None)
    assert health.stop == CommonStop(STOP, tuple(f"c{i}" for i in half), CHANNELS)


def test_channels_stop_together_where_they_stop_within_a_few_rows() -> None:
    values = plant(ROWS, 2)
    for channel in range(20, 45):
        values = stopped(values, [channel], STOP + channel % 3)
    health = health_of()
    pushed(health, values)
    assert health.sick == ()
    assert health.stop is not None
    assert (health.stop.since_slot, len(health.stop.channels)) == (STOP + 2, 25)


def test_the_stop_is_over_once_half_of_its_channels_move() -> None:
    half, health = list(range(0, CHANNELS, 2)), health_of()
    values = stopped(plant(ROWS, 2), half, end=STOP + 3 * BLOCK)
    pushed(health, values[: STOP + 3 * BLOCK])
    assert health.stop is not None
    pushed(health, values[STOP + 3 * BLOCK :], STOP + 3 * BLOCK)
    assert state(health) == (None, None, [])


def test_what_still_stands_when_the_others_move_again_is_its_sensors_fault() -> None:
    half, health = list(range(0, CHANNELS, 2)), health_of()
    values = stopped(stopped(plant(ROWS, 2), half, end=STOP + 3 * BLOCK), [20, 22])
    pushed(health, values)
    assert ({sick.channel for sick in health.sick}, health.stop) == ({"c20", "c22"}, None)


def test_a_plant_that_stands_still_as_a_whole_is_frozen_and_no_sensor_is_blamed() -> None:
    everything, health = list(range(CHANNELS)), health_of()
    values = stopped(plant(ROWS, 2), everything, end=STOP + 4 * BLOCK)
    pushed(health, values[: STOP + 4 * BLOCK])
    assert (health.sick, health.frozen_since) == ((), STOP)
    assert health.stop is not None
    assert len(health.stop.channels) == CHANNELS
    pushed(health, values[STOP + 4 * BLOCK :], STOP + 4 * BLOCK)
    assert state(health) == (None, None, [])


@pytest.mark.parametrize("channels", [1, 5, 10])
def test_a_few_of_many_that_stop_together_share_a_cable_and_are_flat(channels: int) -> None:
    few, health = list(range(20, 20 + channels)), health_of()
    pushed(health, stopped(plant(ROWS, 2), few))
    assert [(sick.channel, str(sick.fault)) for sick in health.sick] == [(f"c{i}", "flat") for i in few]
    assert health.stop is None


def test_sensors_that_fail_one_by_one_stay_the_sensors_fault() -> None:
    values, health = plant(ROWS, 2), health_of()
    for number in range(20):
        values = stopped(values, [20 + number], 100 + 40 * number)
    pushed(health, values)
    assert {sick.channel for sick in health.sick} == {f"c{20 + n}" for n in range(20)}
    assert health.stop is None


THIRDS = {3: 2, 4: 2, 5: 2, 6: 3, 9: 3, 10: 4, 30: 10, 52: 18}


def test_a_third_are_many_and_one_never_is() -> None:
    least = {of: next(n for n in range(of + 1) if are_many(np.array(n), of)) for of in THIRDS}
    assert least == THIRDS


def test_channels_that_rest_by_habit_do_not_stop() -> None:
    rows = plant(2000, 0)
    rows[:600, ::2] = 40.0
    low, high = rows.min(axis=0), rows.max(axis=0)
    known = [Channel(f"c{i}", "", float(low[i]), float(high[i])) for i in range(CHANNELS)]
    health = SensorHealth(with_profile(known, [rows.astype(np.float32)]))
    values = plant(ROWS, 2)
    values[STOP:, ::2] = 40.0
    pushed(health, values)
    assert state(health) == (None, None, [])


def test_normal_rows_stop_nowhere() -> None:
    health, values = health_of(), plant(3 * ROWS, 3)
    for slot, row in enumerate(values.tolist()):
        health.push(Row(slot, tuple(row)))
        assert state(health) == (None, None, [])


SMALL = health_of(6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 5 * BLOCK), st.sets(st.integers(0, 5)), st.integers(0, 3 * BLOCK))
def test_a_restart_in_a_stop_changes_nothing(restart: int, channels: set[int], row: int) -> None:
    values = stopped(plant(6 * BLOCK, 4, 6), sorted(channels), row, row + 3 * BLOCK)
    begin = SMALL.snapshot()
    whole, before, after = health_of(6), health_of(6), health_of(6)
    whole.restore(begin)
    before.restore(begin)
    pushed(whole, values)
    pushed(before, values[:restart])
    after.restore(json.loads(json.dumps(before.snapshot())))
    pushed(after, values[restart:], restart)
    assert (after.stop, after.frozen_since, after.sick) == (whole.stop, whole.frozen_since, whole.sick)


def test_a_snapshot_of_version_0_2_is_taken_up() -> None:
    values = plant(4 * BLOCK, 2, 6)
    before, after = health_of(6), health_of(6)
    pushed(before, values[: 2 * BLOCK + 5])
    young = ("since", "stop", "frozen_since", "pace", "out_since")
    after.restore({key: value for key, value in before.snapshot().items() if key not in young})
    pushed(after, values[2 * BLOCK + 5 :], 2 * BLOCK + 5)
    assert (after.sick, after.stop) == ((), None)
