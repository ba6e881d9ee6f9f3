"""The link on real brokers: mosquitto speaks 5 and 3.1.1, amqtt speaks 3.1.1 only."""

import asyncio
import json
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from amqtt.broker import Broker as Amqtt

from edge_ae.errors import BadConfig
from edge_ae.mqtt import retry
from edge_ae.mqtt.link import Link, Message, Session
from edge_ae.mqtt.options import Broker as Address
from edge_ae.mqtt.options import LinkOptions, Will
from tests.conftest import Broker, Node, Subscriber, free_port, wait_for
from tests.mqtt.packets import HandWritten, packet, properties, text


class Owner:
    """What the daemon does with a link: takes, and looks whether a connection has opened."""

    def __init__(self, port: int, inbox_limit: int = 10_000, **options: Any) -> None:
        where = {name: options.pop(name) for name in ("tls", "ca", "protocol") if name in options}
        address = Address("127.0.0.1", port, **where)
        self.link = Link(LinkOptions(address, "owner", "s/status", **options), inbox_limit)
        self.sessions: list[Session] = []
        self.messages: list[Message] = []

    def turn(self, most: int = 1000) -> None:
        self.messages += self.link.take(most, 0.01)
        session = self.link.opened()
        if session is not None:
            self.sessions.append(session)

    def until(self, condition: Callable[[], Any]) -> Any:
        def turned() -> Any:
            self.turn()
            return condition()

        return wait_for(turned)

    def connect(self) -> Session:
        count = len(self.sessions)
        self.until(lambda: len(self.sessions) > count)
        return self.sessions[-1]


@pytest.fixture
def owner(broker: Broker) -> Iterator[Owner]:
    one = Owner(broker.port)
    one.link.start([("in/#", 1)])
    one.connect()
    yield one
    one.link.stop()


def test_message_comes_with_all_that_is_needed_to_use_and_acknowledge_it(owner: Owner, listener: Subscriber) -> None:
    listener.publish("in/x", b"7")
    owner.until(lambda: owner.messages)
    (message,) = owner.messages
    assert (message.topic, message.payload, message.qos, message.dup, message.connection) == ("in/x", b"7", 1, False, 1)


def test_message_that_is_not_acknowledged_comes_again_on_the_next_connection(broker: Broker, owner: Owner) -> None:
    listener = Subscriber(broker.port, "none", "second")
    listener.publish_all("in/x", [{"n": 1}, {"n": 2}])
    owner.until(lambda: len(owner.messages) == 2)
    owner.link.ack([(1, owner.messages[0].mid)])
    owner.link.stop()
    again = Owner(broker.port)
    again.link.start([("in/#", 1)])
    assert again.connect().present
    again.until(lambda: again.messages)
    assert [(json.loads(one.payload)["n"], one.dup) for one in again.messages] == [(2, True)]
    again.link.stop()
    listener.close()


def test_acknowledgement_of_an_earlier_connection_is_void(broker: Broker, owner: Owner) -> None:
    listener = Subscriber(broker.port, "none", "second")
    listener.publish_all("in/x", [{"n": 1}])
    owner.until(lambda: owner.messages)
    broker.stop()
    broker.start()
    assert owner.connect().number > 1
    owner.until(lambda: len(owner.messages) == 2)
    owner.link.ack([(1, owner.messages[0].mid)])
    assert owner.messages[1].connection == owner.sessions[-1].number
    assert owner.messages[1].dup
    listener.close()


def test_publication_is_named_when_the_broker_has_it(owner: Owner, listener: Subscriber) -> None:
    token = owner.link.publish("edge-ae/x", b"1", 1)
    confirmed: list[int] = []

    def arrived() -> bool:
        confirmed.extend(owner.link.acked())
        return token in confirmed

    owner.until(arrived)
    wait_for(lambda: listener.on("edge-ae/x"))
    properties: Any = listener.on("edge-ae/x")[0].properties
    assert (properties.ContentType, properties.PayloadFormatIndicator) == ("application/json", 1)
    assert properties.UserProperty == [("schema", "1")]


def test_stop_says_offline_on_a_connection_that_nobody_asked_for(broker: Broker) -> None:
    owner = Owner(broker.port)
    owner.link.start([])
    watcher = Subscriber(broker.port, "s/status", "watcher")
    wait_for(lambda: [message.payload for message in watcher.messages] == [b"online"])
    owner.link.stop()
    wait_for(lambda: len(watcher.messages) > 1)
    assert watcher.messages[-1].payload == b"offline"
    watcher.close()


