"""A whole daemon without a broker: messages are handed to it, and what it acknowledges and publishes is kept.

Its model is that of the tests whose scores can be worked out by hand; it takes every format there is.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.bridge import Bridge
from edge_ae.daemon.ingest import Feed, SameWatch
from edge_ae.daemon.loop import Daemon
from edge_ae.daemon.options import DaemonOptions
from edge_ae.mqtt.link import Message
from edge_ae.store.node_store import FILE, NodeStore
from tests.daemon.node_process import watch

STREAMS = (
    Stream("plant/{asset}/telemetry", time="ts", max_bytes=4096),
    Stream("plant/{asset}/a", channels={"b": "motor.b"}),
    Stream("line/+", format="influx", asset="line"),
    Stream("number/{asset}/{channel}", format="number"),
    Stream("deep/{asset}", time="Time", channels={"a": "DS18B20.Temperature", "b": "phases[1].power"}),
    Stream("tags/{asset}", value="d[tag={channel}].value", time="d[].t", quality="d[].q"),
    Stream("gateway", value="{asset}.{channel}", time="ts", words={"auto": 1}),
)
T0_NS = 1_790_000_000 * SECOND


class Deaf:
    """A link that leads nowhere. `put` messages in; `acked` and `published` came out."""

    connected = False
    connection = 1

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.given: list[tuple[int, int]] = []
        self._inbox: list[Message] = []

    def put(self, messages: Iterable[tuple[str, bytes]]) -> None:
        self._inbox += self._numbered(messages)

    def put_again(self, messages: Iterable[tuple[str, bytes]], acknowledged: Collection[tuple[int, int]]) -> None:
        """What a broker delivers again of a `put` whose connection has ended."""
        again = (one._replace(dup=True) for one in self._numbered(messages))
        self._inbox += [one for one in again if (one.connection, one.mid) not in acknowledged]

    def _numbered(self, messages: Iterable[tuple[str, bytes]]) -> list[Message]:
        arrival_ns = T0_NS + 7 * 86_400 * SECOND  # later than any payload's own time by far
        return [
            Message(arrival_ns + number, topic, payload, 1, number % 65_535 + 1, False, self.connection)
            for number, (topic, payload) in enumerate(messages)
        ]

    def take(self, most: int, _timeout_s: float) -> list[Message]:
        taken, self._inbox = self._inbox[:most], self._inbox[most:]
        return taken

    @property
    def waiting(self) -> int:
        return len(self._inbox)

    def ack(self, messages: Iterable[tuple[int, int]]) -> None:
        self.given += messages

    def reconnect(self) -> None: ...

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def publish(self, *_: Any, **__: Any) -> None:
        return None

    def start(self, _filters: Any) -> None: ...

    def opened(self) -> None: ...

    def acked(self) -> list[int]:
        return []


MAX_ASSETS = 50


def daemon(
    directory: Path,
    checkpoint_s: float = 0.0,
    receive_maximum: int = 2_000,
    link: Any = None,
    bridges: Sequence[Bridge] = (),
) -> tuple[Daemon, Any]:
    """`link` None: one that leads nowhere."""
    link = Deaf() if link is None else link
    feeds = [Feed(Decoder(stream, watch().model.spec.names), SameWatch(watch())) for stream in STREAMS]
    store = NodeStore(directory / FILE if checkpoint_s > 0 else None)
    options = DaemonOptions("n1", "edge-ae", checkpoint_s, receive_maximum, max_assets=MAX_ASSETS)
    return Daemon(options, feeds, link, store, bridges=bridges), link
