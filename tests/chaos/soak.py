"""The soak: readings by the thousand with garbage among them, for as long as you like. Memory flat, nothing lost.

    python -m tests.chaos.soak --minutes 30

Exit status 1 where a message is missing in the counters, or memory has grown.
"""

import argparse
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.chaos.people import Talk
from tests.chaos.plant import ASSETS, NODE, T0_MS, Plant, plant
from tests.chaos.world import MODEL, Broker, Node
from tests.conftest import wait_for
from tests.fuzz import hostile

RATE = 2000.0  # messages a second
GARBAGE = 0.1  # part of them
STEP_S = 0.02
WARM = 0.2  # part of the time after which memory must not grow
GROWTH_MB = 4.0
QUIET_S = 15.0  # without a message more: the rest is lost
CHECKPOINT_S = 60.0  # as the daemon is set by default
Say = Callable[[str], None]


@dataclass(frozen=True)
class Soaked:
    """`readings` that make sense and `garbage` were sent; `stats` is what the daemon said in the end; memory in MB."""

    readings: int
    garbage: int
    seconds: float
    stats: dict[str, Any]
    warm_mb: float
    end_mb: float

    @property
    def lost(self) -> int:
        return self.readings + self.garbage - int(self.stats["used"]) - int(self.stats["refused"])

    @property
    def adds_up(self) -> bool:
        return bool(self.stats["received"] == sum(self.stats[name] for name in ("used", "refused", "other_topics")))

    @property
    def clean(self) -> bool:
        return self.lost == 0 and self.adds_up and int(self.stats["used"]) >= self.readings

    @property
    def flat(self) -> bool:
        return self.end_mb - self.warm_mb <= GROWTH_MB


def messages(pump: Plant, dice: random.Random) -> Iterator[tuple[str, bytes, bool]]:
    """(topic, payload, is it garbage), without end. Garbage knows none of the pump's channels, so that none of it is used."""
    number = 0
    garbage = hostile.payloads(dice, sys.maxsize, T0_MS)
    while True:
        for asset in ASSETS:
            yield f"plant/{asset}/telemetry", pump.payload(asset, number), False
            if dice.random() < GARBAGE / (1 - GARBAGE):
                topic, payload = next(garbage)
                yield topic if topic.endswith("/telemetry") else "plant/p1/telemetry", payload, True
        number += 1


def soak(minutes: float, out: Path, say: Say = lambda _: None) -> Soaked:
    pump = plant(MODEL)
    with closing(Broker(out)) as broker:
        broker.start()
        with closing(Node(out, pump.model, broker.port, CHECKPOINT_S)) as node, _listening(broker.port) as heard:
            node.start()
            wait_for(lambda: "ready: " in node.log, "the daemon")
            return _pour(pump, broker.port, minutes * 60, heard, say)


def _pour(pump: Plant, port: int, seconds: float, heard: dict[str, Any], say: Say) -> Soaked:
    stream = messages(pump, random.Random(1))
    sent = {False: 0, True: 0}
    warm_mb, began = 0.0, time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        talk = Talk(sock, "pourer")
        while (passed := time.monotonic() - began) < seconds:
            while sum(sent.values()) < passed * RATE:
                topic, payload, is_garbage = next(stream)
                talk.publish(topic, payload)
                sent[is_garbage] += 1
            talk.listen(STEP_S)
            if warm_mb == 0.0 and passed > WARM * seconds:
                warm_mb = heard["rss_bytes"] / 1e6
            say(f"{passed:.0f} s, {sum(sent.values()):,} messages, {heard.get('rss_bytes', 0) / 1e6:.1f} MB")
        talk.settle()
    _settle(heard, sum(sent.values()))
    return Soaked(sent[False], sent[True], seconds, dict(heard), warm_mb, heard["rss_bytes"] / 1e6)


def _settle(heard: dict[str, Any], sent: int) -> None:
    """Until all is used or refused, or nothing more comes."""
    done, since = -1, time.monotonic()
    while done < sent and time.monotonic() - since < QUIET_S:
        now = heard["used"] + heard["refused"]
        if now > done:
            done, since = now, time.monotonic()
        time.sleep(STEP_S)


class _listening:  # noqa: N801  # a context, not a thing
    """The newest stats of the daemon, kept up to date in a dict."""

    def __init__(self, port: int) -> None:
        self._heard: dict[str, Any] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(f"edge-ae/{NODE}/stats")
        self._client.on_message = lambda _client, _data, message: self._heard.update(orjson.loads(message.payload))
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> dict[str, Any]:
        self._client.loop_start()
        return self._heard

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.soak", description="Readings and garbage, for long.")
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is cleaned up

    def say(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{text}", end="", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="edge-ae-soak-") as scratch:
        found = soak(options.minutes, Path(scratch), say)
    total = found.readings + found.garbage
    print(f"\nsent      {total:,} messages in {found.seconds:.0f} s, {found.garbage:,} of them garbage")
    print(f"lost      {found.lost}")
    print(f"used      {found.stats['used']:,}, refused {found.stats['refused']:,}; they add up: {found.adds_up}")
    print(f"dropped   {orjson.dumps(found.stats['dropped']).decode()}")
    print(f"memory    {found.warm_mb:.1f} MB after {WARM:.0%} of the time, {found.end_mb:.1f} MB at the end")
    return 0 if found.clean and found.flat else 1


if __name__ == "__main__":
    sys.exit(main())