def visit(port: int) -> Session:
    """Come, and leave for good."""
    owner = Owner(port)
    owner.link.start([("in/#", 1)])
    session = owner.connect()
    owner.link.stop(keep_session=False)
    return session


def test_session_of_a_link_that_left_for_good_is_forgotten(broker: Broker) -> None:
    visit(broker.port)
    time.sleep(2)  # mosquitto looks once a second which sessions are over, and says nothing of it
    assert not visit(broker.port).present


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_broker_keeps_nothing_for_a_link_that_left_for_good(broker: Broker, protocol: str) -> None:
    owner = Owner(broker.port, protocol=protocol)
    owner.link.start([("in/#", 1)])
    owner.connect()
    owner.link.stop(keep_session=False)
    sensor = Subscriber(broker.port, "none", "sensor")
    sensor.publish_all("in/x", [{"n": 1}])
    again = Owner(broker.port, protocol=protocol)
    again.link.start([("in/#", 1)])
    again.connect()
    sensor.publish_all("in/x", [{"n": 2}])
    again.until(lambda: again.messages)
    assert [json.loads(message.payload)["n"] for message in again.messages] == [2]
    again.link.stop()
    sensor.close()


def test_nothing_is_queued_for_a_broker_that_is_away(broker: Broker, owner: Owner) -> None:
    broker.stop()
    wait_for(lambda: not owner.link.connected)
    assert owner.link.publish("edge-ae/x", b"1", 1) is None


def test_full_inbox_drops_qos_0_and_counts_it(broker: Broker, listener: Subscriber) -> None:
    owner = Owner(broker.port, inbox_limit=100, receive_maximum=10)
    owner.link.start([("in/#", 1)])
    owner.connect()
    for number in range(500):
        listener.publish("in/x", str(number), 0)
    wait_for(lambda: owner.link.counts["inbox_full"] == 400)
    owner.until(lambda: len(owner.messages) == 100)
    owner.link.stop()


def test_full_inbox_loses_no_qos_1(broker: Broker, listener: Subscriber) -> None:
    owner = Owner(broker.port, inbox_limit=20, receive_maximum=10)
    owner.link.start([("in/#", 1)])
    owner.connect()
    listener.publish_all("in/x", [{"n": number} for number in range(300)])

    def all_taken() -> bool:
        owner.link.ack((message.connection, message.mid) for message in owner.messages)
        return len(owner.messages) >= 300

    owner.until(all_taken)
    assert [json.loads(message.payload)["n"] for message in owner.messages] == list(range(300))
    owner.link.stop()


def test_broker_that_forgot_us_differs_from_one_that_did_not(broker: Broker) -> None:
    presence = []
    for expiry_s in (60, 60, 0):
        owner = Owner(broker.port, session_expiry_s=expiry_s)
        owner.link.start([("in/#", 1)])
        presence.append(owner.connect().present)
        owner.link.stop()
    last = Owner(broker.port)
    last.link.start([("in/#", 1)])
    presence.append(last.connect().present)
    last.link.stop()
    assert presence == [False, True, True, False]


def test_other_filters_take_the_place_of_those_before(owner: Owner, listener: Subscriber) -> None:
    owner.link.resubscribe([("other/#", 1)])
    owner.until(lambda: [listener.publish("other/x", b"1")] and owner.messages)
    listener.publish("in/x", b"2").wait_for_publish(5)
    listener.publish("other/x", b"3")
    owner.until(lambda: any(message.payload == b"3" for message in owner.messages))
    assert all(message.topic == "other/x" for message in owner.messages)


def test_subscriptions_hold_once_the_broker_has_answered(owner: Owner, broker: Broker) -> None:
    found = [owner.link.subscribed]
    broker.send(signal.SIGSTOP)
    owner.link.resubscribe([("other/#", 1)])
    found.append(owner.link.subscribed)
    assert found == [True, False]
    broker.send(signal.SIGCONT)
    owner.until(lambda: owner.link.subscribed)


