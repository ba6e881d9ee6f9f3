"""The daemon as a process, on a real broker: the answer of the core alone, whatever dies in between."""

import json
import random
import signal
import time
from collections.abc import Sequence
from typing import Any

import pytest

from edge_ae.core.events import AlertEvent
from edge_ae.core.fleet import Fleet
from edge_ae.core.payloads import alert_payload
from edge_ae.core.timestamps import rfc3339
from tests.conftest import Broker, Node, Subscriber, wait_for
from tests.daemon.node_process import feed

T0_MS = 1_790_000_000_000
TOPIC = "plant/p1/telemetry"


def rows(pattern: Sequence[tuple[int, float]], start: int = 0) -> list[dict[str, Any]]:
    """`pattern`: how many rows, and the value of `a` in them."""
    values = [value for count, value in pattern for _ in range(count)]
    return [{"ts": T0_MS + (start + i) * 100, "a": value + i % 7 / 100, "b": 0.5} for i, value in enumerate(values)]


def excursions(number: int) -> list[dict[str, Any]]:
    return rows([(20, 1.0), (15, 30.0)] * number + [(20, 1.0)])


def core_events(payloads: Sequence[dict[str, Any]], topic: str = TOPIC) -> list[tuple[str, int, str, str | None]]:
    """What the core alone makes of the same payloads."""
    fleet, fed = Fleet("n1"), feed()
    for payload in payloads:
        for readings in fed.decoder.decode(topic, json.dumps(payload).encode(), 2 * T0_MS * 10**6):
            fleet.push(readings, fed.watch)
    return [identity(alert_payload(event.alert)) for event in fleet.step() if isinstance(event, AlertEvent)]


def identity(body: Any) -> tuple[str, int, str, str | None]:
    return body["id"], body["seq"], body["type"], body["ts_cleared"]


def heard(listener: Subscriber, asset: str = "p1") -> list[tuple[str, int, str, str | None]]:
    return [identity(body) for body in listener.bodies(f"/{asset}/event")]


def heard_once(listener: Subscriber) -> list[tuple[str, int, str, str | None]]:
    """A broker may deliver twice: (id, seq) is what a subscriber goes by."""
    return list(dict.fromkeys(heard(listener)))


def confirmed(node: Node) -> int:
    """How many events the daemon knows the broker to have."""
    path = node.directory / "state" / "outbox.log"
    return path.read_bytes().count(b'{"done":') if path.exists() else 0


def marked(listener: Subscriber) -> tuple[str, int] | None:
    """The last event that the broker has, as the daemon left it there."""
    mark = listener.last("n1/outbox")
    return None if mark is None else tuple(mark)


def test_live_answer_is_that_of_the_core_alone(node: Node, listener: Subscriber) -> None:
    payloads = excursions(5)
    expected = core_events(payloads)
    node.start().ready()
    listener.publish_all(TOPIC, payloads)
    wait_for(lambda: len(heard(listener)) >= len(expected))
    assert len(expected) == 10
    assert heard(listener) == expected
    assert node.stop() == 0


def test_kill_in_mid_stream_loses_and_doubles_nothing(node: Node, listener: Subscriber) -> None:
    payloads = excursions(30)
    expected = core_events(payloads)
    dice = random.Random(4)
    node.start(options={"checkpoint_s": 0.2, "flood_limit": 1000}).ready()
    for first in range(0, len(payloads), 200):
        listener.publish_all(TOPIC, payloads[first : first + 200])
        time.sleep(dice.uniform(0.0, 0.3))  # somewhere in between, and where is not for the test to choose
        node.stop(signal.SIGKILL)
        node.start(options={"checkpoint_s": 0.2, "flood_limit": 1000}).ready()
    wait_for(lambda: len(heard_once(listener)) >= len(expected))
    node.stop()
    assert heard_once(listener) == expected


def test_events_of_a_killed_daemon_are_told_once_by_the_next(node: Node, listener: Subscriber) -> None:
    """No checkpoint came between: the broker delivers all input again, and the outbox knows what it has told."""
    payloads = excursions(3)
    expected = core_events(payloads)
    node.start(options={"checkpoint_s": 1000}).ready()
    listener.publish_all(TOPIC, payloads[:75])
    wait_for(lambda: len(heard(listener)) == confirmed(node) == 3)
    node.stop(signal.SIGKILL)
    node.start(options={"checkpoint_s": 1000}).ready()
    listener.publish_all(TOPIC, payloads[75:])
    wait_for(lambda: len(heard(listener)) >= len(expected))
    node.stop()
    assert heard(listener) == expected


