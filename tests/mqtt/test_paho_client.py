"""paho's private names, as far as they are ours; and that all works where they are not there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edge_ae.mqtt import connection
from edge_ae.mqtt.link import Link, Message
from edge_ae.mqtt.options import Broker as Address
from edge_ae.mqtt.options import LinkOptions
from edge_ae.mqtt.paho_client import V5, FastClient, PlainClient, client_class, fits
from tests.conftest import wait_for
from tests.mqtt.packets import HandWritten, properties, publish, text

ROOT = Path(__file__).parents[2]
OLDEST = "2.1.0"  # as in pyproject.toml


def test_this_version_of_paho_has_what_is_overridden() -> None:
    assert client_class() is FastClient


class Renamed(mqtt.Client):
    """A later paho in which a name has gone."""

    def __getattribute__(self, name: str) -> Any:
        if name == "_handle_publish":
            raise AttributeError(name)
        return super().__getattribute__(name)


class Otherwise(mqtt.Client):
    """A later paho in which a name has another meaning."""

    def _sock_recv(self, bufsize: int, flags: int = 0) -> bytes:
        raise NotImplementedError


@pytest.mark.parametrize("later", [Renamed, Otherwise])
def test_a_paho_of_another_shape_is_known(later: type[mqtt.Client]) -> None:
    assert fits(mqtt.Client)
    assert not fits(later)


@pytest.fixture(params=[FastClient, PlainClient])
def link(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Link, HandWritten]]:
    monkeypatch.setattr(connection, "client_class", lambda: request.param)
    broker = HandWritten()
    one = Link(LinkOptions(Address("127.0.0.1", broker.port), "c", "s/n/status"))
    one.start([("in/#", 1)])
    wait_for(one.opened)
    yield one, broker
    one.stop()
    broker.close()


def taken(link: Link, count: int) -> list[Message]:
    messages: list[Message] = []

    def enough() -> bool:
        messages.extend(link.take(100, 0.01))
        return len(messages) >= count

    wait_for(enough)
    return messages


@pytest.fixture
def sends(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What goes to the socket, call by call."""
    calls: list[bytes] = []
    send = mqtt.Client._sock_send

    def noted(client: mqtt.Client, buf: bytes) -> int:
        calls.append(bytes(buf))
        return send(client, buf)

    monkeypatch.setattr(mqtt.Client, "_sock_send", noted)
    return calls


def test_what_is_published_together_is_given_to_the_system_in_one_call(
    sends: list[bytes], link: tuple[Link, HandWritten]
) -> None:
    one, _ = link
    before = len(sends)
    with one.together():
        assert one._network.writing.locked()  # the network's thread writes nothing meanwhile
        one.publish("out/event", b"1" * 1_000, 1)
        one.wake()
        one.publish("out/mark", b"2", 1, retain=True)
    wait_for(lambda: any(b"out/mark" in call for call in sends[before:]))
    whole = [call for call in sends[before:] if b"out/event" in call and b"out/mark" in call]
    assert len(whole) == (0 if type(one._network._connection.client) is PlainClient else 1)


def test_thousands_of_acknowledgements_go_out_in_their_order_and_in_few_calls(
    sends: list[bytes], link: tuple[Link, HandWritten]
) -> None:
    one, broker = link
    before, mids = len(sends), [*range(1, 20_001)]
    one.ack([(0, 1), *((1, mid) for mid in mids)])  # the first is of another connection
    wait_for(lambda: len(broker.acknowledged) == len(mids))
    assert broker.acknowledged == mids
    fast = type(one._network._connection.client) is FastClient
    assert not fast or len(sends) - before < 100


def test_broker_that_reads_slowly_gets_everything_in_order(
    monkeypatch: pytest.MonkeyPatch, link: tuple[Link, HandWritten]
) -> None:
    """The system takes a few bytes at a time, or none."""
    one, broker = link
    send, turns = mqtt.Client._sock_send, iter(range(10**9))

    def slow(client: mqtt.Client, buf: bytes) -> int:
        if next(turns) % 3 == 0:
            raise BlockingIOError
        return send(client, buf[:7])

    monkeypatch.setattr(mqtt.Client, "_sock_send", slow)
    for number in range(50):
        one.publish(f"out/{number}", b"x" * 40, 1)
    wait_for(lambda: len([body for body in broker.published if b"out/" in body]) == 50)
    topics = [body[2 : 2 + int.from_bytes(body[:2])] for body in broker.published if b"out/" in body]
    assert topics == [b"out/%d" % number for number in range(50)]


def test_messages_come_with_or_without_private_names(link: tuple[Link, HandWritten]) -> None:
    one, broker = link
    ask = properties([(8, text(b"reply/7")), (9, text(b"\0q")), (38, text(b"a") + text(b"b"))])
    broker.send(publish(b"in/a", b"1") + publish(b"in/b", b"2", 1, 7, retain=True, raw_properties=ask))
    broker.send(publish(b"in/c", b"3", 0))
    got = [message._replace(arrival_ns=0) for message in taken(one, 3)]
    assert got == [
        Message(0, "in/a", b"1", 1, 1, False, 1),
        Message(0, "in/b", b"2", 1, 7, False, 1, True, "reply/7", b"\0q"),
        Message(0, "in/c", b"3", 0, 0, False, 1),
    ]


def test_topic_that_is_no_text_is_counted_and_acknowledged(link: tuple[Link, HandWritten]) -> None:
    one, broker = link
    broker.send(publish(b"in/\xff", b"1", 1, 3) + publish(b"in/a", b"2", 1, 4))
    assert [message.payload for message in taken(one, 1)] == [b"2"]
    wait_for(lambda: broker.acknowledged == [3])
    assert one.counts == {"bad_topic": 1}


