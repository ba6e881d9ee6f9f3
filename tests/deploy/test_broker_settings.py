"""The sample broker settings in a real mosquitto: what each role may do, and what none may."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

SAMPLES = Path(__file__).parents[2] / "deploy" / "mosquitto"
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
ROLES = ("sensor", "edge-ae", "operator")

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not here")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A broker with the sample files; only the port and the places of the files are other."""
    folder, number = tmp_path_factory.mktemp("broker"), free_port()
    text = (SAMPLES / "edge-ae.conf").read_text().replace("listener 1883", f"listener {number} 127.0.0.1")
    text = text.replace("/etc/mosquitto/edge-ae", f"{folder}/edge-ae")
    # as root mosquitto becomes another user, who may not enter the test's folder
    (folder / "main.conf").write_text(f"user root\npersistence_location {folder}/\n{text}")
    shutil.copy(SAMPLES / "acl", folder / "edge-ae.acl")
    for role in ROLES:
        create = [] if (folder / "edge-ae.passwd").exists() else ["-c"]
        command = ["mosquitto_passwd", *create, "-b", str(folder / "edge-ae.passwd"), role, f"secret of {role}"]
        subprocess.run(command, check=True, capture_output=True)
    assert MOSQUITTO is not None
    with (folder / "log").open("wb") as log:
        broker = subprocess.Popen([MOSQUITTO, "-c", str(folder / "main.conf")], stdout=log, stderr=log)
    try:
        wait_until_open(number, broker, folder / "log")
        yield number
    finally:
        broker.terminate()
        broker.wait(10)


def wait_until_open(port: int, broker: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and broker.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(log.read_text())


class Client:
    """A client of one role that waits for the broker's answers."""

    def __init__(self, port: int, role: str, password: str | None = None) -> None:
        self.connected: ReasonCode | None = None
        self._answers: dict[int, list[ReasonCode]] = {}
        self.received: set[str] = set()
        self._news = threading.Condition()
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._mqtt.username_pw_set(role, password or f"secret of {role}")
        self._mqtt.on_connect = self._on_connect
        self._mqtt.on_publish = lambda _c, _u, mid, code, _p: self._answer(mid, [code])
        self._mqtt.on_subscribe = lambda _c, _u, mid, codes, _p: self._answer(mid, codes)
        self._mqtt.on_message = self._on_message
        self._mqtt.connect("127.0.0.1", port)
        self._mqtt.loop_start()
        self._wait(lambda: self.connected is not None)

    def _on_connect(self, _c: object, _u: object, _f: object, code: ReasonCode, _p: object) -> None:
        with self._news:
            self.connected = code
            self._news.notify_all()

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        with self._news:
            self.received.add(message.topic)
            self._news.notify_all()

    def _answer(self, mid: int, codes: list[ReasonCode]) -> None:
        with self._news:
            self._answers[mid] = codes
            self._news.notify_all()

    def _wait(self, met: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(met, 10), "the broker did not answer"

    def may_publish(self, topic: str) -> bool:
        sent = self._mqtt.publish(topic, b"1", qos=1)
        self._wait(lambda: sent.mid in self._answers)
        return not self._answers[sent.mid][0].is_failure

    def subscribe(self, topic: str) -> None:
        _, mid = self._mqtt.subscribe(topic, qos=1)
        self._wait(lambda: mid in self._answers)

    def wait_for(self, topic: str) -> set[str]:
        self._wait(lambda: topic in self.received)
        return self.received

    def stop(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()


@pytest.mark.parametrize(
    ("role", "allowed", "forbidden"),
    [
        ("sensor", ["plant/a/telemetry"], ["edge-ae/n/a/alert", "edge-ae/n/a/cmd/ack", "edge-ae/n/status"]),
        (
            "edge-ae",
            ["edge-ae/n/status", "edge-ae/n/a/event", "reply/x/1", "homeassistant/device/x/config"],
            ["plant/a/telemetry", "homeassistant/status"],
        ),
        ("operator", ["edge-ae/n/a/cmd/shelve"], ["plant/a/telemetry", "edge-ae/n/a/alert", "edge-ae/n/status"]),
    ],
)
def test_each_role_may_publish_what_it_must_and_no_more(
    port: int, role: str, allowed: list[str], forbidden: list[str]
) -> None:
    client = Client(port, role)
    try:
        assert [topic for topic in allowed + forbidden if client.may_publish(topic)] == allowed
    finally:
        client.stop()


@pytest.mark.parametrize(
    ("role", "writer", "hidden", "shown"),
    [
        ("sensor", "edge-ae", "edge-ae/n/a/event", None),
        ("operator", "sensor", "plant/a/telemetry", "edge-ae/n/a/event"),
        ("edge-ae", "sensor", None, "plant/a/telemetry"),
        ("edge-ae", "operator", None, "edge-ae/n/a/cmd/ack"),
    ],
)
def test_each_role_hears_what_it_must_and_no_more(
    port: int, role: str, writer: str, hidden: str | None, shown: str | None
) -> None:
    """The daemon's own message comes last, so what was to be received has been received when it is there."""
    reader, source, daemon = Client(port, role), Client(port, writer), Client(port, "edge-ae")
    try:
        reader.subscribe("#")
        for topic in filter(None, (hidden, shown)):
            assert (daemon if topic == "edge-ae/n/a/event" else source).may_publish(topic)
        if shown is not None:
            assert hidden not in reader.wait_for(shown)
        else:
            reader.subscribe("plant/#")  # an answer on the same connection: what came before it has arrived
            assert hidden not in reader.received
    finally:
        for client in (reader, source, daemon):
            client.stop()


@pytest.mark.parametrize(("role", "password"), [("sensor", "wrong"), ("stranger", "any")])
def test_strangers_stay_outside(port: int, role: str, password: str) -> None:
    client = Client(port, role, password)
    try:
        assert client.connected is not None
        assert client.connected.is_failure
    finally:
        client.stop()
