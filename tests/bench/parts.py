"""What the bench is made of: a mosquitto with bottomless queues, processes with names, and ears. All of it real.

The end of a flood is told by the daemon itself: the last packet is a command, which it answers once it has
carried out on the state that all messages before it have made.
"""

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.bench import packets
from tests.bench.packets import Packets
from tests.conftest import MOSQUITTO, free_port, wait_for

ROOT = Path(__file__).parents[2]
PATIENCE_S = 600.0
STOP_S = 15.0
ANSWERS = "bench/answers"

T = TypeVar("T")


@contextmanager
def started(command: Sequence[str], cwd: Path = ROOT, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block."""
    process = subprocess.Popen(command, cwd=cwd, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def said(process: subprocess.Popen[bytes]) -> bytes:
    """The next line of a process whose output is a pipe without a buffer."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
    assert readable, f"waited in vain for a word of {process.args!r}: a message is missing"
    return process.stdout.readline().strip()


@contextmanager
def mosquitto(folder: Path, inflight: int = 0) -> Iterator[int]:
    """A broker that keeps whatever it cannot deliver yet, so that nothing is dropped. Gives its port.

    `inflight`: how many messages it lets wait for acknowledgement; 0 is as many as the client says.
    """
    assert MOSQUITTO is not None
    port, config = free_port(), folder / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\n{user}persistence false\nset_tcp_nodelay true\n"
        f"max_inflight_messages {inflight}\nmax_queued_messages 0\nmax_queued_bytes 0\n"
    )
    with (folder / "mosquitto.log").open("wb") as log, started([MOSQUITTO, "-c", str(config)], stderr=log):
        wait_for(lambda: "running" in (folder / "mosquitto.log").read_text(), "mosquitto")
        yield port


class Ear:
    """Hears `topics`, and when."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: list[tuple[int, str, bytes]] = []  # ns on the monotonic clock, topic, payload
        self._listening = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics])
        self._client.on_subscribe = lambda *_: self._listening.set()
        self._client.on_message = lambda _client, _data, message: self.heard.append(
            (time.monotonic_ns(), message.topic, bytes(message.payload))
        )
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> "Ear":
        self._client.loop_start()
        assert self._listening.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def wait(self, found: Callable[[str, bytes], T | None], what: str) -> tuple[int, T]:
        """When something was first heard of which `found` makes something, and what."""

        def look() -> tuple[int, T] | None:
            heard = ((at_ns, found(topic, payload)) for at_ns, topic, payload in self.heard)
            return next(((at_ns, thing) for at_ns, thing in heard if thing is not None), None)

        first: tuple[int, T] = wait_for(look, what, PATIENCE_S)
        return first


class Publisher(AbstractContextManager["Publisher"]):
    """The process that sends what is in a file of packets."""

    def __init__(self, port: int, what: Packets) -> None:
        command = [sys.executable, "-m", "tests.bench.publisher", str(port), str(what.path)]
        self._what = what
        self._started = started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def __enter__(self) -> "Publisher":
        self._process = self._started.__enter__()
        assert said(self._process) == b"ready"
        return self

    def __exit__(self, *fault: Any) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._started.__exit__(*fault)

    def send(self, first: int, last: int, rate: float = 0.0) -> int:
        """Send packets `first` up to `last`. When the first of them went out, in ns; with a rate, all have."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d %d %f\n" % (first, last, rate))
        return int(said(self._process))


class Node:
    """`edge-ae run` as a process of its own, on `bench/<name>/{asset}`. `code`: where its `edge_ae` is."""

    def __init__(
        self,
        folder: Path,
        name: str,
        port: int,
        model: Path,
        *,
        qos: int = 1,
        code: Path = ROOT,
        **settings: Mapping[str, Any],
    ) -> None:
        self.name = name
        self._code = code
        self.folder = folder / name
        self.folder.mkdir()
        self._config = self.folder / "edge-ae.toml"
        tables: dict[str, Mapping[str, Any]] = {
            "mqtt": {"host": "127.0.0.1", "port": port},
            "publish": {"stats_interval_s": 1.0},
            **settings,
        }
        stream = {"topic": self.topic("{asset}"), "time": "ts", "model": str(model), "qos": qos}
        self._config.write_text(
            f"node = {_toml(name)}\nstate_dir = {_toml(str(self.folder / 'state'))}\n"
            + "".join(f"[{table}]\n{_lines(facts)}" for table, facts in tables.items())
            + f"[[streams]]\n{_lines(stream)}"
        )

    def topic(self, asset: str) -> str:
        return f"bench/{self.name}/{asset}"

    def own(self, topic: str) -> str:
        """A topic that the daemon publishes on, or obeys."""
        return f"edge-ae/{self.name}/{topic}"

    def probe(self, asset: str, number: int, qos: int) -> bytes:
        """A harmless command, answered once all before it has been seen through."""
        answer_to = f"{ANSWERS}/{self.name}/{number}"
        return packets.publish(self.own(f"{asset}/cmd/unshelve"), b"", qos, number, answer_to)

    def answered(self, ear: Ear, number: int) -> int:
        """When the probe was answered, in ns."""
        answer_to = f"{ANSWERS}/{self.name}/{number}"
        at_ns, said = ear.wait(
            lambda topic, payload: orjson.loads(payload) if topic == answer_to else None, "the daemon's answer"
        )
        assert said["ok"], said
        return at_ns

    @property
    def says(self) -> tuple[str, ...]:
        """What the bench listens to."""
        return self.own("status"), self.own("stats"), self.own("+/event"), f"{ANSWERS}/{self.name}/+"

    def stats(self, ear: Ear, used: int, *, scores_left_out: bool = False) -> dict[str, Any]:
        """The counters once so many messages have been used; nothing may be missing, but where a client's queue was full, scores."""

        def enough(topic: str, payload: bytes) -> dict[str, Any] | None:
            found = orjson.loads(payload) if topic == self.own("stats") else {}
            return found if found.get("used", -1) >= used else None

        _, found = ear.wait(enough, f"{used} messages in the daemon's stats")
        left_out = {"outgoing_full"} if scores_left_out else set()
        link = {name: count for name, count in found["link"].items() if name not in left_out}
        assert (found["used"], found["dropped"], link) == (used, {}, {}), (used, found["used"], found["dropped"], link)
        return found

    @contextmanager
    def run(self, ear: Ear) -> Iterator[psutil.Process]:
        """Running, and ready."""
        command = [sys.executable, "-m", "edge_ae", "run", "--config", str(self._config)]
        environment = os.environ | {"PYTHONPATH": str(self._code)}
        self.began_ns = time.monotonic_ns()
        with (
            (self.folder / "log").open("wb") as log,
            started(command, cwd=self._code, env=environment, stderr=log) as process,
        ):
            self.online_ns, _ = ear.wait(self._online, "online")
            wait_for(lambda: "ready: " in self.log, "the daemon, which is not ready", PATIENCE_S)
            yield psutil.Process(process.pid)

    def _online(self, topic: str, payload: bytes) -> bool | None:
        return True if topic == self.own("status") and payload == b"online" else None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


def _lines(facts: Mapping[str, Any]) -> str:
    return "".join(f"{name} = {_toml(value)}\n" for name, value in facts.items())


def _toml(value: Any) -> str:
    return orjson.dumps(value).decode()


def cpu_ns(process: psutil.Process) -> int:
    """Processor time that a process has spent."""
    times = process.cpu_times()
    return round((times.user + times.system) * 1e9)
