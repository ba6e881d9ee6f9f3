"""Real parts for tests: a mosquitto of our own, an independent subscriber, a daemon as a process; and how to wait."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
NODE_PROCESS = Path(__file__).parent / "daemon" / "node_process.py"
PATIENCE_S = 30.0

hypothesis.settings.register_profile("patient", deadline=None)  # how fast a test machine is proves nothing
hypothesis.settings.load_profile("patient")


def wait_for(condition: Callable[[], Any], what: str = "", patience_s: float = PATIENCE_S) -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what or condition}"
        time.sleep(0.01)
    return value


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Broker:
    """A mosquitto process with its own port and memory; what it remembers survives `kill` as of its last save."""

    def __init__(self, directory: Path, extra: str = "") -> None:
        self.port = free_port()
        self._config = directory / "mosquitto.conf"
        self._database = directory / "mosquitto.db"
        user = "user root\n" if os.geteuid() == 0 else ""
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n{user}"
            f"persistence true\npersistence_location {directory}/\nautosave_interval 1\nautosave_on_changes true\n"
            f"max_queued_messages 100000\nset_tcp_nodelay true\n" + (extra or "max_inflight_messages 0\n")
        )
        self._log = (directory / "mosquitto.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Broker":
        assert MOSQUITTO is not None
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=self._log, stderr=self._log)
        wait_for(self._answers, "mosquitto")
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "mosquitto has ended"
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.5).close()
        except OSError:
            return False
        return True

    def saved(self) -> bytes:
        """Its memory as it is now on disk."""
        self.send(signal.SIGUSR1)
        before = self._database.stat().st_mtime_ns if self._database.exists() else 0
        wait_for(lambda: self._database.exists() and self._database.stat().st_mtime_ns > before, "mosquitto's save")
        return self._database.read_bytes()

    def restore(self, saved: bytes) -> None:
        self._database.write_bytes(saved)

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self._log.close()


class Subscriber:
    """Somebody else on the broker: hears everything under `topic`, publishes readings and commands."""

    def __init__(self, port: int, topic: str = "edge-ae/#", client_id: str = "listener", version: str = "5") -> None:
        self.port = port
        self.messages: list[mqtt.MQTTMessage] = []
        self._topic = topic
        self._v5 = version == "5"
        protocol = MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=protocol, clean_session=None if self._v5 else True
        )
        self.client.on_connect = self._subscribe
        self.client.on_message = lambda _client, _data, message: self.messages.append(message)
        self.client.max_inflight_messages_set(1000)
        self.client.reconnect_delay_set(1, 1)
        self.subscribed = False
        self.client.on_subscribe = lambda *_: setattr(self, "subscribed", True)
        if self._v5:
            properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 3600
            self.client.connect("127.0.0.1", port, clean_start=False, properties=properties)
        else:
            self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_for(lambda: self.subscribed, "the listener's subscription")

    def _subscribe(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(self._topic, 1)

    def publish(self, topic: str, payload: Any, qos: int = 1, retain: bool = False) -> mqtt.MQTTMessageInfo:
        data = payload if isinstance(payload, bytes | str) else json.dumps(payload)
        return self.client.publish(topic, data, qos, retain)

    def publish_all(self, topic: str, payloads: list[dict[str, Any]], qos: int = 1) -> None:
        """Publish and wait until the broker has them all."""
        wait_for(self.client.is_connected, "the listener's connection")
        infos = [self.publish(topic, payload, qos) for payload in payloads]
        for info in infos:
            info.wait_for_publish(PATIENCE_S)

    def ask(self, topic: str, payload: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = f"edge-ae/answers/{len(self.messages)}"
        properties.CorrelationData = b"question"
        data = payload if isinstance(payload, bytes) else json.dumps(payload)
        self.client.publish(topic, data, 1, properties=properties)
        message = wait_for(lambda: next(iter(self.on(properties.ResponseTopic)), None), "an answer")
        assert message.properties.CorrelationData == b"question"
        answer: dict[str, Any] = json.loads(message.payload)
        return answer

    def on(self, ending: str) -> list[mqtt.MQTTMessage]:
        return [message for message in self.messages if message.topic.endswith(ending)]

    def bodies(self, ending: str) -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message in self.on(ending)]

    def last(self, ending: str) -> Any:
        found = self.on(ending)
        return json.loads(found[-1].payload) if found and found[-1].payload else None

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Node:
    """A daemon process with the test model, state in a directory that survives it."""

    def __init__(self, directory: Path, port: int, **settings: Any) -> None:
        self.directory = directory
        self.settings = {"port": port, "state_dir": str(directory / "state")} | settings
        self.log_path = directory / "node.log"
        self._begin = 0  # of this start in the log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: Any) -> "Node":
        (self.directory / "state").mkdir(exist_ok=True)
        self._begin = len(self.log)
        command = [sys.executable, str(NODE_PROCESS), json.dumps(self.settings | settings)]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        return self

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    def ready(self) -> "Node":
        """Wait until this start is ready."""
        wait_for(lambda: "ready: " in self.log[self._begin :], "READY")
        return self

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        code = self._process.wait(15)
        self._process = None
        return code


@pytest.fixture
def broker_extra() -> str:
    """Lines of mosquitto's settings; parametrize it to change them."""
    return ""


@pytest.fixture
def broker(tmp_path: Path, broker_extra: str) -> Iterator[Broker]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    directory = tmp_path / "broker"
    directory.mkdir()
    running = Broker(directory, broker_extra).start()
    yield running
    running.close()


@pytest.fixture
def listener(broker: Broker) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.port)
    yield subscriber
    subscriber.close()


@pytest.fixture
def node(tmp_path: Path, broker: Broker) -> Iterator[Node]:
    directory = tmp_path / "node"
    directory.mkdir()
    process = Node(directory, broker.port)
    yield process
    if process.running:
        process.stop(signal.SIGKILL)
