"""The daemon as a process, on a real broker: the answer of the core alone, whatever dies in between."""

import json
import random
import signal
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import pytest

from edge_ae.core.alert_events import AlertEvent
from edge_ae.core.fleet import Fleet
from edge_ae.core.payloads import alert_payload
from edge_ae.core.timestamps import rfc3339
from edge_ae.store.feedback import read_feedback
from edge_ae.store.node_store import FILE, Changes, NodeStore
from edge_ae.store.outbox import OutgoingMessage
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
            fleet.push(readings, fed.watches.watch_of(readings.asset))
    return [identity(alert_payload(event.alert)) for event in fleet.step() if isinstance(event, AlertEvent)]


def identity(body: Any) -> tuple[str, int, str, str | None]:
    return body["id"], body["seq"], body["type"], body["ts_cleared"]


def published(listener: Subscriber, asset: str = "p1") -> list[tuple[str, int, str, str | None]]:
    return [identity(body) for body in listener.bodies(f"/{asset}/event")]


def published_once(listener: Subscriber) -> list[tuple[str, int, str, str | None]]:
    """A broker may deliver twice: (id, seq) is what a subscriber goes by."""
    return list(dict.fromkeys(published(listener)))


def marked(listener: Subscriber) -> tuple[str, int] | None:
    """The last event that the broker has, as the daemon left it there."""
    marks = [message.payload for message in listener.on("n1/outbox") if message.payload != b""]
    return tuple(json.loads(marks[-1])) if marks else None


def database(node: Node) -> sqlite3.Connection:
    """What the daemon keeps, while it is not running."""
    return sqlite3.connect(node.directory / "state" / FILE)


def test_live_answer_is_that_of_the_core_alone(node: Node, listener: Subscriber) -> None:
    payloads = excursions(5)
    expected = core_events(payloads)
    node.start().ready()
    listener.publish_all(TOPIC, payloads)
    wait_for(lambda: len(published(listener)) >= len(expected))
    assert len(expected) == 10
    assert published(listener) == expected
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
    wait_for(lambda: len(published_once(listener)) >= len(expected))
    node.stop()
    assert published_once(listener) == expected
    assert (
        len(published(listener)) - len(expected) <= 2
    )  # a kill between a broker's reading of an event and of its mark


def test_events_of_a_killed_daemon_are_published_once_by_the_next(node: Node, listener: Subscriber) -> None:
    """No acknowledgement is on disk: the retained mark says which events the broker has."""
    payloads = excursions(3)
    expected = core_events(payloads)
    node.start(options={"checkpoint_s": 1000}).ready()
    listener.publish_all(TOPIC, payloads[:75])
    wait_for(lambda: len(published(listener)) == 3 and marked(listener) == expected[2][:2])
    node.stop(signal.SIGKILL)
    node.start(options={"checkpoint_s": 1000}).ready()
    listener.publish_all(TOPIC, payloads[75:])
    wait_for(lambda: len(published(listener)) >= len(expected))
    node.stop()
    assert published(listener) == expected


def test_input_published_while_the_daemon_is_away_is_used_when_it_is_back(node: Node, listener: Subscriber) -> None:
    payloads = excursions(2)
    node.start().ready()
    listener.publish_all(TOPIC, payloads[:30])
    node.stop()
    listener.publish_all(TOPIC, payloads[30:])
    node.start().ready()
    expected = core_events(payloads)
    wait_for(lambda: len(published(listener)) >= len(expected))
    assert published(listener) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_broker_that_dies_and_comes_back_costs_no_alert(
    node: Node, broker: Broker, listener: Subscriber, number: int
) -> None:
    payloads = excursions(4)
    expected = core_events(payloads)
    node.start().ready()
    listener.publish_all(TOPIC, payloads[:60])
    wait_for(lambda: len(published(listener)) >= 3)
    broker.stop(number)
    broker.start()
    wait_for(lambda: node.log.count("connected to the broker") == 2)
    listener.publish_all(TOPIC, payloads[60:])
    wait_for(lambda: len(published_once(listener)) >= len(expected))
    assert published_once(listener) == expected


