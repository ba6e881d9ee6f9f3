"""`edge-ae purge` on a real broker: it shows what is left over, removes it when it is asked to, and touches nothing else."""

import subprocess
import sys
from typing import Any

import orjson
import pytest

from edge_ae.bridges.homeassistant_entities import asset_message, node_message, topic_of
from edge_ae.cli import purge as purge_command
from edge_ae.cli.main import main
from edge_ae.core import leftovers
from edge_ae.core.timestamps import rfc3339
from edge_ae.mqtt import leftover_topics
from tests.conftest import Broker, Node, Subscriber, wait_for

OLD = {"ts": rfc3339(1_700_000_000 * 10**9), "assets": 1, "asset": {"pump": {}}}
ALARM = "te/device/pump///a/anomaly"
DEVICE = topic_of("homeassistant", "edge-ae/old", "pump")
OURS = {
    "edge-ae/old/status": b"offline",
    "edge-ae/old/stats": OLD,
    "edge-ae/old/pump/alert": {"state": "active"},
    "edge-ae/old/pump/health": {},
    DEVICE: asset_message("edge-ae/old", "pump", "m", 30),
    topic_of("homeassistant", "edge-ae/old", None): node_message("edge-ae/old", "old"),
    ALARM: {"severity": "major"},
}
OTHERS = {
    "edge-ae/new/status": b"offline",
    "edge-ae/old/pump/speed": 3,
    "homeassistant/device/shelly/config": {"o": {"name": "shelly"}},
    "te/device/fan///a/anomaly": {"severity": "major"},
    "plant/old/status": b"offline",
}