def test_filters_of_an_earlier_run_can_be_given_up(broker: Broker, listener: Subscriber) -> None:
    earlier = Owner(broker.port)
    earlier.link.start([("in/#", 1), ("gone/#", 1)])
    earlier.connect()
    earlier.link.stop()
    owner = Owner(broker.port)
    assert not owner.link.unsubscribe(["gone/#"])
    owner.link.start([("in/#", 1)])
    assert owner.connect().present
    listener.publish_all("gone/x", [{"n": 1}])
    owner.until(lambda: owner.messages)
    assert owner.link.unsubscribe(["gone/#", "in/#"])  # what is subscribed to now stays
    owner.link.resubscribe([("in/#", 1)])
    owner.until(lambda: owner.link.subscribed)
    listener.publish_all("gone/x", [{"n": 2}])
    listener.publish_all("in/x", [{"n": 3}])
    owner.until(lambda: len(owner.messages) == 2)
    assert [json.loads(message.payload)["n"] for message in owner.messages] == [1, 3]
    owner.link.stop()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_two_devices_with_one_client_id_log_it_and_slow_down(
    broker: Broker, protocol: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.01)
    monkeypatch.setattr(retry, "LONGEST_S", 0.1)
    caplog.set_level(logging.INFO)
    owners = [Owner(broker.port, protocol=protocol) for _ in range(2)]
    for owner in owners:
        owner.link.start([("in/#", 1)])
    wait_for(lambda: all(owner.link.counts["session_taken_over"] > 0 for owner in owners))
    began, before = time.monotonic(), sum(owner.link._network._connection.number for owner in owners)
    time.sleep(3)
    since = sum(owner.link._network._connection.number for owner in owners) - before
    assert since <= 2 + 2 * (time.monotonic() - began)  # each second at most one of them; it was 30 in these 3 s
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert all('another client uses the client id "owner"' in line and "mqtt.client_id" in line for line in logged)
    assert 2 <= len(logged) <= 6
    for owner in owners:
        owner.link.stop()


def disconnect(reason: int) -> bytes:
    """With a text, for paho 2.1 reads no reason without one."""
    return packet(0xE0, bytes([reason]) + properties([(31, text(b"because"))]))


def test_broker_that_names_the_rival_is_believed_at_once(caplog: pytest.LogCaptureFixture) -> None:
    broker = HandWritten()
    owner = Owner(broker.port)
    owner.link.start([("in/#", 1)])
    owner.connect()
    broker.send(disconnect(0x8E))
    wait_for(lambda: owner.link.counts["session_taken_over"] == 1)
    (logged,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert logged.startswith('another client uses the client id "owner" at the broker at 127.0.0.1')
    owner.link.stop()
    broker.close()


def test_reason_that_the_broker_gives_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    broker = HandWritten()
    owner = Owner(broker.port)
    owner.link.start([("in/#", 1)])
    owner.connect()
    broker.send(disconnect(0x8B))
    assert owner.connect().number == 2
    assert f"the connection to the broker at 127.0.0.1:{broker.port} was lost: Server shutting down" in caplog.messages
    owner.link.stop()
    broker.close()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_subscription_that_is_refused_is_logged_and_counted(protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    broker = HandWritten(suback=[1, 0x80])
    owner = Owner(broker.port, protocol=protocol)
    owner.link.start([("in/#", 1), ("secret/#", 1)])
    owner.connect()
    assert owner.link.counts == {"subscription_refused": 1}
    assert "the broker refuses the subscription to secret/#" in caplog.text
    owner.link.stop()
    broker.close()


@pytest.mark.parametrize("broker_extra", ["max_packet_size 500\n"])
def test_what_is_too_large_for_the_broker_is_counted_and_costs_no_connection(owner: Owner) -> None:
    assert owner.link.publish("reply/x", b"1", 1, correlation=b"x" * 500) is None
    assert owner.link.publish("reply/x", b"1", 1, correlation=b"x" * 400) is not None
    owner.until(owner.link.acked)
    assert owner.link.counts == {"outgoing_too_large": 1}
    assert owner.sessions[-1].number == 1


@pytest.mark.parametrize("topic", ["", "a/#", "a\0", "\ud800", "x" * 70_000])
def test_topic_that_cannot_be_published_to_is_counted_and_raises_nothing(owner: Owner, topic: str) -> None:
    assert owner.link.publish(topic, b"1", 1) is None
    assert owner.link.counts == {"bad_outgoing_topic": 1}


def test_fault_of_ours_on_the_network_thread_reaches_the_owner(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_client: Any) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(owner.link._network, "_serve", fail)
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: owner.turn())


def test_certificates_that_cannot_be_read_are_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"certificates cannot be used \(.*nothing.pem\)"):
        Owner(1, tls=True, ca=str(tmp_path / "nothing.pem"))