def test_broker_restored_from_an_older_save_is_sent_what_it_forgot(
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
    wait_for(lambda: len(published_once(listener)) == 4)
    broker.stop(signal.SIGKILL)
    broker.restore(saved)
    broker.start()
    wait_for(lambda: "restored from an older save" in node.log)
    wait_for(lambda: all(published(listener).count(event) > 1 for event in core_events(payloads)[2:]))


def test_clean_restart_of_the_broker_repeats_nothing(node: Node, broker: Broker, listener: Subscriber) -> None:
    """The input that it kept meanwhile comes before its mark, and with it the next events."""
    payloads = excursions(30)
    expected = core_events(payloads)
    node.start(options={"flood_limit": 1000}).ready()
    listener.publish_all(TOPIC, payloads[:60])
    wait_for(lambda: marked(listener) == expected[2][:2])
    node.send(signal.SIGSTOP)
    listener.publish_all(TOPIC, payloads[60:])
    broker.stop(signal.SIGTERM)
    broker.start()
    node.send(signal.SIGCONT)
    wait_for(lambda: len(published_once(listener)) >= len(expected))
    node.stop()
    assert published(listener) == expected
    assert "older save" not in node.log


def test_killed_daemon_is_not_misled_by_a_mark_that_it_never_acknowledged(node: Node, listener: Subscriber) -> None:
    payloads = excursions(3)
    expected = core_events(payloads)
    node.start().ready()
    listener.publish_all(TOPIC, payloads[:55])
    wait_for(lambda: marked(listener) == expected[1][:2])
    node.stop()
    node.start(options={"checkpoint_s": 1000}).ready()  # here the broker gives it the mark of the second event
    listener.publish_all(TOPIC, payloads[55:75])
    wait_for(lambda: marked(listener) == expected[2][:2])
    node.stop(signal.SIGKILL)
    node.start().ready()
    listener.publish_all(TOPIC, payloads[75:])
    wait_for(lambda: len(published_once(listener)) >= len(expected))
    node.stop()
    assert published(listener) == expected


def test_broker_that_is_not_there_is_logged_once_and_waited_for(node: Node, broker: Broker) -> None:
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
    assert (again[0]["state"], again[0]["id"]) == ("active", published(listener)[0][0])
    listener.publish_all(TOPIC, payloads[30:])
    wait_for(lambda: listener.last("p1/alert")["state"] == "normal")
    assert published(listener) == core_events(payloads)
    late = Subscriber(broker.port, "edge-ae/n1/p1/alert", "late")
    assert wait_for(lambda: late.on("alert"))[0].retain
    late.close()


def test_alert_of_an_asset_whose_state_is_lost_is_ended(node: Node, listener: Subscriber) -> None:
    """Acknowledged input does not come again: nobody else would end it."""
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0), (10, 30.0)]))
    wait_for(lambda: len(published(listener)) == 1)
    node.stop()
    with database(node) as direct:
        direct.execute("UPDATE asset SET state = ?", (b"not what was written",))
    node.start().ready()
    wait_for(lambda: len(published(listener)) >= 2)
    (new, end) = published(listener)
    assert (end[0], end[2]) == (new[0], "end")
    assert "what is kept of p1 is damaged" in node.log
    listener.publish_all(TOPIC, rows([(30, 1.0)], start=30))
    wait_for(lambda: listener.last("p1/alert")["state"] == "normal")


def test_state_that_cannot_be_opened_is_left_alone_and_its_alerts_reach_the_broker_once_it_can_be(
    node: Node, broker: Broker, listener: Subscriber
) -> None:
    """As a disk that gives an error once, or a file that belongs to somebody else for a while."""
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0)]))
    wait_for(lambda: listener.on("p1/score"))
    broker.stop()
    node.stop()
    state = node.directory / "state"
    store = NodeStore(state / FILE)
    store.load()
    pending = OutgoingMessage("pending", 1, 1, 1, "edge-ae/n1/p1/event", b'{"id":"pending","seq":1,"type":"new"}')
    store.outbox.append([pending])
    assert store.commit(Changes())
    store.close()
    whole = (state / FILE).read_bytes()
    (state / FILE).rename(state / "kept")
    (state / FILE).mkdir()
    broker.start()
    wait_for(lambda: listener.client.is_connected())
    node.start(options={"stats_interval_s": 1}).ready()
    wait_for(lambda: "cannot be opened" in str((listener.last("n1/stats") or {}).get("fault")))
    (state / FILE).rmdir()
    assert (state / "kept").read_bytes() == whole
    (state / "kept").rename(state / FILE)
    wait_for(lambda: any(body["id"] == "pending" for body in listener.bodies("p1/event")))
    wait_for(lambda: listener.last("n1/stats")["fault"] is None)
    assert "the state can be read again: 1 assets" in node.log