def purge(broker: Broker, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_ae", "purge", "--host", "127.0.0.1", "--port", str(broker.port), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def keep(listener: Subscriber, messages: dict[str, Any]) -> None:
    for topic, body in messages.items():
        listener.publish(topic, body, retain=True).wait_for_publish(10)


def kept(broker: Broker) -> set[str]:
    """What the broker retains."""
    late = Subscriber(broker.port, "#", "late")
    late.publish("end", b"x")
    wait_for(lambda: late.on("end"), "what is sent after it")
    found = {message.topic for message in late.messages if message.retain}
    late.close()
    return found


def test_what_is_left_over_is_shown_and_stays(broker: Broker, listener: Subscriber) -> None:
    keep(listener, OURS | OTHERS)
    done = purge(broker)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "old: offline, its last stats are of 2023-11-14 22:13 UTC"
    assert {line.strip() for line in lines[1:8]} == set(OURS)
    assert lines[8:] == [
        "note: new stays: offline, nobody knows since when",
        "7 retained messages would be removed, each by an empty one on its topic; --yes does it",
    ]
    assert kept(broker) == OURS.keys() | OTHERS.keys()


def test_what_is_left_over_is_removed_with_yes_and_nothing_else_is(broker: Broker, listener: Subscriber) -> None:
    keep(listener, OURS | OTHERS)
    done = purge(broker, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "7 retained messages removed"
    assert kept(broker) == OTHERS.keys()
    assert purge(broker, "--yes").stdout.splitlines()[-1] == "nothing is left over"


def test_node_that_is_named_goes_and_one_that_is_unknown_is_a_fault(broker: Broker, listener: Subscriber) -> None:
    keep(listener, OTHERS)
    assert purge(broker, "--node", "new", "--yes").returncode == 0
    assert "edge-ae/new/status" not in kept(broker)
    done = purge(broker, "--node", "never", "--yes")
    assert (done.returncode, done.stderr) == (
        1,
        "edge-ae: --node never: nothing is retained of a node of this name\n",
    )


def test_asset_that_a_running_daemon_watches_no_more_goes_and_those_that_it_watches_stay(
    broker: Broker,
    listener: Subscriber,
    node: Node,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node.start(options={"stats_interval_s": 0.3}).ready()
    listener.publish_all("plant/pump/telemetry", [{"ts": 1_790_000_000_000, "a": 1.0, "b": 0.0}])
    wait_for(lambda: "pump" in (listener.last("n1/stats") or {"asset": {}})["asset"], "the asset")
    keep(listener, {"edge-ae/n1/gone/alert": {}, "edge-ae/n1/gone/health": {}})
    monkeypatch.setattr(leftovers, "SETTLED_S", 0)  # as if the daemon had been running for 10 minutes
    assert main(["purge", "--host", "127.0.0.1", "--port", str(broker.port), "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "n1/gone: n1 watches no such asset"
    assert {topic for topic in kept(broker) if "/gone/" in topic} == set()
    assert {"edge-ae/n1/pump/alert", "edge-ae/n1/pump/health"} <= kept(broker)
    refused = purge(broker, "--node", "n1", "--yes")
    assert refused.returncode == 1
    assert "--node n1: it is online" in refused.stderr
    assert "edge-ae/n1/status" in kept(broker)


def test_daemon_that_has_just_begun_without_saved_state_keeps_the_assets_of_which_nothing_has_come_yet(
    broker: Broker, listener: Subscriber, node: Node
) -> None:
    keep(listener, {"edge-ae/n1/pump/alert": {"state": "active"}})
    node.start(options={"stats_interval_s": 0.3}).ready()
    done = purge(broker, "--yes")
    assert done.stdout.splitlines() == [
        "note: n1 has been running for less than 10 minutes and may not know all of its assets yet: they stay",
        "nothing is left over",
    ]
    assert "edge-ae/n1/pump/alert" in kept(broker)


BACK = {"edge-ae/old/status": b"online", "edge-ae/old/pump/alert": {"state": "active", "id": "new"}}


@pytest.mark.parametrize(
    ("module", "at"), [(purge_command, "_show"), (leftover_topics, "_empty")], ids=["before", "under our hands"]
)
def test_node_that_comes_back_meanwhile_keeps_what_it_has_published(
    module: Any,
    at: str,
    broker: Broker,
    listener: Subscriber,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep(listener, OURS)
    done: Any = getattr(module, at)

    def comes_back(*arguments: Any) -> None:
        keep(listener, BACK)
        done(*arguments)

    monkeypatch.setattr(module, at, comes_back)
    assert main(["purge", "--host", "127.0.0.1", "--port", str(broker.port), "--yes"]) == 0
    assert "come back meanwhile" in capsys.readouterr().out
    late = Subscriber(broker.port, "edge-ae/old/#", "late")
    wait_for(lambda: len(late.messages) >= len(BACK), "what is retained")
    found = {message.topic: message.payload for message in late.messages}
    late.close()
    assert found["edge-ae/old/status"] == b"online"
    assert orjson.loads(found["edge-ae/old/pump/alert"])["id"] == "new"


@pytest.mark.parametrize(
    "broker_extra", ["autosave_interval 1800\nautosave_on_changes false\nmax_inflight_messages 0\n"], ids=["in memory"]
)
def test_thousands_of_topics_are_removed(broker: Broker, listener: Subscriber) -> None:
    many = {f"edge-ae/old/a{number}/alert": b"{}" for number in range(3_000)}
    infos = [listener.publish(topic, body, retain=True) for topic, body in (many | OURS).items()]
    infos[-1].wait_for_publish(30)
    done = purge(broker, "--yes")
    assert done.stdout.splitlines()[-1] == "3,007 retained messages removed"
    assert kept(broker) == set()


@pytest.mark.parametrize("broker_extra", ["acl_file {directory}/acl\n"], ids=["acl"])
def test_what_the_broker_keeps_all_the_same_is_a_fault(broker_extra: str, tmp_path: Any) -> None:
    (tmp_path / "acl").write_text("topic readwrite edge-ae/old/status\ntopic readwrite edge-ae/old/stats\n")
    writer = Broker(tmp_path, broker_extra.format(directory=tmp_path)).start()
    listener = Subscriber(writer.port)
    try:
        keep(listener, {topic: OURS[topic] for topic in ("edge-ae/old/status", "edge-ae/old/stats")})
        (tmp_path / "acl").write_text("topic read edge-ae/#\ntopic write edge-ae/old/stats\n")
        writer.send(1)  # it reads its settings again
        done = purge(writer, "--yes")
    finally:
        listener.close()
        writer.close()
    assert done.returncode == 1
    assert "1 retained messages removed" in done.stdout
    assert "the broker keeps 1 of them, such as edge-ae/old/status; allow us to write there in its ACL" in done.stderr


def test_without_a_broker_there_is_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge_ae", "purge", "--host", "127.0.0.1", "--port", "1"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot be reached" in done.stderr