@pytest.mark.parametrize("topic", [b"", b"a/#", b"a/+/b", b"$SYS/x", b"s/n/p1/alert"])
def test_response_topic_that_cannot_be_used_is_counted_and_the_command_comes(
    link: tuple[Link, HandWritten], topic: bytes
) -> None:
    one, broker = link
    broker.send(publish(b"in/cmd", b"{}", raw_properties=properties([(8, text(topic))])))
    assert [(message.payload, message.response_topic) for message in taken(one, 1)] == [(b"{}", None)]
    assert one.counts == {"bad_response_topic": 1}


# What paho takes for a reason to end the connection, whereupon the broker would send it once more.
BAD_PROPERTIES = {
    "U+FEFF, which is legal": (38, text(b"note") + text("\ufeffok".encode())),
    "no UTF-8": (3, text(b"\xff")),
    "of another packet": (33, b"\0\1"),
    "not 0 or 1": (1, b"\7"),
    "alias 0": (35, b"\0\0"),
}


@pytest.mark.parametrize("bad", BAD_PROPERTIES.values(), ids=BAD_PROPERTIES)
def test_no_property_costs_the_connection_or_the_message(bad: tuple[int, bytes]) -> None:
    broker = HandWritten()
    one = Link(LinkOptions(Address("127.0.0.1", broker.port), "c", "s/n/status"))
    one.start([("in/#", 1)])
    wait_for(one.opened)
    broker.send(publish(b"in/a", b"1", raw_properties=properties([bad])) + publish(b"in/a", b"2", 1, 2))
    assert [message.payload for message in taken(one, 2)] == [b"1", b"2"]
    assert broker.connections == 1
    one.stop()
    broker.close()


class Pieces:
    """A socket that gives what a broker has sent, so many bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._pieces = [data[at : at + size] for at in range(0, len(data), size)]

    def recv(self, _size: int) -> bytes:
        if not self._pieces:
            raise BlockingIOError
        return self._pieces.pop(0)


PAYLOADS = [b"", b"1", b"a" * 100, b"b" * 130, b"c" * 16_000, b"d" * 20_000, b"2"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 129, 4096, 65_536])
def test_messages_are_the_same_however_the_bytes_of_them_come(size: int) -> None:
    packets = [publish(b"in/a", payload, number % 2, number) for number, payload in enumerate(PAYLOADS * 20, 1)]
    answers = [b"\xd0\x00" if number % 5 == 0 else b"" for number in range(len(packets))]  # to pings, among them
    one = FastClient(CallbackAPIVersion.VERSION2, protocol=V5, manual_ack=True)
    got: list[Message] = []
    one.on_publication = got.append
    one._sock = Pieces(b"".join(a + b for a, b in zip(answers, packets, strict=True)), size)  # type: ignore[assignment]
    while one._sock._pieces or one.has_unread:  # type: ignore[union-attr]
        assert one.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS
    one._sock = None
    assert [(message.payload, message.qos) for message in got] == [
        (payload, number % 2) for number, payload in enumerate(PAYLOADS * 20, 1)
    ]
    assert [message.mid for message in got] == [number * (number % 2) for number in range(1, len(got) + 1)]


def test_packet_that_is_none_is_counted_and_acknowledged() -> None:
    broker = HandWritten()
    one = Link(LinkOptions(Address("127.0.0.1", broker.port), "c", "s/n/status"))
    one.start([("in/#", 1)])
    wait_for(one.opened)
    broker.send(publish(b"in/a", b"", 1, 9, raw_properties=b"\xff\xff\xff\xff\x01") + b"\x32\x03\0\5a")
    broker.send(publish(b"in/a", b"2", 1, 2))
    assert [message.payload for message in taken(one, 1)] == [b"2"]
    wait_for(lambda: broker.acknowledged == [9])
    assert one.counts == {"bad_packet": 2}
    one.stop()
    broker.close()


def test_fault_of_ours_in_a_callback_reaches_the_owner(
    link: tuple[Link, HandWritten], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, broker = link
    monkeypatch.setattr(one._inbox, "put", lambda _message: 1 // 0)
    broker.send(publish(b"in/a", b"1"))
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: one.take(10, 0.01))


def test_packet_that_paho_cannot_read_costs_a_connection_and_no_more(link: tuple[Link, HandWritten]) -> None:
    one, broker = link
    broker.send(b"\x90\x01\x00")  # a SUBACK without an id
    wait_for(lambda: broker.connections == 2)
    wait_for(one.opened)
    broker.send(publish(b"in/a", b"1"))
    assert [message.connection for message in taken(one, 1)] == [2]


@pytest.fixture(scope="session")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The oldest paho that the project allows, in a folder of its own."""
    folder = tmp_path_factory.mktemp("oldest")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, f"paho-mqtt=={OLDEST}"], capture_output=True, timeout=120)
    if done.returncode != 0:
        pytest.skip(f"paho-mqtt {OLDEST} cannot be had here")
    return folder


def test_the_oldest_paho_allowed_passes_the_same_tests(oldest: Path) -> None:
    assert f'"paho-mqtt>={OLDEST.removesuffix(".0")}"' in (ROOT / "pyproject.toml").read_text()
    path = os.pathsep.join([str(oldest), *sys.path])
    tests = [str(Path(__file__)), str(Path(__file__).with_name("test_link.py"))]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, "-k", "not oldest and not amqtt"]
    version = "import paho.mqtt, sys; sys.exit(paho.mqtt.__version__)"
    env = os.environ | {"PYTHONPATH": path}
    assert (
        subprocess.run([sys.executable, "-c", version], env=env, capture_output=True, text=True).stderr.strip()
        == OLDEST
    )
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:]