def test_state_that_cannot_be_read_for_a_while_changes_no_alert(node: Node, listener: Subscriber) -> None:
    """What came meanwhile was not acknowledged: it is asked for again, and the state goes on as if it had been there."""
    payloads = excursions(3)
    node.start().ready()
    listener.publish_all(TOPIC, payloads[:30])  # in the midst of the first
    wait_for(lambda: len(published(listener)) == 1)
    node.stop()
    state = node.directory / "state"
    (state / FILE).rename(state / "kept")
    (state / FILE).mkdir()
    node.start(options={"stats_interval_s": 1}).ready()
    listener.publish_all(TOPIC, payloads[30:])
    wait_for(lambda: "cannot be" in str((listener.last("n1/stats") or {}).get("fault")))
    wait_for(lambda: listener.last("n1/stats")["used"] > 0)
    (state / FILE).rmdir()
    (state / "kept").rename(state / FILE)
    expected = core_events(payloads)
    wait_for(lambda: len(published(listener)) >= len(expected))
    wait_for(lambda: listener.last("n1/stats")["fault"] is None)
    assert published(listener) == expected
    assert "was lost: it is made anew" in node.log


def test_retained_reading_without_a_time_of_its_own_says_nothing(node: Node, listener: Subscriber) -> None:
    """Or a dead sensor would look alive at each start."""
    listener.publish("plant/p1/telemetry", {"a": 1.0, "b": 0.5}, retain=True).wait_for_publish(5)
    node.start(feeds=[{"time": None}], options={"stats_interval_s": 1}).ready()
    wait_for(lambda: (stats := listener.last("n1/stats")) and stats["dropped"].get("retained") == 1)
    assert listener.last("n1/stats")["assets"] == 0
    listener.publish("plant/p1/telemetry", {"a": 1.0, "b": 0.5})
    wait_for(lambda: listener.last("n1/stats")["assets"] == 1)


def test_retained_reading_with_a_time_of_its_own_is_used(node: Node, listener: Subscriber) -> None:
    listener.publish(TOPIC, rows([(1, 1.0)])[0], retain=True).wait_for_publish(5)
    node.start(options={"stats_interval_s": 1}).ready()
    wait_for(lambda: (stats := listener.last("n1/stats")) and stats["assets"] == 1)


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
    wait_for(lambda: published(listener))
    identity = published(listener)[0][0]
    command = "edge-ae/n1/p1/cmd/"
    assert listener.ask(command + "ack", {"id": "another"})["ok"] is False
    assert listener.ask(command + "ack", {"id": identity}) == {"ok": True}
    named = {"id": identity, "label": "true_alarm", "name": "closing valve"}
    note = "kept for the next training; later alerts that look like it say: similar to closing valve"
    assert listener.ask(command + "feedback", named) == {"ok": True, "note": note}
    assert listener.ask(command + "shelve", {"duration_s": 60}) == {"ok": True}
    assert listener.ask(command + "dance", {})["error"].startswith("'dance' is no command")
    assert listener.ask("edge-ae/n1/p9/cmd/ack", {})["error"] == "no asset 'p9' is watched here"
    wait_for(lambda: (alert := listener.last("p1/alert")) and alert["acked"] and alert["shelved"])
    node.stop()
    (line,) = read_feedback(node.directory / "state" / FILE)
    assert line.endswith(f'"asset":"p1","id":"{identity}","label":"true_alarm","note":"","name":"closing valve"}}')


def test_shelving_survives_a_kill(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0)]))
    wait_for(lambda: listener.on("p1/score"))
    assert listener.ask("edge-ae/n1/p1/cmd/shelve", {"one_shot": True}) == {"ok": True}
    node.stop(signal.SIGKILL)
    node.start().ready()
    listener.publish_all(TOPIC, rows([(10, 30.0), (30, 1.0), (10, 30.0)], start=20))
    wait_for(lambda: published(listener))
    assert [event[2] for event in published(listener)] == ["new"]  # the first excursion was silent to its end


