"""The health topic on a real broker: which sensors are sick, retained, true again after a restart, and no alert of the asset."""

import signal
from typing import Any

import pytest

from edge_ae.store.node_store import FILE, NodeStore
from tests.conftest import Broker, Node, Subscriber, wait_for

TOPIC = "plant/p1/telemetry"
T0_MS = 1_790_000_000_000
QUIET = 8  # rows in a row with a value, after which a channel is back


def rows(first: int, last: int, **changes: Any) -> list[dict[str, Any]]:
    """A row each 100 ms, as the test's model has it; a channel that is changed to `...` is not sent."""
    whole = [{"ts": T0_MS + 100 * i, "a": 1.0 + i % 7 / 100, "b": 0.5} | changes for i in range(first, last)]
    return [{name: value for name, value in row.items() if value is not ...} for row in whole]


def faults(listener: Subscriber) -> Any:
    body = listener.last("/p1/health")
    return None if body is None else body["faults"]


def test_a_channel_that_is_gone_is_named_until_it_is_back_and_raises_no_alert(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows(0, 20))
    wait_for(lambda: faults(listener) == {}, "health of a sound asset")
    listener.publish_all(TOPIC, rows(20, 50, b=...))
    wait_for(lambda: faults(listener) == {"b": "stale"}, "the fault")
    body = listener.last("/p1/health")
    assert {key: body[key] for key in ("schema", "asset", "node", "state", "watched", "asset_fault")} == {
        "schema": 1, "asset": "p1", "node": "n1", "state": "fault", "watched": True, "asset_fault": None,
    }  # fmt: skip
    assert body["channels"] == [{"name": "b", "fault": "stale", "since": "2026-09-21T14:13:22.000Z"}]
    wait_for(lambda: listener.last("/p1/alert")["quality"] == 0.5, "the quality of what is known")
    listener.publish_all(TOPIC, rows(50, 50 + QUIET + 1))
    wait_for(lambda: faults(listener) == {}, "the fault's end")
    assert node.stop() == 0
    assert listener.bodies("/p1/event") == []
    assert [line for line in node.log.splitlines() if "channel b" in line] == [
        "WARNING p1: channel b: stale",
        "INFO p1: channel b: no fault any more",
    ]


@pytest.mark.parametrize("value", [float("nan"), "broken", [1.0]])
def test_a_channel_that_sends_no_numbers_differs_from_one_that_is_gone(
    value: Any, node: Node, listener: Subscriber
) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows(0, 40, a=value))
    wait_for(lambda: faults(listener) == {"a": "not_a_number"}, "the fault")


def test_slower_readings_are_said_and_no_sensor_is_blamed(node: Node, listener: Subscriber) -> None:
    node.start(options={"stats_interval_s": 0.1}).ready()
    listener.publish_all(TOPIC, rows(0, 300)[::20])
    wait_for(lambda: (listener.last("/p1/health") or {}).get("asset_fault") == "pace", "the pace")
    sentence = "readings come every 2 s, the model takes one every 100 ms"
    body = listener.last("/p1/health")
    assert (body["pace"], body["reason"], body["watched"], body["faults"]) == (sentence, sentence, False, {})
    wait_for(lambda: listener.last("/stats")["asset"].get("p1", {}).get("pace") == sentence, "the pace in stats")
    assert node.stop() == 0
    assert [line for line in node.log.splitlines() if "p1: pace" in line] == [f"WARNING p1: pace: {sentence}"]


def test_a_warm_up_is_in_the_log_when_it_begins_and_when_it_is_over(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows(0, 3))
    wait_for(lambda: (listener.last("/p1/health") or {}).get("watched") is False, "the warm-up")
    body = listener.last("/p1/health")
    assert (body["rows"], body["rows_needed"], body["watching"]) == (2, 4, "warm_up")
    listener.publish_all(TOPIC, rows(3, 10))
    wait_for(lambda: listener.last("/p1/health")["watched"], "the first score")
    assert node.stop() == 0
    assert [line.partition(", first")[0] for line in node.log.splitlines() if "watched" in line] == [
        "INFO p1: not watched: 2 of 4 rows",
        "INFO p1: watched",
    ]


def saved(node: Node) -> bool:
    """Whether the fault is on disk."""
    store = NodeStore(node.directory / "state" / FILE)
    state = store.load()
    store.close()
    return state is not None and "p1" in state.assets and state.assets["p1"].state["health"]["faults"] != []


def test_health_is_retained_and_survives_a_crash(node: Node, broker: Broker, listener: Subscriber) -> None:
    node.start(options={"checkpoint_s": 0.1}).ready()
    listener.publish_all(TOPIC, rows(0, 40, b=...))
    wait_for(lambda: faults(listener) == {"b": "stale"}, "the fault")
    wait_for(lambda: saved(node), "a checkpoint")
    node.stop(signal.SIGKILL)
    late = Subscriber(broker.port, "edge-ae/n1/p1/health", "late")
    wait_for(lambda: faults(late) == {"b": "stale"}, "the retained health")
    assert late.messages[0].retain
    node.start(options={"checkpoint_s": 0.1}).ready()
    wait_for(lambda: len(late.messages) >= 2, "health of the new process")
    assert faults(late) == {"b": "stale"}
    late.close()


def test_health_of_an_asset_that_is_not_configured_any_more_is_withdrawn(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows(0, 5))
    wait_for(lambda: faults(listener) == {}, "health")
    (node.directory / "state" / "feeds.json").write_text('[{"topic": "other/{asset}"}]')
    node.send(signal.SIGHUP)
    wait_for(lambda: listener.on("/p1/health")[-1].payload == b"", "the withdrawal")