def test_input_published_while_the_daemon_is_away_is_used_when_it_is_back(node: Node, listener: Subscriber) -> None:
    payloads = excursions(2)
    node.start().ready()
    listener.publish_all(TOPIC, payloads[:30])
    node.stop()
    listener.publish_all(TOPIC, payloads[30:])
    node.start().ready()
    expected = core_events(payloads)
    wait_for(lambda: len(heard(listener)) >= len(expected))
    assert heard(listener) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_broker_that_dies_and_comes_back_costs_no_alert(
    node: Node, broker: Broker, listener: Subscriber, number: int
) -> None:
    payloads = excursions(4)
    expected = core_events(payloads)
    node.start().ready()
    listener.publish_all(TOPIC, payloads[:60])
    wait_for(lambda: len(heard(listener)) >= 3)
    broker.stop(number)
    broker.start()
    wait_for(lambda: node.log.count("connected to the broker") == 2)
    listener.publish_all(TOPIC, payloads[60:])
    wait_for(lambda: len(heard_once(listener)) >= len(expected))
    assert heard_once(listener) == expected


def test_broker_restored_from_an_older_save_is_told_what_it_forgot(
    node: Node, broker: Broker, listener: Subscriber
) -> None:
    """As after a power cut of the broker's machine: its session is there, the newest alerts are not."""
    payloads = excursions(2)
    node.start().ready()
    listener.publish_all(TOPIC, payloads[:55])
    wait_for(lambda: marked(listener) == core_events(payloads)[1][:2])
    saved = broker.saved()
    listener.publish_all(TOPIC, payloads[55:])
    wait_for(lambda: marked(listener) == core_events(payloads)[3][:2])
    wait_for(lambda: len(heard_once(listener)) == 4)
    broker.stop(signal.SIGKILL)
    broker.restore(saved)
    broker.start()
    wait_for(lambda: "restored from an older save" in node.log)
    wait_for(lambda: all(heard(listener).count(event) > 1 for event in core_events(payloads)[2:]))


def test_clean_restart_of_the_broker_repeats_nothing(node: Node, broker: Broker, listener: Subscriber) -> None:
    """The input that it kept meanwhile comes before its mark, and with it the next events."""
    payloads = excursions(30)
    expected = core_events(payloads)
    node.start(options={"flood_limit": 1000}).ready()
    listener.publish_all(TOPIC, payloads[:60])
    wait_for(lambda: confirmed(node) == 3)
    node.send(signal.SIGSTOP)
    listener.publish_all(TOPIC, payloads[60:])
    broker.stop(signal.SIGTERM)
    broker.start()
    node.send(signal.SIGCONT)
    wait_for(lambda: len(heard_once(listener)) >= len(expected))
    node.stop()
    assert heard(listener) == expected
    assert "older save" not in node.log


def test_killed_daemon_is_not_misled_by_a_mark_that_it_never_acknowledged(node: Node, listener: Subscriber) -> None:
    payloads = excursions(3)
    expected = core_events(payloads)
    node.start().ready()
    listener.publish_all(TOPIC, payloads[:55])
    wait_for(lambda: confirmed(node) == 2)
    node.stop()
    node.start(options={"checkpoint_s": 1000}).ready()  # here the broker gives it the mark of the second event
    listener.publish_all(TOPIC, payloads[55:75])
    wait_for(lambda: confirmed(node) == 3)
    node.stop(signal.SIGKILL)
    node.start().ready()
    listener.publish_all(TOPIC, payloads[75:])
    wait_for(lambda: len(heard_once(listener)) >= len(expected))
    node.stop()
    assert heard(listener) == expected


def test_broker_that_is_not_there_is_said_once_and_waited_for(node: Node, broker: Broker) -> None:
    broker.stop()
    node.start()
    wait_for(lambda: "cannot be reached" in node.log)
    broker.start()
    node.ready()
    assert node.log.count("cannot be reached") == 1
    assert node.stop() == 0


