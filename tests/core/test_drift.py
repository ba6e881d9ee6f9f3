"""Slow changes advise retraining, with the channels that moved; they raise no alert, and alerts teach nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_ae.core.detector import Detector, Watch
from edge_ae.core.drift import BACK, EVERY_LENGTHS, LEAST, LEVEL, MEMORY, DriftMonitor
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.model_spec import Channel, Explanation, Kind, ModelSpec
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from tests.models import CHANNELS, LENGTH, FakeModel, spec_of

EVERY = EVERY_LENGTHS * LENGTH
KNOWN = tuple(replace(channel, deviation=deviation) for channel, deviation in zip(CHANNELS, (0.1, 0.5), strict=True))


def monitor_of(*channels: Channel) -> DriftMonitor:
    return DriftMonitor(spec_of(channels=channels))


def look(monitor: DriftMonitor, looks: int, off: Any, start: int = 0) -> None:
    """So many windows in which each channel is so far from what is expected, which is 1."""
    values = np.ones((LENGTH, 1)) + np.atleast_2d(off)
    expected = np.ones_like(values, dtype=np.float32)
    explanation = Explanation(np.zeros(values.shape[1], np.float32), expected, np.zeros(1, np.float32))
    for number in range(start, start + looks):
        monitor.look(number * EVERY, values.astype(np.float32), explanation)


def moved(monitor: DriftMonitor) -> list[tuple[str, float, float]]:
    return [(one.channel, one.level, one.spread) for one in monitor.moved]


def test_a_level_that_stays_away_is_told_in_normal_deviations_and_not_at_once() -> None:
    monitor = monitor_of(*KNOWN)
    look(monitor, LEAST - 1, [0.12, 0.0])
    assert moved(monitor) == []
    look(monitor, 1, [0.12, 0.0], LEAST - 1)
    assert moved(monitor) == [("flow", 1.2, 1.2)]
    assert monitor.moved[0].text == "flow is 1.2 normal deviations above what is expected"


def test_a_spread_that_has_grown_is_told_though_the_level_stays() -> None:
    monitor = monitor_of(*KNOWN)
    look(monitor, LEAST, np.array([[0.0, 1.1], [0.0, -1.1]] * (LENGTH // 2)))
    assert moved(monitor) == [("pressure", 0.0, 2.2)]
    assert monitor.moved[0].text == "pressure is 2.2 times as far as usual from what is expected"


def test_what_stays_as_in_training_is_never_told() -> None:
    monitor, rng = monitor_of(*KNOWN), np.random.default_rng(1)
    for number in range(500):
        look(monitor, 1, rng.normal(0.0, (0.1, 0.5), (LENGTH, 2)), number)
        assert moved(monitor) == []


def test_one_gross_look_is_no_drift() -> None:
    monitor = monitor_of(*KNOWN)
    look(monitor, 100, [0.0, 0.0])
    look(monitor, 1, [1e9, -1e9], 100)
    assert moved(monitor) == []


def test_what_has_moved_stays_told_until_it_is_well_back() -> None:
    monitor = monitor_of(*KNOWN)
    look(monitor, 1000, [0.1 * LEVEL * 1.01, 0.0])
    look(monitor, 1000, [0.1 * LEVEL * (BACK + 0.05), 0.0], 1000)
    assert [one.channel for one in monitor.moved] == ["flow"]
    look(monitor, 1000, [0.1 * LEVEL * (BACK - 0.05), 0.0], 2000)
    assert moved(monitor) == []


def test_missing_values_and_channels_without_a_known_deviation_are_passed_over() -> None:
    discrete = replace(KNOWN[0], name="valve", kind=Kind.DISCRETE)
    monitor = monitor_of(KNOWN[0], replace(CHANNELS[1], deviation=0.0), discrete)
    look(monitor, LEAST, [np.nan, 100.0, 100.0])
    assert moved(monitor) == []
    look(monitor, LEAST, [0.2, 100.0, 100.0], LEAST)
    assert moved(monitor) == [("flow", 2.0, 2.0)]
    assert not monitor_of(*CHANNELS).wants(0)  # a model file of an earlier version


def test_an_angle_is_as_far_as_the_shorter_way_round() -> None:
    monitor = monitor_of(Channel("crank", deviation=1.0, kind=Kind.ANGLE, turn=360.0))
    look(monitor, LEAST, [359.5])
    assert moved(monitor) == []


def test_a_look_is_wanted_now_and_then_and_after_time_went_back() -> None:
    monitor = monitor_of(*KNOWN)
    assert monitor.wants(1_000)
    look(monitor, 1, [0.0, 0.0])
    assert [monitor.wants(slot) for slot in (1, EVERY - 1, EVERY, -1)] == [False, False, True, True]


def test_a_restart_goes_on_where_it_was() -> None:
    one, other = monitor_of(*KNOWN), monitor_of(*KNOWN)
    assert one.snapshot() is None
    look(one, LEAST, [0.2, 0.0])
    other.restore(one.snapshot())
    assert moved(other) == moved(one)
    for monitor in (one, other):
        look(monitor, int(MEMORY), [0.0, 0.1], LEAST)
    assert other.snapshot() == one.snapshot()


# -- in the detector ---------------------------------------------------------------------------------------------


def fleet_of(**options: Any) -> tuple[Fleet, FakeModel]:
    """A model that expects 0 of all, whose normal deviation of flow is 0.1, with scores far below its boundary."""
    model = FakeModel(channels=KNOWN)
    return Fleet("n1", **options), model


def run(fleet: Fleet, model: FakeModel, rows: int, flow: float, start: int = 0) -> Detector:
    watch = Watch(model, AlertRules(interval_ns=100 * SECOND))
    for second in range(start, start + rows):
        fleet.push(Readings("pump", second * SECOND, {"flow": flow, "pressure": 0.0}), watch)
        fleet.step()
    return fleet.detectors["pump"]


def test_a_quiet_asset_that_has_moved_advises_retraining_and_has_no_alert() -> None:
    fleet, model = fleet_of(follows_drift=True)
    detector = run(fleet, model, EVERY * (LEAST + 1), 0.15)
    health = detector.health_now()
    assert health.advice == "retraining advised: flow is 1.5 normal deviations above what is expected"
    assert not detector.alert.raised
    assert model.explained == LEAST + 1
    again = Detector("n1", "pump", Watch(model, AlertRules(interval_ns=100 * SECOND)))
    again.restore(detector.snapshot())
    assert again.health_now().moved == health.moved


def test_another_model_begins_anew() -> None:
    fleet, model = fleet_of(follows_drift=True)
    state = run(fleet, model, EVERY * (LEAST + 1), 0.15).snapshot()
    newer = Detector(
        "n1", "pump", Watch(FakeModel(channels=KNOWN, sha256="6" * 64), AlertRules(interval_ns=100 * SECOND))
    )
    newer.restore(state)
    assert newer.health_now().advice is None


def test_an_alert_teaches_nothing_and_offline_nothing_is_looked_at() -> None:
    fleet, model = fleet_of(follows_drift=True)
    run(fleet, model, 10, 0.0)
    explained = model.explained
    detector = run(fleet, model, EVERY * (LEAST + 1), 50.0, start=10)
    assert detector.alert.raised
    assert detector.health_now().moved == ()
    offline, other = fleet_of()
    run(offline, other, EVERY * (LEAST + 1), 0.15)
    assert (other.explained, explained) == (0, 1)


@pytest.mark.parametrize(("count", "text"), [(3, "what is expected"), (5, "what is expected, and 2 more")])
def test_advice_names_a_few_channels(count: int, text: str) -> None:
    channels = tuple(Channel(f"c{number}", deviation=0.1) for number in range(count))
    spec: ModelSpec = spec_of(channels=channels)
    monitor = DriftMonitor(spec)
    look(monitor, LEAST, [0.2] * count)
    health = Detector("n1", "pump", Watch(FakeModel(channels=channels), AlertRules(interval_ns=SECOND))).health_now()
    assert (replace(health, moved=monitor.moved).advice or "").endswith(text)