def test_password_is_not_shown() -> None:
    assert "secret" not in repr(LinkOptions(Address(password="secret"), "c", "s/status"))


@pytest.fixture
def amqtt_port() -> Iterator[int]:
    """An amqtt broker on its own thread and loop."""
    port, loop, started = free_port(), asyncio.new_event_loop(), threading.Event()
    settings = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }

    async def start() -> Amqtt:
        broker = Amqtt(settings)
        await broker.start()
        started.set()
        return broker

    def run() -> None:
        asyncio.set_event_loop(loop)
        brokers.append(loop.run_until_complete(start()))
        loop.run_forever()

    brokers: list[Amqtt] = []
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait(10)
    yield port
    asyncio.run_coroutine_threadsafe(brokers[0].shutdown(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def test_broker_without_mqtt_5_is_spoken_to_in_3_1_1(amqtt_port: int) -> None:
    owner = Owner(amqtt_port)
    owner.link.start([("in/#", 1)])
    assert owner.connect().version == "3.1.1"
    listener = Subscriber(amqtt_port, "none", "second", version="3.1.1")
    listener.publish("in/x", b"7")
    owner.until(lambda: owner.messages)
    assert owner.messages[0].payload == b"7"
    listener.close()
    owner.link.stop()


def test_daemon_works_with_a_broker_without_mqtt_5(tmp_path: Path, amqtt_port: int) -> None:
    node = Node(tmp_path, amqtt_port).start().ready()
    listener = Subscriber(amqtt_port, "edge-ae/#", version="3.1.1")
    for i in range(60):
        listener.publish(
            "plant/p1/telemetry", {"ts": 1_790_000_000_000 + i * 100, "a": 30 if 20 <= i < 30 else 1, "b": 0}
        )
    wait_for(lambda: [body["type"] for body in listener.bodies("/event")] == ["new", "end"])
    assert "MQTT 3.1.1" in node.log
    assert node.stop() == 0
    listener.close()


def test_broker_that_answers_nothing_is_given_up_and_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        owner = Owner(server.getsockname()[1])
        owner.link.start([("in/#", 1)])
        for _ in range(3):  # hung up on without a word: the other version, then the first again
            connection, _ = server.accept()
            connection.close()
        owner.link.stop()


def test_frozen_broker_is_noticed_and_found_again(broker: Broker) -> None:
    owner = Owner(broker.port, keepalive_s=1)
    owner.link.start([("in/#", 1)])
    owner.connect()
    broker.send(signal.SIGSTOP)
    owner.until(lambda: not owner.link.connected)
    broker.send(signal.SIGCONT)
    assert owner.connect().present
    owner.link.stop()


def numbered(number: int) -> Will:
    return Will("edge-ae/dead", str(number).encode())


def test_will_of_each_connection_is_its_own_and_goes_out_where_it_ends_and_where_we_leave(
    broker: Broker, listener: Subscriber
) -> None:
    owner = Owner(broker.port, will=numbered, clean=True)
    owner.link.start([])
    assert owner.connect().number == 1
    owner.link._network.live.client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
    wait_for(lambda: listener.on("edge-ae/dead"), "the will")
    number = owner.connect().number
    owner.link.stop()
    wait_for(lambda: len(listener.on("edge-ae/dead")) == 2, "the word at the end")
    assert [one.payload for one in listener.on("edge-ae/dead")] == [b"1", str(number).encode()]
    assert not any(one.retain for one in listener.on("edge-ae/dead"))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_connection_that_is_clean_leaves_no_session_and_takes_up_none(broker: Broker, protocol: str) -> None:
    for clean in (False, True, True):
        owner = Owner(broker.port, protocol=protocol, clean=clean)
        owner.link.start([("in/#", 1)])
        assert not owner.connect().present
        owner.link.stop()


def test_connection_with_a_will_of_its_own_says_neither_online_nor_offline(broker: Broker) -> None:
    hall = Subscriber(broker.port, "#", "hall")
    owner = Owner(broker.port, will=numbered)
    owner.link.start([])
    owner.connect()
    owner.link.stop()
    wait_for(lambda: hall.on("edge-ae/dead"), "the end")
    assert hall.on("s/status") == []
    hall.close()