def test_alert_stays_on_over_a_restart_and_ends_under_its_id(node: Node, broker: Broker, listener: Subscriber) -> None:
    payloads = rows([(20, 1.0), (10, 30.0), (30, 1.0)])
    node.start().ready()
    listener.publish_all(TOPIC, payloads[:30])
    wait_for(lambda: listener.last("p1/alert") and listener.last("p1/alert")["state"] == "active")
    node.stop(signal.SIGKILL)
    count = len(listener.on("p1/alert"))
    node.start().ready()
    again = wait_for(lambda: listener.bodies("p1/alert")[count:])
    assert (again[0]["state"], again[0]["id"]) == ("active", heard(listener)[0][0])
    listener.publish_all(TOPIC, payloads[30:])
    wait_for(lambda: listener.last("p1/alert")["state"] == "normal")
    assert heard(listener) == core_events(payloads)
    late = Subscriber(broker.port, "edge-ae/n1/p1/alert", "late")
    assert wait_for(lambda: late.on("alert"))[0].retain
    late.close()


def test_alert_that_a_lost_checkpoint_forgot_is_ended(node: Node, listener: Subscriber) -> None:
    """Told, acknowledged, then its checkpoints vanish: the broker will not say it again, so the outbox must end it."""
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0), (10, 30.0)]))
    wait_for(lambda: len(heard(listener)) == 1)
    node.stop()
    for name in ("checkpoint.0", "checkpoint.1"):
        (node.directory / "state" / name).write_bytes(b"edge-ae checkpoint 1 3 0000\nnothing")
    node.start().ready()
    listener.publish_all(TOPIC, rows([(30, 1.0)], start=30))
    wait_for(lambda: len(heard(listener)) >= 2)
    (new, end) = heard(listener)
    assert (end[0], end[2]) == (new[0], "end")
    assert "checkpoint.0 is damaged" in node.log


def test_damaged_newest_checkpoint_falls_back_to_the_one_before(node: Node, listener: Subscriber) -> None:
    payloads = excursions(3)
    node.start(options={"checkpoint_s": 0.1}).ready()
    for first in range(0, 75, 25):
        listener.publish_all(TOPIC, payloads[first : first + 25])
        time.sleep(0.3)  # let a checkpoint come between
    node.stop(signal.SIGKILL)
    state = node.directory / "state"
    newest = max(state.glob("checkpoint.[01]"), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-10])
    node.start(options={"checkpoint_s": 0.1}).ready()
    listener.publish_all(TOPIC, payloads[75:])
    wait_for(lambda: listener.last("p1/alert")["state"] == "normal" and len(heard(listener)) >= 6)
    ids = {event[0] for event in heard(listener)}
    kinds = [(event[0], event[2]) for event in heard(listener)]
    assert all((one, "new") in kinds and (one, "end") in kinds for one in ids)
    assert f"{newest.name} is damaged" in node.log


def test_status_is_online_then_offline_and_offline_by_will_when_killed(node: Node, listener: Subscriber) -> None:
    def status() -> list[bytes]:
        return [bytes(message.payload) for message in listener.on("n1/status")]

    node.start().ready()
    wait_for(lambda: status() == [b"online"])
    node.stop()
    wait_for(lambda: status() == [b"online", b"offline"])
    node.start().ready()
    node.stop(signal.SIGKILL)
    wait_for(lambda: status() == [b"online", b"offline"] * 2)


def test_commands_are_carried_out_and_answered(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0), (10, 30.0)]))
    wait_for(lambda: heard(listener))
    identity = heard(listener)[0][0]
    command = "edge-ae/n1/p1/cmd/"
    assert listener.ask(command + "ack", {"id": "another"})["ok"] is False
    assert listener.ask(command + "ack", {"id": identity}) == {"ok": True}
    assert listener.ask(command + "feedback", {"id": identity, "label": "false_alarm"}) == {"ok": True}
    assert listener.ask(command + "shelve", {"duration_s": 60}) == {"ok": True}
    assert listener.ask(command + "dance", {})["error"].startswith("'dance' is no command")
    assert listener.ask("edge-ae/n1/p9/cmd/ack", {})["error"] == "no asset 'p9' is watched here"
    wait_for(lambda: (alert := listener.last("p1/alert")) and alert["acked"] and alert["shelved"])
    feedback = json.loads((node.directory / "state" / "feedback.jsonl").read_text())
    assert (feedback["asset"], feedback["id"], feedback["label"]) == ("p1", identity, "false_alarm")