def test_shelving_ends_by_the_wall_clock_though_no_reading_comes(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0)]))
    wait_for(lambda: listener.on("p1/score"))
    assert listener.ask("edge-ae/n1/p1/cmd/shelve", {"duration_s": 1.5}) == {"ok": True}
    listener.publish_all(TOPIC, rows([(10, 30.0)], start=20))
    wait_for(lambda: (alert := listener.last("p1/alert")) and alert["state"] == "active")
    wait_for(lambda: (alert := listener.last("p1/alert")) and not alert["shelved"])
    wait_for(lambda: published(listener))
    assert [event[2] for event in published(listener)] == ["new"]


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
    wait_for(lambda: len(published(listener)) == 2)
    assert published(listener) == core_events(payloads)
    wait_for(lambda: (stats := listener.last("n1/stats")) and stats["used"] == len(payloads))
    stats = listener.last("n1/stats")
    assert stats["refused"] == len(payloads)
    assert stats["received"] == stats["used"] + stats["refused"] + stats["other_topics"]
    assert stats["dropped"]["not_json"] == 2 * stats["dropped"]["empty"] > 0
    assert node.log.count("payload not used (not_json)") == 1
    assert {refusal["reason"] for refusal in stats["refusals"]} == {"not_json", "empty", "bad_time"}


def test_settings_are_taken_up_on_hangup_without_losing_a_row(node: Node, listener: Subscriber) -> None:
    payloads = excursions(4)
    state = node.directory / "state"
    node.start(options={"flood_limit": 1000}).ready()
    for first in range(0, len(payloads), 10):
        (state / "feeds.json").write_text(json.dumps([{}, {"topic": f"hall/{first}/{{asset}}"}]))
        node.send(signal.SIGHUP)
        listener.publish_all(TOPIC, payloads[first : first + 10])
    expected = core_events(payloads)
    wait_for(lambda: len(published(listener)) >= len(expected))
    assert published(listener) == expected
    wait_for(lambda: "settings and models taken up" in node.log, "the reload")


def test_bad_settings_on_hangup_change_nothing(node: Node, listener: Subscriber) -> None:
    payloads = excursions(1)
    node.start().ready()
    (node.directory / "state" / "feeds.json").write_text("{")
    listener.publish_all(TOPIC, payloads[:20])
    node.send(signal.SIGHUP)
    wait_for(lambda: "the settings are not taken up" in node.log)
    listener.publish_all(TOPIC, payloads[20:])
    wait_for(lambda: len(published(listener)) == 2)
    assert published(listener) == core_events(payloads)


def test_asset_whose_stream_is_gone_is_ended_and_withdrawn(node: Node, listener: Subscriber) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0), (10, 30.0)]))
    wait_for(lambda: published(listener))
    (node.directory / "state" / "feeds.json").write_text(json.dumps([{"topic": "hall/{asset}"}]))
    node.send(signal.SIGHUP)
    wait_for(lambda: len(published(listener)) == 2)
    assert published(listener)[1][2] == "end"
    wait_for(lambda: listener.on("p1/alert")[-1].payload == b"")


def test_asset_whose_stream_is_gone_at_a_restart_is_ended_withdrawn_and_unsubscribed(
    node: Node, broker: Broker, listener: Subscriber
) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0), (10, 30.0)]))
    wait_for(lambda: published(listener))
    wait_for(lambda: listener.last("p1/health"))
    node.stop()
    broker.stop()
    node.start(feeds=[{"topic": "hall/{asset}"}], options={"stats_interval_s": 1})  # with nobody to tell
    wait_for(lambda: "cannot be reached" in node.log)
    broker.start()
    wait_for(lambda: len(published(listener)) == 2)
    assert published(listener)[1][2] == "end"
    late = Subscriber(broker.port, "edge-ae/n1/p1/#", "late")
    wait_for(lambda: all(listener.on(f"p1/{kind}")[-1].payload == b"" for kind in ("alert", "health")))
    assert late.messages == []
    late.close()
    listener.publish_all(TOPIC, rows([(20, 1.0)], start=30))
    listener.publish_all("hall/p2", rows([(20, 1.0)]))
    wait_for(lambda: (stats := listener.last("n1/stats")) and stats["assets"] == 1 and stats["used"] == 20)
    assert listener.last("n1/stats")["other_topics"] < 20


def test_asset_that_is_back_before_its_withdrawal_was_sent_keeps_its_alert(
    node: Node, broker: Broker, listener: Subscriber
) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0)]))
    wait_for(lambda: listener.last("p1/alert"))
    node.stop()
    broker.stop()
    node.start(feeds=[{"topic": "hall/{asset}"}])
    wait_for(lambda: "cannot be reached" in node.log)
    node.stop()
    broker.start()
    wait_for(lambda: listener.client.is_connected())
    listener.publish_all(TOPIC, rows([(20, 1.0)], start=20))
    node.start().ready()
    wait_for(lambda: marked(listener) is not None and listener.on("p1/score"))
    late = Subscriber(broker.port, "edge-ae/n1/p1/alert", "late")
    assert json.loads(wait_for(lambda: late.messages)[0].payload)["state"] == "normal"
    late.close()


