"""What no working sensor says never reaches the score, and the sensor is named; what a machine might do is left to the score."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_ae.core.channel_profile import BLOCK, with_profile
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Row
from edge_ae.core.health_events import AssetHealth, WarmUp, Watching
from edge_ae.core.model_spec import Channel, Kind
from edge_ae.core.payloads import health_payload
from edge_ae.core.rules import AlertRules
from edge_ae.core.sensor_health import RETURN_ROWS, SensorHealth
from edge_ae.core.sensor_limits import LARGEST_VALUE, STALE_ROWS
from edge_ae.core.timestamps import SECOND
from edge_ae.core.usual import SILENT_NS
from tests.models import FakeModel

Values = NDArray[np.float64]
NAMES = ("flow", "speed", "level")
ROWS = 20 * BLOCK


def normal(rows: int = ROWS, seed: int = 0) -> Values:
    """Three channels that always move: by tenths, by units, by hundredths."""
    noise = np.random.default_rng(seed).normal(size=(rows, 3))
    return np.round([50.0, 1450.0, 3.0] + noise * [1.0, 20.0, 0.1], 2)


def trained(values: Values | None = None) -> tuple[Channel, ...]:
    rows = normal().astype(np.float32) if values is None else values.astype(np.float32)
    channels = [Channel(n, "", float(rows[:, i].min()), float(rows[:, i].max()), 0.01) for i, n in enumerate(NAMES)]
    return with_profile(channels, [rows])


def pushed(health: SensorHealth, values: Iterable[Sequence[float]], start: int = 0) -> list[tuple[float, ...]]:
    return [health.push(Row(start + i, tuple(map(float, row)))).values for i, row in enumerate(values)]


def named(health: SensorHealth) -> dict[str, str]:
    return {sick.channel: str(sick.fault) for sick in health.sick}


def faults_after(values: Values) -> dict[str, str]:
    health = SensorHealth(trained())
    pushed(health, values)
    return named(health)


# -- what passes -----------------------------------------------------------------------------------------------


def test_normal_rows_pass_as_they_are() -> None:
    health, values = SensorHealth(trained()), normal(seed=1)
    assert pushed(health, values) == [tuple(row) for row in values.tolist()]
    assert (named(health), health.counts, health.watched) == ({}, {}, True)


@pytest.mark.parametrize("rows", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_any_number_of_rows_from_any_slot_passes(rows: int) -> None:
    values = normal(rows, seed=2)
    for start in (0, 1, 10**9 + 17):
        assert pushed(SensorHealth(trained()), values, start) == [tuple(row) for row in values.tolist()]


def test_a_missing_value_stays_missing_and_is_no_fault() -> None:
    health, values = SensorHealth(trained()), normal(seed=1)
    values[::STALE_ROWS, 0] = math.nan
    np.testing.assert_array_equal(pushed(health, values), values)
    assert (named(health), health.counts) == ({}, {})


def test_a_file_without_a_profile_names_no_fault_that_needs_them() -> None:
    health = SensorHealth([Channel(name, "", 0.0, 2000.0) for name in NAMES])
    values = normal()
    values[:, 0] = 50.0
    values[:, 2] = np.round(values[:, 2])
    np.testing.assert_array_equal(pushed(health, values), values)
    assert named(health) == {}


# -- masked at once --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.inf, -math.inf, LARGEST_VALUE, -LARGEST_VALUE, 1.7e308])
def test_what_no_sensor_sends_is_masked_and_counted(value: float) -> None:
    health = SensorHealth([Channel("a"), Channel("b")])
    first, second = health.push(Row(7, (value, 1.0))).values
    assert math.isnan(first)
    assert second == 1.0
    assert health.counts == {"not_finite": 1}


@given(st.lists(st.lists(st.floats(), min_size=3, max_size=3), max_size=5))
def test_what_passes_has_a_square_that_fits_a_float32(stream: list[list[float]]) -> None:
    health = SensorHealth(trained())
    for slot, values in enumerate(stream):
        passed = health.push(Row(slot, tuple(values))).values
        assert all(math.isnan(value) or abs(value) < LARGEST_VALUE for value in passed)
        assert all(new == old for new, old in zip(passed, values, strict=True) if not math.isnan(new))


def test_an_error_code_never_reaches_the_score_and_becomes_a_fault_where_it_stays() -> None:
    health, values = SensorHealth(trained()), normal(4 * BLOCK, seed=1)
    values[BLOCK + 5 : 2 * BLOCK, 0] = -9999.0
    seen = np.array(pushed(health, values[: BLOCK + 6]))
    assert math.isnan(seen[-1, 0])
    assert named(health) == {}
    seen = np.array(pushed(health, values[BLOCK + 6 : 2 * BLOCK + 1], BLOCK + 6))
    assert np.isnan(seen[:, 0]).all()
    assert named(health) == {"flow": "out_of_range"}
    pushed(health, values[2 * BLOCK + 1 :], 2 * BLOCK + 1)
    health.push(Row(4 * BLOCK, (50.0, 1450.0, 3.0)))
    assert named(health) == {}


def test_an_error_value_of_training_is_missing_and_a_sensor_that_sends_no_other_is_stale() -> None:
    flow, *others = trained()
    health, values = SensorHealth([replace(flow, error_values=(50.85, -127.0)), *others]), normal(seed=1)
    values[3, 0] = values[5, 0] = 50.85
    values[3, 1] = 50.85
    seen = pushed(health, values[:10])
    assert [i for i, row in enumerate(seen) if math.isnan(row[0])] == [3, 5]
    assert not math.isnan(seen[3][1])
    assert (health.counts["error_value"], named(health)) == (2, {})
    values[10:40, 0] = -127.0
    pushed(health, values[10:40], 10)
    assert named(health) == {"flow": "stale"}


def test_an_angle_has_no_end_to_jump_from_and_no_value_beyond_a_turn() -> None:
    _, *others = trained()
    health = SensorHealth([Channel("dir", "", 0.0, 359.9, kind=Kind.ANGLE, turn=360.0), *others])
    rows = normal(40, seed=1)
    rows[:, 0] = np.mod(90.0 * np.arange(40), 360.0)
    rows[20, 0] = -999.0
    seen = pushed(health, rows)
    assert [i for i, row in enumerate(seen) if math.isnan(row[0])] == [20]
    assert (health.counts, named(health)) == ({"out_of_range": 1}, {})


def test_a_machine_that_runs_away_is_left_to_the_score() -> None:
    values = normal(2 * BLOCK, seed=1)
    values[BLOCK:, 1] += np.linspace(0.0, 2e4, BLOCK)
    health = SensorHealth(trained())
    np.testing.assert_array_equal(pushed(health, values), values)


def test_far_out_of_range_in_company_is_left_to_the_score() -> None:
    values = normal(2 * BLOCK, seed=1)
    values[BLOCK:, :2] += [1e4, 1e5]
    np.testing.assert_array_equal(pushed(SensorHealth(trained()), values), values)


def test_two_channels_that_leave_their_range_within_a_few_rows_are_left_to_the_score() -> None:
    values = normal(2 * BLOCK, seed=1)
    values[BLOCK:, 0] += 1e4
    values[BLOCK + 2 :, 1] += 1e5
    health = SensorHealth(trained())
    seen = np.array(pushed(health, values))
    assert np.argwhere(np.isnan(seen)).tolist() == [[BLOCK, 0], [BLOCK + 1, 0]]
    health.push(Row(2 * BLOCK, (1e4, 1e5, 3.0)))
    assert named(health) == {}


def test_a_channel_known_to_be_at_fault_makes_no_other_the_machines() -> None:
    values = normal(4 * BLOCK + 1, seed=1)
    values[BLOCK:, 0] = -9999.0
    values[3 * BLOCK :, 2] = -9999.0
    assert faults_after(values) == {"flow": "out_of_range", "level": "out_of_range"}


# -- faults that begin and end ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("absent", "fault"), [(math.nan, "stale"), (math.inf, "not_a_number")])
def test_a_channel_without_values_is_sick_until_some_rows_after_it_is_back(absent: float, fault: str) -> None:
    health, values = SensorHealth(trained()), normal(2 * BLOCK, seed=1)
    pushed(health, values[:10])
    gone = values[10 : 10 + STALE_ROWS].copy()
    gone[:, 0] = absent
    pushed(health, gone[:-1], 10)
    assert named(health) == {}
    pushed(health, gone[-1:], 10 + STALE_ROWS - 1)
    assert named(health) == {"flow": fault}
    assert health.sick[0].since_slot == 10
    back = pushed(health, values[:RETURN_ROWS], 10 + STALE_ROWS)
    assert [math.isnan(row[0]) for row in back] == [True] * (RETURN_ROWS - 1) + [False]
    assert (named(health), health.counts["sick_sensor"]) == ({}, RETURN_ROWS - 1)


@pytest.mark.parametrize("slower", [2, 5, 20])
@pytest.mark.parametrize("apart", [False, True])
def test_no_sensor_is_blamed_for_a_pace_that_is_slower_than_the_rows(slower: int, apart: bool) -> None:
    """Of all channels together, or of each on a topic of its own."""
    values = normal(40 * BLOCK, seed=1)
    phases = np.arange(3) * (slower // 2) % slower if apart else np.zeros(3)
    values[np.arange(len(values))[:, None] % slower != phases] = math.nan
    health = SensorHealth(trained())
    np.testing.assert_array_equal(pushed(health, values), values)
    assert named(health) == {}


def test_rows_in_which_the_whole_asset_was_silent_blame_no_sensor() -> None:
    values = normal(2 * BLOCK, seed=1)
    values[10:50] = math.nan
    health = SensorHealth(trained())
    np.testing.assert_array_equal(pushed(health, values), values)
    assert (named(health), health.stop, health.frozen_since) == ({}, None, None)


def test_a_channel_that_is_gone_is_stale_at_a_slower_pace_too() -> None:
    values = normal(40 * BLOCK, seed=1)
    values[np.arange(len(values)) % 5 > 0] = math.nan
    values[4 * BLOCK :, 0] = math.nan
    assert faults_after(values) == {"flow": "stale"}


def test_a_channel_that_keeps_silence_by_habit_is_not_stale() -> None:
    values = normal()
    values[np.arange(ROWS) % 50 > 0, 0] = math.nan
    health = SensorHealth(trained(values))
    np.testing.assert_array_equal(pushed(health, values), values)
    assert named(health) == {}


@pytest.mark.parametrize(("channel", "share"), [("flow", 0.5), ("level", 0.8)])
def test_values_missing_again_and_again_are_a_dropout(channel: str, share: float) -> None:
    values = normal(3 * BLOCK + 1, seed=1)
    rng = np.random.default_rng(5)
    values[BLOCK : 2 * BLOCK, NAMES.index(channel)][rng.random(BLOCK) < share] = math.nan
    assert faults_after(values[: 2 * BLOCK + 1]) == {channel: "dropout"}
    assert faults_after(values) == {}


def test_one_outage_that_is_over_is_no_dropout() -> None:
    values = normal(2 * BLOCK + 1, seed=1)
    values[BLOCK + 10 : BLOCK + 40, 0] = math.nan
    assert faults_after(values) == {}


def test_a_channel_that_stands_still_while_others_move_is_flat_until_it_moves() -> None:
    values = normal(6 * BLOCK + 1, seed=1)
    values[BLOCK + 20 : 4 * BLOCK, 1] = values[BLOCK + 20, 1]
    assert faults_after(values[: 2 * BLOCK]) == {}
    assert faults_after(values[: 4 * BLOCK]) == {"speed": "flat"}
    health = SensorHealth(trained())
    seen = np.array(pushed(health, values[: 4 * BLOCK]))
    assert health.sick[0].since_slot == BLOCK + 20
    assert np.isnan(seen[-1]).tolist() == [False, True, False]
    assert faults_after(values) == {}


def test_a_machine_that_stands_still_as_a_whole_is_no_fault_of_its_sensors() -> None:
    values = normal(6 * BLOCK, seed=1)
    values[BLOCK:] = values[BLOCK]
    assert faults_after(values) == {}


def test_a_channel_that_rests_by_habit_is_never_flat() -> None:
    training, values = normal(), normal(2 * ROWS, seed=1)
    training[: ROWS // 2, 0] = 0.0
    values[:, 0] = 0.0
    values[0, 0] = 50.0
    health = SensorHealth(trained(training))
    pushed(health, values)
    assert named(health) == {}


def test_a_constant_channel_is_never_flat_and_says_nothing_of_the_others() -> None:
    training, values = normal(), normal(6 * BLOCK, seed=1)
    training[:, 2] = values[:, 2] = 3.0
    values[BLOCK:, 0] = 50.0
    health = SensorHealth(trained(training))
    pushed(health, values)
    assert named(health) == {"flow": "flat"}


@pytest.mark.parametrize("value", [40.0, 60.0])
def test_standing_still_beyond_the_range_is_being_stuck_at_a_rail(value: float) -> None:
    values = normal(3 * BLOCK + 1, seed=1)
    values[BLOCK:, 0] = value
    assert faults_after(values) == {"flow": "stuck_at_rail"}


def test_much_coarser_steps_through_fewer_values_are_quantised() -> None:
    values = normal(6 * BLOCK + 1, seed=1)
    values[BLOCK : 4 * BLOCK, 1] = np.round(values[BLOCK : 4 * BLOCK, 1] / 25.0) * 25.0
    assert faults_after(values[: 2 * BLOCK + 1]) == {}
    assert faults_after(values[: 3 * BLOCK + 1]) == {"speed": "quantised"}
    assert faults_after(values) == {}


def test_a_machine_that_shakes_ten_times_as_much_has_no_sick_sensor() -> None:
    values = normal(6 * BLOCK, seed=1)
    values[BLOCK:, 1] = 1450.0 + 10.0 * (values[BLOCK:, 1] - 1450.0)
    np.testing.assert_array_equal(pushed(SensorHealth(trained()), values), values)


def test_an_asset_with_most_channels_sick_is_not_scored() -> None:
    health, values = SensorHealth(trained()), normal(BLOCK, seed=1)
    values[:, :2] = math.nan
    seen = np.array(pushed(health, values))
    assert np.isnan(seen[STALE_ROWS - 2]).tolist() == [True, True, False]
    assert (health.watched, np.isnan(seen[-1]).all()) == (False, True)


# -- one answer ------------------------------------------------------------------------------------------------


def sickening(seed: int) -> Values:
    """Rows with one fault after the other."""
    values = normal(12 * BLOCK, seed)
    values[20:60, 0] = math.nan
    values[2 * BLOCK : 4 * BLOCK, 1] = 1450.0
    values[5 * BLOCK - 9 : 6 * BLOCK, 2] = 1e7
    values[7 * BLOCK : 10 * BLOCK, 0] = np.round(values[7 * BLOCK : 10 * BLOCK, 0])
    values[6 * BLOCK : 8 * BLOCK, 2][np.random.default_rng(seed).random(2 * BLOCK) < 0.5] = math.inf
    return values


@pytest.mark.parametrize("stop", [1, 30, 50, BLOCK, 3 * BLOCK - 1, 5 * BLOCK + 3, 8 * BLOCK, 8 * BLOCK + 5])
def test_a_restart_changes_nothing(stop: int) -> None:
    values, channels = sickening(3), trained()
    whole, before, after = SensorHealth(channels), SensorHealth(channels), SensorHealth(channels)
    expected = pushed(whole, values)
    assert set(whole.counts) == {"not_finite", "out_of_range", "sick_sensor"}
    first = pushed(before, values[:stop])
    after.restore(json.loads(json.dumps(before.snapshot())))
    np.testing.assert_array_equal([*first, *pushed(after, values[stop:], stop)], expected)
    assert (after.sick, after.counts) == (whole.sick, whole.counts)


def test_a_gap_in_the_slots_judges_no_block_that_is_mostly_gap() -> None:
    health, values = SensorHealth(trained()), normal(BLOCK, seed=1)
    values[: BLOCK // 2 - 1, 0][::2] = math.nan
    pushed(health, values[: BLOCK // 2 - 1])
    pushed(health, normal(1, seed=2), 10 * BLOCK)
    assert named(health) == {}


def test_slots_that_go_back_begin_a_block_anew() -> None:
    """A clock was set back by a day: what is kept does not grow until it is made up for."""
    health, values = SensorHealth(trained()), normal(3 * BLOCK, seed=1)
    pushed(health, values, 10**6)
    gone = values.copy()
    gone[BLOCK : 2 * BLOCK : 2, 0] = math.nan
    pushed(health, gone, 0)
    assert len(health.snapshot()["rows"]) < 2 * BLOCK * len(NAMES) * 8
    assert named(health) == {"flow": "dropout"}


# -- in an asset -----------------------------------------------------------------------------------------------


def readings(slot: int, **values: float) -> Readings:
    return Readings("pump", slot * SECOND, values)


def test_an_asset_shows_its_sick_sensor_and_its_silence_and_is_well_again() -> None:
    detector = Detector("node", "pump", Watch(FakeModel(), AlertRules(interval_ns=100 * SECOND)))
    for slot in range(40):
        detector.push(readings(slot, flow=1.0 + slot))
    assert health_payload(detector.health_now()) == {
        "schema": 1,
        "asset": "pump",
        "node": "node",
        "state": "fault",
        "watched": True,
        "watching": "watched",
        "budget": "default",
        "reason": None,
        "rows": 4,
        "rows_needed": 4,
        "first_score": None,
        "rules": [],
        "silences": [],
        "lessons": [],
        "when": None,
        "pace": None,
        "learning": None,
        "learned_h": None,
        "beside": None,
        "advice": None,
        "moved": [],
        "asset_fault": None,
        "asset_fault_since": None,
        "faults": {"pressure": "stale"},
        "channels": [{"name": "pressure", "fault": "stale", "since": "1970-01-01T00:00:00.000Z"}],
    }
    for second in range(40, 40 + SILENT_NS // SECOND + 1):
        detector.tick(second * SECOND)
    health = detector.health_now()
    assert (health.fault, health.fault_since_ns) == ("stale", 70 * SECOND)
    assert (health.watched, health.reason) == (False, "nothing comes")
    twin = Detector("node", "pump", Watch(FakeModel(), AlertRules(interval_ns=100 * SECOND)))
    twin.restore(json.loads(json.dumps(detector.snapshot())))
    assert twin.health_now() == health
    for slot in range(71, 80 + RETURN_ROWS):
        twin.push(readings(slot, flow=1.0 + slot, pressure=slot % 3))
    twin.tick(90 * SECOND)
    assert twin.health_now() == AssetHealth(
        "pump", "node", True, None, None, (), Watching.WATCHED, None, WarmUp(4, 4, None)
    )
