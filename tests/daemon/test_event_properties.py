"""CloudEvents on a real broker: what the MQTT binding asks for, on events and nothing else."""

from pathlib import Path
from typing import Any

from tests.conftest import Broker, Node, Subscriber, wait_for

TOPIC = "plant/{}/telemetry"
T0_MS = 1_790_000_000_000


def episode() -> list[dict[str, float]]:
    return [{"ts": T0_MS + 100 * n, "a": 50.0 if 10 < n < 20 else 1.0, "b": 0.5} for n in range(60)]


def properties(message: Any) -> dict[str, str]:
    return dict(message.properties.UserProperty)


def content_type(message: Any) -> str:
    return str(message.properties.ContentType)


def test_every_event_is_a_cloud_event_in_binary_mode(node: Node, listener: Subscriber) -> None:
    node.start(options={"flood_limit": 1}).ready()
    for asset in ("p1", "p2"):
        listener.publish_all(TOPIC.format(asset), episode())
    wait_for(lambda: len(listener.on("/p1/event")) == 2 and listener.on("/flood"), "the events")
    events = listener.on("/event") + listener.on("/flood")
    found = [properties(message) for message in events]
    assert [{one["specversion"], one["source"]} for one in found] == [{"1.0", "/edge-ae/n1"}] * len(events)
    assert {content_type(message) for message in events} == {"application/json"}
    assert {one["type"] for one in found} >= {"edge-ae.alert.new", "edge-ae.alert.end", "edge-ae.flood.new"}
    bodies = listener.bodies("/p1/event")
    assert [(one["id"], one["subject"]) for one in map(properties, listener.on("/p1/event"))] == [
        (f"{body['id']}-{body['seq']}", "p1") for body in bodies
    ]
    assert [one["time"] for one in map(properties, listener.on("/p1/event"))] == [
        bodies[0]["ts_raised"],
        bodies[1]["ts_cleared"],
    ]
    assert len({(one["source"], one["id"]) for one in found}) == len(found)


def test_a_state_is_no_cloud_event(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC.format("p1"), episode())
    wait_for(lambda: listener.on("/p1/event") and listener.on("/p1/health"), "all of it")
    for ending in ("/alert", "/health", "/score", "/stats"):
        assert [properties(message) for message in listener.on(ending) if "id" in properties(message)] == []


def test_an_event_that_is_sent_again_has_the_same_attributes(node: Node, listener: Subscriber, tmp_path: Path) -> None:
    node.start().ready()
    listener.publish_all(TOPIC.format("p1"), episode())
    wait_for(lambda: len(listener.on("/p1/event")) == 2, "the events")
    node.stop()
    folder = tmp_path / "without memory"
    folder.mkdir()
    another = Broker(folder).start()
    later = Subscriber(another.port)
    node.start(port=another.port).ready()
    wait_for(lambda: len(later.on("/p1/event")) == 2, "the events, for this broker knows nothing of them")
    assert list(map(properties, later.on("/p1/event"))) == list(map(properties, listener.on("/p1/event")))
    later.close()
    another.close()