def test_disk_that_cannot_be_written_stops_nothing_and_is_reported(node: Node, listener: Subscriber) -> None:
    payloads = excursions(6)
    node.start(receive_maximum=20, options={"checkpoint_s": 0.1, "stats_interval_s": 1, "flood_limit": 1000}).ready()
    state, elsewhere = node.directory / "state", node.directory / "elsewhere"
    state.rename(elsewhere)
    listener.publish_all(TOPIC, payloads)
    expected = core_events(payloads)
    wait_for(lambda: len(published(listener)) == len(expected))
    assert published(listener) == expected
    wait_for(lambda: "cannot be" in str(listener.last("n1/stats")["fault"]))
    elsewhere.rename(state)
    listener.publish_all(TOPIC, rows([(5, 1.0)], start=len(payloads)))
    wait_for(lambda: listener.last("n1/stats")["fault"] is None)
    assert "can be written again" in node.log
    node.stop()
    with database(node) as direct:
        assert direct.execute("SELECT count(*) FROM alert").fetchone() == (6,)


@pytest.mark.parametrize("broker_extra", ["max_inflight_messages 20\n"])
def test_broker_that_allows_few_messages_under_way_is_noticed_and_served(node: Node, listener: Subscriber) -> None:
    payloads = rows([(200, 1.0), (10, 30.0)])
    node.start(protocol="3.1.1", options={"checkpoint_s": 1000}).ready()  # version 5 has a receive-maximum of its own
    listener.publish_all(TOPIC, payloads)
    wait_for(lambda: published(listener))
    assert published(listener) == core_events(payloads)
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


def test_stats_hold_what_was_asked_of_the_budget_and_what_was_spent_in_its_interval(
    node: Node, listener: Subscriber
) -> None:
    def budget() -> list[Any]:
        asset = (listener.last("n1/stats") or {"asset": {}})["asset"].get("p1", {})
        return [asset.get(f"budget_{word}") for word in ("per_week", "interval_s", "spent")]

    spent = rows([(20, 1.0), (15, 13.0)] * 3 + [(20, 1.0)])  # 1.3 times the boundary
    fault = rows([(15, 30.0), (20, 1.0)], start=len(spent))  # three times: a fault, which costs nothing
    node.start(options={"stats_interval_s": 1}).ready()
    listener.publish_all(TOPIC, spent + fault)
    wait_for(lambda: len([event for event in published(listener) if event[2] == "end"]) == 4)
    wait_for(lambda: budget() == [1.0, 7 * 86_400, 3])
    node.stop(signal.SIGKILL)
    node.start(options={"stats_interval_s": 1}).ready()
    wait_for(lambda: budget() == [1.0, 7 * 86_400, 3])
    week_of_rows = 7 * 86_400 * 10
    listener.publish_all(TOPIC, rows([(10, 1.0)], start=len(spent + fault) + week_of_rows))
    wait_for(lambda: budget() == [1.0, 7 * 86_400, 0])


def test_a_suppressed_alert_survives_a_kill_as_that_and_is_new_once_its_rule_is_taken_back(
    node: Node, listener: Subscriber
) -> None:
    node.start().ready()
    listener.publish_all(TOPIC, rows([(20, 1.0)]))
    listener.ask("edge-ae/n1/p1/cmd/rule", {"channel": "a", "mute": True})
    listener.publish_all(TOPIC, rows([(15, 30.0)], start=20))
    before = wait_for(lambda: next((b for b in listener.bodies("/p1/alert") if b["suppressed"]), None), "the alert")
    node.stop(signal.SIGKILL)
    shown = len(listener.bodies("/p1/alert"))
    node.start().ready()
    after = wait_for(lambda: next(iter(listener.bodies("/p1/alert")[shown:]), None), "the alert after the restart")
    assert [after[key] for key in ("id", "state", "suppressed_by")] == [before["id"], "suppressed", "rule: a is muted"]
    assert published(listener) == []
    listener.ask("edge-ae/n1/p1/cmd/rule", {"channel": "a", "clear": True})
    wait_for(lambda: published(listener), "the alert that counts now")
    listener.publish_all(TOPIC, rows([(30, 1.0)], start=35))
    wait_for(lambda: len(published(listener)) == 2, "its end")
    assert [(identity, seq, kind) for identity, seq, kind, _ in published(listener)] == [
        (before["id"], 1, "new"), (before["id"], 2, "end")
    ]  # fmt: skip