def test_shelving_survives_a_kill(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0)]))
    wait_for(lambda: listener.on("p1/score"))
    assert listener.ask("edge-ae/n1/p1/cmd/shelve", {"one_shot": True}) == {"ok": True}
    node.stop(signal.SIGKILL)
    node.start().ready()
    listener.publish_all(TOPIC, rows([(10, 30.0), (30, 1.0), (10, 30.0)], start=20))
    wait_for(lambda: heard(listener))
    assert [event[2] for event in heard(listener)] == ["new"]  # the first excursion was silent to its end


def test_shelving_ends_by_the_wall_clock_though_no_reading_comes(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0)]))
    wait_for(lambda: listener.on("p1/score"))
    assert listener.ask("edge-ae/n1/p1/cmd/shelve", {"duration_s": 1.5}) == {"ok": True}
    listener.publish_all(TOPIC, rows([(10, 30.0)], start=20))
    wait_for(lambda: (alert := listener.last("p1/alert")) and alert["state"] == "active")
    wait_for(lambda: (alert := listener.last("p1/alert")) and not alert["shelved"])
    wait_for(lambda: heard(listener))
    assert [event[2] for event in heard(listener)] == ["new"]


def test_retained_command_is_refused(node: Node, listener: Subscriber) -> None:
    listener.publish("edge-ae/n1/p1/cmd/shelve", {"one_shot": True}, retain=True).wait_for_publish(5)
    node.start().ready()
    wait_for(lambda: "a command must not be retained" in node.log)


def test_flood_of_alerts_becomes_one_summary(node: Node, listener: Subscriber) -> None:
    node.start(options={"flood_limit": 3}).ready()
    for asset in range(8):
        listener.publish_all(f"plant/p{asset}/telemetry", rows([(10, 1.0), (10, 30.0)]))
    wait_for(lambda: listener.on("n1/flood"))
    wait_for(lambda: (alert := listener.last("p7/alert")) and alert["state"] == "active")
    new = [body for body in listener.bodies("/event") if body["type"] == "new"]
    (summary,) = listener.bodies("n1/flood")
    assert len(new) == 3
    assert (summary["type"], summary["count"], summary["assets"]) == ("new", 1, ["p3"])


def test_bad_payloads_are_counted_and_harm_nobody(node: Node, listener: Subscriber) -> None:
    payloads = excursions(1)
    node.start(options={"stats_interval_s": 1}).ready()
    for i, payload in enumerate(payloads):
        listener.publish("plant/p2/telemetry", [b"{", b"[]", b"\xff\x00", b'{"a": true}'][i % 4])
        listener.publish(TOPIC, payload)
    wait_for(lambda: len(heard(listener)) == 2)
    assert heard(listener) == core_events(payloads)
    wait_for(lambda: (stats := listener.last("n1/stats")) and stats["used"] == len(payloads))
    stats = listener.last("n1/stats")
    assert stats["refused"] == len(payloads)
    assert stats["received"] == stats["used"] + stats["refused"] + stats["other_topics"]
    assert stats["dropped"]["not_json"] == 2 * stats["dropped"]["empty"] > 0
    assert node.log.count("payload not used (not_json)") == 3


def test_settings_are_taken_up_on_hangup_without_losing_a_row(node: Node, listener: Subscriber) -> None:
    payloads = excursions(4)
    state = node.directory / "state"
    node.start(options={"flood_limit": 1000}).ready()
    for first in range(0, len(payloads), 10):
        (state / "feeds.json").write_text(json.dumps([{}, {"topic": f"hall/{first}/{{asset}}"}]))
        node.send(signal.SIGHUP)
        listener.publish_all(TOPIC, payloads[first : first + 10])
    expected = core_events(payloads)
    wait_for(lambda: len(heard(listener)) >= len(expected))
    assert heard(listener) == expected
    assert "settings and models taken up" in node.log


def test_bad_settings_on_hangup_change_nothing(node: Node, listener: Subscriber) -> None:
    payloads = excursions(1)
    node.start().ready()
    (node.directory / "state" / "feeds.json").write_text("{")
    listener.publish_all(TOPIC, payloads[:20])
    node.send(signal.SIGHUP)
    wait_for(lambda: "the settings are not taken up" in node.log)
    listener.publish_all(TOPIC, payloads[20:])
    wait_for(lambda: len(heard(listener)) == 2)
    assert heard(listener) == core_events(payloads)


