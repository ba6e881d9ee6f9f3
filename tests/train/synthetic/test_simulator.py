"""The simulated station obeys its physics, and a fault shows where the catalogue says and nowhere earlier."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.synthetic.simulator import FAULTS, SENSORS, Fault, Simulation, simulate, write_csv

DAY_ROWS = 8640  # at 10 s
MACHINE = [kind for kind, about in FAULTS.items() if about.effect]
SENSOR = [kind for kind, about in FAULTS.items() if not about.effect]


@pytest.fixture(scope="module")
def healthy() -> Simulation:
    return simulate(2 * DAY_ROWS, period_s=10.0, seed=3)


def column(simulation: Simulation, name: str) -> np.ndarray:
    return simulation.values[:, simulation.names.index(name)]


def with_fault(kind: str, channel: str | None = None, severity: float = 1.0) -> Simulation:
    fault = Fault(kind, DAY_ROWS, 2 * DAY_ROWS, severity, channel)
    return simulate(2 * DAY_ROWS, period_s=10.0, seed=3, faults=[fault])


def test_rows_times_and_channels_are_as_asked() -> None:
    made = simulate(50, period_s=0.25, start_ns=1_000_000_000)
    assert made.values.shape == (50, len(made.names)) == (50, 10)
    assert made.names == tuple(SENSORS)
    assert made.units == tuple(sensor.unit for sensor in SENSORS.values())
    assert made.t_ns.tolist() == [1_000_000_000 + k * 250_000_000 for k in range(50)]
    assert np.isfinite(made.values).all()
    assert not made.labels.any()


@pytest.mark.parametrize("rows", [0, 1])
def test_a_run_may_be_short(rows: int) -> None:
    assert simulate(rows).values.shape == (rows, 10)


def test_same_seed_gives_the_same_pump_and_another_seed_a_similar_one(healthy: Simulation) -> None:
    again = simulate(2 * DAY_ROWS, period_s=10.0, seed=3)
    other = simulate(2 * DAY_ROWS, period_s=10.0, seed=4)
    assert np.array_equal(healthy.values, again.values)
    assert not np.array_equal(healthy.values, other.values)
    typical = [np.median(x.values[x.regime == 2], axis=0) for x in (healthy, other)]
    np.testing.assert_allclose(typical[0], typical[1], rtol=0.25)


def test_a_longer_run_begins_with_the_shorter(healthy: Simulation) -> None:
    short = simulate(700, period_s=10.0, seed=3)
    assert np.array_equal(short.values, healthy.values[:700])


def test_every_speed_occurs_each_day(healthy: Simulation) -> None:
    assert set(healthy.regime[:DAY_ROWS].tolist()) == {0, 1, 2, 3}


def test_tank_level_is_the_integral_of_flow_less_demand(healthy: Simulation) -> None:
    """Between two rows of the same regime the slope differs by flow / area: standing against running."""
    slope = np.diff(column(healthy, "tank_level")) / 10.0 * 3600.0  # m/h
    night = slice(0, DAY_ROWS // 5)
    standing = slope[night][healthy.regime[:-1][night] == 0].mean()
    running = slope[night][healthy.regime[:-1][night] == 1].mean()
    flow = column(healthy, "flow")[night][healthy.regime[night] == 1].mean()
    assert standing < 0 < running
    assert flow / (running - standing) == pytest.approx(40.0, rel=0.1)  # m2: the tank's area


def test_pressure_rise_follows_the_affinity_laws(healthy: Simulation) -> None:
    """(head + droop * q^2) / speed^2 is one constant of the pump at every speed."""
    runs = column(healthy, "speed") > 1200
    rise_m = (column(healthy, "discharge_pressure") - column(healthy, "suction_pressure"))[runs] / 0.0980665
    shut_off = rise_m + 6.9e-4 * column(healthy, "flow")[runs] ** 2
    constant = shut_off / (column(healthy, "speed")[runs] / 1450.0) ** 2
    assert constant.mean() == pytest.approx(50.0, rel=0.06)
    assert constant.std() < 0.02 * constant.mean()


def test_temperatures_lag_behind_the_load(healthy: Simulation) -> None:
    motor = column(healthy, "motor_temperature")
    starts = np.flatnonzero((healthy.regime[1:] > 0) & (healthy.regime[:-1] == 0))
    starts = starts[starts + 120 < len(motor)]
    gained = motor[starts + 30] - motor[starts]
    assert (gained > 0).all()
    assert (motor[starts + 120] - motor[starts] > gained).all()


def test_a_day_is_like_a_day_at_any_period() -> None:
    coarse = simulate(1440, period_s=60.0, seed=3)
    fine = simulate(17280, period_s=5.0, seed=3)
    for name in ("flow", "discharge_pressure", "motor_current", "vibration"):
        middle = [np.median(column(made, name)[made.regime == 2]) for made in (coarse, fine)]
        assert middle[0] == pytest.approx(middle[1], rel=0.03)


@pytest.mark.parametrize("kind", MACHINE)
def test_machine_fault_moves_the_channels_it_should_show_on(kind: str, healthy: Simulation) -> None:
    sick = with_fault(kind)
    grown = np.arange(len(sick.t_ns)) >= DAY_ROWS + int(0.6 * DAY_ROWS)
    level_is_not_held_by_the_pump = {"tank_level"}
    for name in set(FAULTS[kind].shows) - level_is_not_held_by_the_pump:
        normal, after = column(healthy, name)[healthy.regime == 3], column(sick, name)[grown & (sick.regime == 3)]
        moved = abs(np.median(after) - np.median(normal)) / normal.std()
        rougher = np.diff(after).std() / np.diff(normal).std()
        assert moved > 1.0 or rougher > 2.0, f"{name}: moved {moved:.2f}, rougher {rougher:.2f}"


def test_leak_slows_the_filling_of_the_tank(healthy: Simulation) -> None:
    def filling(simulation: Simulation) -> float:
        late = np.arange(len(simulation.t_ns) - 1) > DAY_ROWS * 1.2
        slope = np.diff(column(simulation, "tank_level"))
        return float(slope[late & (simulation.regime[:-1] == 2)].mean())

    assert filling(with_fault("leak", severity=0.5)) < 0.9 * filling(healthy)


@pytest.mark.parametrize("kind", [*MACHINE, *SENSOR])
def test_fault_leaves_the_rows_before_it_alone(kind: str, healthy: Simulation) -> None:
    sick = with_fault(kind, None if kind in MACHINE else "flow")
    assert np.array_equal(sick.values[:DAY_ROWS], healthy.values[:DAY_ROWS])
    assert not np.array_equal(sick.values[DAY_ROWS:], healthy.values[DAY_ROWS:], equal_nan=True)
    assert sick.labels.tolist() == [False] * DAY_ROWS + [True] * DAY_ROWS


@pytest.mark.parametrize("kind", SENSOR)
def test_sensor_fault_changes_its_own_channel_alone(kind: str, healthy: Simulation) -> None:
    sick = with_fault(kind, "discharge_pressure")
    own = sick.names.index("discharge_pressure")
    rest = [at for at in range(10) if at != own]
    assert np.array_equal(sick.values[:, rest], healthy.values[:, rest])
    assert sick.faults[0].shows == ("discharge_pressure",)


def test_stuck_sensor_repeats_one_value_and_dropout_loses_half() -> None:
    assert len(set(column(with_fault("stuck", "flow"), "flow")[DAY_ROWS:].tolist())) == 1
    lost = np.isnan(column(with_fault("dropout", "flow"), "flow")[DAY_ROWS:])
    assert 0.45 < lost.mean() < 0.55


def test_fault_that_ends_after_the_recording_is_cut_off() -> None:
    for fault in (Fault("leak", 5, 500), Fault("drift", 5, 500, channel="flow"), Fault("stuck", 50, 90, 1.0, "flow")):
        assert simulate(20, faults=[fault]).values.shape == (20, 10)


@pytest.mark.parametrize(
    ("kind", "start", "end", "channel"),
    [
        ("earthquake", 0, 5, None),
        ("leak", 5, 5, None),
        ("leak", -1, 5, None),
        ("leak", 0, 5, "flow"),
        ("stuck", 0, 5, None),
        ("stuck", 0, 5, "no_such"),
    ],
)
def test_impossible_fault_is_refused(kind: str, start: int, end: int, channel: str | None) -> None:
    with pytest.raises(ValueError, match="fault"):
        Fault(kind, start, end, 1.0, channel)


def test_csv_holds_times_names_and_values(tmp_path: Path) -> None:
    made = simulate(3, period_s=0.5, faults=[Fault("dropout", 0, 3, channel="flow")], start_ns=1_700_000_000 * 10**9)
    write_csv(made, tmp_path / "pump.csv")
    head, *lines = list(csv.reader((tmp_path / "pump.csv").open()))
    assert head == ["time", *made.names]
    assert [line[0] for line in lines] == [f"2023-11-14T22:13:{s}Z" for s in ("20.000", "20.500", "21.000")]
    for line, row in zip(lines, made.values.tolist(), strict=True):
        assert [cell == "" for cell in line[1:]] == [math.isnan(value) for value in row]
        read = [float(cell) if cell else math.nan for cell in line[1:]]
        np.testing.assert_allclose(read, row, rtol=1e-5)
