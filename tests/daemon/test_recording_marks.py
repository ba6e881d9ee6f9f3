"""Marks beside recorded rows: alerts with each step of their life, sick sensors from their beginning to their end."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from edge_ae.core.alert_events import Alert, AlertEvent, AlertWord, EventType, ModelName, Withheld
from edge_ae.core.detector import Detector
from edge_ae.core.health_events import ChannelFault, SensorFault
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.recording_marks import EVERY_NS, RecordingMarks

HOUR = 3600 * SECOND


class Keeper:
    def __init__(self) -> None:
        self.marks: list[tuple[str, int, int, str]] = []

    def mark(self, asset: str, from_ns: int, until_ns: int, why: str) -> None:
        self.marks.append((asset, from_ns, until_ns, why))


def event(kind: EventType, lasted_ns: int) -> AlertEvent:
    alert = Alert(
        "pump", "n1", ModelName("m", "1", ""), AlertWord.ACTIVE, acked=False, shelved=False, shelved_until_ns=None
    )
    return AlertEvent("pump", kind, "a7", 1, replace(alert, onset_ns=5 * HOUR, duration_ns=lasted_ns))


def detector(t_ns: int | None, *channels: tuple[str, int]) -> Detector:
    faults = tuple(ChannelFault(name, SensorFault.FLAT, since_ns) for name, since_ns in channels)
    seen: Any = SimpleNamespace(asset="pump", last_t_ns=t_ns, health_now=lambda: SimpleNamespace(channels=faults))
    return cast(Detector, seen)


def test_an_alert_is_marked_with_each_step_of_its_life_and_so_is_one_that_is_withheld() -> None:
    keeper = Keeper()
    marks = RecordingMarks(keeper, 0)
    marks.happened([event(EventType.NEW, 60), Withheld(event(EventType.END, 90))])
    assert keeper.marks == [
        ("pump", 5 * HOUR, 5 * HOUR + 60, "alert a7"),
        ("pump", 5 * HOUR, 5 * HOUR + 90, "alert a7"),
    ]


def test_a_sick_sensor_is_marked_as_it_is_found_out_hourly_and_as_it_is_well() -> None:
    keeper = Keeper()
    marks = RecordingMarks(keeper, 0)
    sick = ("flow", 5 * HOUR)
    for t_ns, channels in ((6 * HOUR, [sick]), (6 * HOUR + 1, [sick]), (7 * HOUR, [sick]), (7 * HOUR + 5, [])):
        marks.look([detector(t_ns, *channels)])
    assert keeper.marks == [
        ("pump", 5 * HOUR, 6 * HOUR, "sick flow"),
        ("pump", 5 * HOUR, 7 * HOUR, "sick flow"),
        ("pump", 5 * HOUR, 7 * HOUR + 5, "sick flow"),
    ]


def test_sensors_are_looked_at_once_a_minute_and_not_before_a_row_came() -> None:
    keeper = Keeper()
    marks = RecordingMarks(keeper, 0)
    marks.tick([detector(HOUR, ("flow", 0))], EVERY_NS - 1)
    marks.tick([detector(None, ("flow", 0))], EVERY_NS)
    marks.tick([detector(HOUR, ("flow", 0))], 2 * EVERY_NS - 1)
    assert keeper.marks == []
    marks.tick([detector(HOUR, ("flow", 0))], 2 * EVERY_NS)
    assert keeper.marks == [("pump", 0, HOUR, "sick flow")]