def test_asset_whose_stream_is_gone_is_ended_and_withdrawn(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0), (10, 30.0)]))
    wait_for(lambda: heard(listener))
    (node.directory / "state" / "feeds.json").write_text(json.dumps([{"topic": "hall/{asset}"}]))
    node.send(signal.SIGHUP)
    wait_for(lambda: len(heard(listener)) == 2)
    assert heard(listener)[1][2] == "end"
    wait_for(lambda: listener.on("p1/alert")[-1].payload == b"")


def test_disk_that_cannot_be_written_stops_nothing_and_is_said(node: Node, listener: Subscriber) -> None:
    payloads = excursions(6)
    state = node.directory / "state"
    state.mkdir()
    blocks = [state / "checkpoint.0.tmp", state / "checkpoint.1.tmp"]
    for block in blocks:
        block.mkdir()
    node.start(receive_maximum=20, options={"checkpoint_s": 0.1, "stats_interval_s": 1, "flood_limit": 1000}).ready()
    listener.publish_all(TOPIC, payloads)
    expected = core_events(payloads)
    wait_for(lambda: len(heard(listener)) == len(expected))
    assert heard(listener) == expected
    wait_for(lambda: "cannot be written" in str(listener.last("n1/stats")["fault"]))
    for block in blocks:
        block.rmdir()
    listener.publish_all(TOPIC, rows([(5, 1.0)], start=len(payloads)))
    wait_for(lambda: listener.last("n1/stats")["fault"] is None)
    assert "can be written again" in node.log


@pytest.mark.parametrize("broker_extra", ["max_inflight_messages 20\n"])
def test_broker_that_allows_few_messages_under_way_is_noticed_and_served(node: Node, listener: Subscriber) -> None:
    payloads = rows([(200, 1.0), (10, 30.0)])
    node.start(protocol="3.1.1", options={"checkpoint_s": 1000}).ready()  # version 5 has a receive-maximum of its own
    listener.publish_all(TOPIC, payloads)
    wait_for(lambda: heard(listener))
    assert heard(listener) == core_events(payloads)
    assert node.log.count("the broker lets 20 messages wait") == 1


def test_input_that_pauses_is_not_taken_for_a_broker_that_waits(node: Node, listener: Subscriber) -> None:
    payloads = excursions(2)
    node.start().ready()
    for first in range(0, len(payloads), 45):
        listener.publish_all(TOPIC, payloads[first : first + 45])
        time.sleep(4.0)  # longer than a stall, and what it may be late
    assert "max_inflight_messages" not in node.log


def test_stop_takes_less_than_five_seconds_with_the_broker_gone(node: Node, broker: Broker) -> None:
    node.start().ready()
    broker.send(signal.SIGSTOP)
    assert node.stop() == 0


def test_signals_without_noise_are_published_where_they_are_asked_for(node: Node, listener: Subscriber) -> None:
    """The test model restores zeros; without the setting, nothing is said."""
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0)]))
    wait_for(lambda: listener.on("p1/score"))
    node.stop()
    assert listener.on("p1/denoised") == []
    node.start(options={"denoised": True, "score_interval_s": 0.0}).ready()
    last = rows([(20, 1.0)], start=20)
    listener.publish_all(TOPIC, last)
    newest = {"a": 0.0, "b": 0.0, "ts": rfc3339(last[-2]["ts"] * 1_000_000)}  # the last row is open still
    wait_for(lambda: newest in listener.bodies("p1/denoised"))
    assert {(message.qos, message.retain) for message in listener.on("p1/denoised")} == {(0, False)}


def test_stats_say_what_was_asked_of_the_budget_and_what_was_spent_in_its_interval(
    node: Node, listener: Subscriber
) -> None:
    def budget() -> list[Any]:
        asset = (listener.last("n1/stats") or {"asset": {}})["asset"].get("p1", {})
        return [asset.get(f"budget_{word}") for word in ("per_week", "interval_s", "spent")]

    node.start(options={"stats_interval_s": 1}).ready()
    listener.publish_all(TOPIC, excursions(3))
    wait_for(lambda: budget() == [1.0, 7 * 86_400, 3])
    node.stop(signal.SIGKILL)
    node.start(options={"stats_interval_s": 1}).ready()
    week_of_rows = 7 * 86_400 * 10
    listener.publish_all(TOPIC, rows([(10, 1.0)], start=len(excursions(3)) + week_of_rows))
    wait_for(lambda: budget() == [1.0, 7 * 86_400, 0])
