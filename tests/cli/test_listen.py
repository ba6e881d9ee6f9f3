"""`check --listen`: what it listens to and for how long; and as a process beside a real broker and a running daemon."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_ae.cli import listen
from edge_ae.cli.listen import LEAST_S, collect
from edge_ae.cli.nearby_topics import NearbyTopics
from edge_ae.cli.stream_notes import StreamNotes
from edge_ae.core.formats.decoder import Stream
from edge_ae.core.timestamps import SECOND
from edge_ae.mqtt.link import Message
from tests.conftest import Broker, Node, Subscriber

NOW_S = 1_790_000_000


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Plant:
    """A broker on which `topic` gets a message each second; it knows what is subscribed to."""

    def __init__(self, topic: str, clock: Clock) -> None:
        self.filters: set[str] = set()
        self.asked: list[tuple[float, str]] = []
        self._topic, self._clock = topic, clock

    def subscribe(self, filters: Iterable[str]) -> None:
        new = set(filters) - self.filters
        self.filters |= new
        self.asked += [(self._clock.now_s, name) for name in sorted(new)]

    def unsubscribe(self, filters: Iterable[str]) -> None:
        self.filters -= set(filters)

    def publish(self, topic: str, payload: bytes) -> None:
        raise AssertionError(f"{topic}: nobody is asked for {payload!r}")

    def take(self, timeout_s: float) -> list[Message]:
        del timeout_s
        self._clock.now_s += 1
        t_s = NOW_S + int(self._clock.now_s)
        payload = json.dumps({"ts": t_s, "flow": 1.0}).encode()
        return [Message(t_s * SECOND, self._topic, payload, 0, 0, False, 1)]


def listened(topic: str, patterns: list[str], listen_s: float = 40) -> tuple[Plant, Clock, NearbyTopics]:
    clock, nearby = Clock(), NearbyTopics("edge-ae/")
    plant = Plant(topic, clock)
    streams = [StreamNotes(Stream(pattern, time="ts"), None) for pattern in patterns]
    collect(streams, nearby, plant, listen_s, lambda: False, clock)
    return plant, clock, nearby


def test_listening_ends_once_every_stream_has_shown_enough() -> None:
    plant, clock, _ = listened("plant/p1/t", ["plant/{asset}/t"])
    assert LEAST_S < clock.now_s < 10
    assert plant.asked == [(0, "plant/+/t")]


def test_topics_around_a_silent_stream_are_listened_to_in_the_second_half() -> None:
    plant, clock, nearby = listened("plant/p1/other", ["plant/{asset}/t"])
    assert plant.asked == [(0, "plant/+/t"), (21, "plant/#")]
    assert (clock.now_s, nearby.messages) == (40, 19)


def test_everything_is_listened_to_where_not_even_the_first_level_carries_anything() -> None:
    class Elsewhere(Plant):
        def take(self, timeout_s: float) -> list[Message]:
            return super().take(timeout_s) if "#" in self.filters else super().take(timeout_s)[:0]

    clock, nearby = Clock(), NearbyTopics("edge-ae/")
    plant = Elsewhere("works/p1/t", clock)
    collect([StreamNotes(Stream("plant/{asset}/t"), None)], nearby, plant, 40, lambda: False, clock)
    assert [name for _, name in plant.asked] == ["plant/+/t", "plant/#", "#"]
    assert nearby.lines("plant/{asset}/t") == ["works/p1/t (9 messages): level 1 is works, not plant"]


def test_no_more_of_other_topics_is_looked_at_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "AROUND", 3)
    plant, _, nearby = listened("plant/p1/other", ["plant/{asset}/t"])
    assert (nearby.messages, plant.filters) == (3, {"plant/+/t"})


def test_stop_ends_listening() -> None:
    clock = Clock()
    plant = Plant("plant/p1/t", clock)
    notes = StreamNotes(Stream("plant/{asset}/t", time="ts"), None)
    collect([notes], NearbyTopics("edge-ae/"), plant, 40, lambda: notes.messages == 2, clock)
    assert clock.now_s == 2


# -- the process --------------------------------------------------------------------------------------------------


def check(config: Path, listen_s: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_ae", "check", "--config", str(config), "--listen", str(listen_s)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def settings(directory: Path, port: int, *topics: str, model: str = 'model = "pump.onnx"') -> Path:
    config = directory / "edge-ae.toml"
    streams = "".join(f'[[streams]]\ntopic = "{topic}"\ntime = "ts"\n{model}\n' for topic in topics)
    config.write_text(f'node = "n1"\nstate_dir = "own"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n{streams}')
    return config


@contextmanager
def sensor(port: int, topic: str) -> Iterator[None]:
    """Publishes ten readings a second."""
    client, over = Subscriber(port, "none", "sensor"), threading.Event()

    def publish() -> None:
        while not over.wait(0.1):
            client.publish(topic, {"ts": time.time(), "flow": 5.0, "pressure": "2.5", "rssi": -60})

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        client.close()


def test_payload_of_a_sensor_is_shown_and_the_daemon_is_left_alone(tmp_path: Path, broker: Broker, node: Node) -> None:
    node.start().ready()
    with sensor(broker.port, "plant/p1/t"):
        done = check(settings(tmp_path, broker.port, "plant/{asset}/t"), 60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok    readings  plant/{asset}/t: " in done.stdout
    assert "      channels  flow 5 m3/h, pressure 2.5 bar\n      left over rssi\n" in done.stdout
    assert "note  pace      readings come every 1" in done.stdout
    assert "the model takes one every 1 s (p1)" in done.stdout
    assert "note  values    plant/p1/t: pressure comes as text ('2.5')" in done.stdout
    assert "lost" not in node.log


def test_silent_stream_is_a_fault_that_shows_which_topics_carry_messages(tmp_path: Path, broker: Broker) -> None:
    config = settings(tmp_path, broker.port, "plant/{asset}/t", "plant/{asset}/telemetry", model="")
    with sensor(broker.port, "plant/p1/Telemetry"), sensor(broker.port, "plant/p1/t"):
        done = check(config, 3)
    assert done.returncode == 1
    assert "FAULT readings  plant/{asset}/telemetry: nothing came in 3 s" in done.stdout
    assert "level 3 is Telemetry, not telemetry; upper and lower case differ" in done.stdout
    assert "ok    readings  plant/{asset}/t: " in done.stdout
    assert "      model     none yet: edge-ae record keeps every number\n" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
