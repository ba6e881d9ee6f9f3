"""Alarms and events for thin-edge.io: what is published, when, and what a real broker keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge_ae import wiring
from edge_ae.bridges import thin_edge
from edge_ae.bridges.thin_edge import EVENTS_KEPT, ThinEdge
from edge_ae.config.settings import Settings
from edge_ae.core.alert_events import AlertEvent, EventType
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.suppression import Silence
from edge_ae.core.timestamps import MS
from edge_ae.daemon.bridge import Bridges
from edge_ae.mqtt.link import Link
from tests.conftest import Broker, Node, Subscriber, wait_for
from tests.daemon.node_process import watch
from tests.models import alert_of

T_MS = 1_790_000_000_000
ALARM, EVENT = "te/device/{}///a/anomaly", "te/device/{}///e/anomaly"


class Cloud:
    """The bridge with a fleet in which nothing is amiss, and a broker that may be away."""

    def __init__(self, assets: int = 1) -> None:
        self.fleet = Fleet("pi-7", 10_000)
        for number in range(assets):
            self.fleet.add(f"p{number}", watch())
        self.sent: list[tuple[str, bytes, bool]] = []
        self.reachable = True
        self.bridge = ThinEdge(self._send)

    def _send(self, topic: str, payload: bytes, qos: int, retain: bool) -> int | None:
        assert qos == 1
        if self.reachable:
            self.sent.append((topic, payload, retain))
        return 1 if self.reachable else None

    def tick(self) -> list[tuple[str, bytes, bool]]:
        self.sent.clear()
        self.bridge.tick(self.fleet.detectors, dict, 0)
        return [*self.sent]


def step(kind: EventType = EventType.NEW, **facts: Any) -> AlertEvent:
    return AlertEvent(
        "p0", kind, "a1", 1, alert_of(raised_ns=T_MS * 1_000_000, reason="flow is too low", severity="high", **facts)
    )


def test_asset_without_an_alert_has_its_alarm_emptied_once_a_connection() -> None:
    cloud = Cloud(2)
    emptied = [(ALARM.format(asset), b"", True) for asset in ("p0", "p1")]
    assert (cloud.tick(), cloud.tick()) == (emptied, [])
    cloud.bridge.connected(cloud.fleet.detectors)
    assert cloud.tick() == emptied


def test_a_suppressed_alert_is_no_alarm_and_no_event() -> None:
    cloud = Cloud(0)
    for number in range(8):
        cloud.fleet.push(
            Readings("p0", T_MS * MS + number * 100 * MS, {"a": 1.0 if number < 6 else 50.0, "b": 0.0}), watch()
        )
        cloud.fleet.step()
        if number == 4:
            cloud.fleet.detectors["p0"].add_silence(Silence(0, 2**62))
    assert cloud.fleet.detectors["p0"].alert_now().state == "suppressed"
    assert cloud.tick() == [(ALARM.format("p0"), b"", True)]


def test_alarm_that_could_not_be_sent_is_sent_later() -> None:
    cloud = Cloud()
    cloud.reachable = False
    cloud.tick()
    cloud.reachable = True
    assert cloud.tick() == [(ALARM.format("p0"), b"", True)]


def test_alarms_of_many_assets_are_spread_over_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thin_edge, "PER_TICK", 3)
    cloud = Cloud(7)
    assert [len(cloud.tick()) for _ in range(4)] == [3, 3, 1, 0]


def test_step_of_an_alert_is_an_event_with_its_sentence() -> None:
    cloud = Cloud(0)
    cloud.bridge.happened([step()])
    ((topic, payload, retain),) = cloud.tick()
    assert (topic, retain) == (EVENT.format("p0"), False)
    assert json.loads(payload) == {
        "type": "new", "id": "a1", "severity": "high", "text": "flow is too low", "time": "2026-09-21T14:13:20.000Z",
    }  # fmt: skip


def test_events_wait_for_a_connection_in_their_order_and_the_oldest_are_lost() -> None:
    cloud = Cloud(0)
    cloud.reachable = False
    cloud.bridge.happened([step(EventType.NEW)] + [step(EventType.UPDATE)] * EVENTS_KEPT)
    assert (cloud.tick(), cloud.bridge.lost) == ([], 1)
    cloud.reachable = True
    assert {json.loads(payload)["type"] for _, payload, _ in cloud.tick()} == {"update"}


def test_alarm_goes_with_its_asset() -> None:
    cloud = Cloud(2)
    bridges = Bridges([cloud.bridge])
    bridges.settle(cloud.fleet.detectors)
    del cloud.fleet.detectors["p1"]
    assert bridges.settle(cloud.fleet.detectors) == (frozenset(), frozenset({ALARM.format("p1")}))


def kept(port: int, topic: str) -> list[bytes]:
    """What the broker has retained on a topic."""
    late = Subscriber(port, topic, "late")
    late.publish(topic, b"after")
    wait_for(lambda: late.messages and late.messages[-1].payload == b"after", "what is sent after it")
    found = [bytes(message.payload) for message in late.messages if message.retain]
    late.close()
    return found


def test_alert_is_a_retained_alarm_until_it_ends(tmp_path: Path, broker: Broker) -> None:
    cloud, node = Subscriber(broker.port, "te/#", "cloud"), Node(tmp_path, broker.port, thin_edge=True)
    node.start().ready()
    rows = [{"ts": T_MS + 100 * n, "a": 50.0 if 10 < n < 20 else 1.0, "b": 0.0} for n in range(100)]
    cloud.publish_all("plant/pump/telemetry", rows[:16])
    raised = wait_for(lambda: next((m for m in cloud.on("a/anomaly") if m.payload), None), "the alarm")
    assert raised.topic == ALARM.format("pump")
    alarm = json.loads(raised.payload)
    assert alarm.keys() == {"severity", "text", "time"}
    assert (alarm["severity"], "a " in alarm["text"]) == ("critical", True)
    cloud.publish_all("plant/pump/telemetry", rows[16:])
    wait_for(lambda: not cloud.on("a/anomaly")[-1].payload, "its end")
    wait_for(lambda: [event["type"] for event in cloud.bodies("e/anomaly")][-1:] == ["end"], "the event of the end")
    assert node.stop() == 0
    cloud.close()
    assert kept(broker.port, ALARM.format("pump")) == []


@pytest.mark.parametrize("alarms", [True, False])
def test_setting_switches_it(alarms: bool, tmp_path: Path) -> None:
    settings = Settings.model_validate({"node": "n1", "state_dir": tmp_path, "thin_edge": {"alarms": alarms}})
    assert (wiring._thin_edge(settings, Link(wiring.link_options(settings))) is not None) is alarms
