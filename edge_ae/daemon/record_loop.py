"""The loop of `edge-ae record`: readings from the broker to the recorder, acknowledged once they are on disk.

Rows go to disk together, for that compresses well; yet a broker sends no more than it lets wait for acknowledgement
(mosquitto: 20, where nothing else is set), and drops what it cannot keep. How many those are is found out.

It says what it does as it goes: each minute what came of each asset, and at once what cannot be used or is left out.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from edge_ae.core.deduplication import Receipt
from edge_ae.core.events import Readings
from edge_ae.core.formats.decoder import Decoder
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon import systemd
from edge_ae.daemon.ack_policy import Patience, StallDetector
from edge_ae.daemon.rebirths import Rebirths
from edge_ae.daemon.recording_tally import CHANNELS, Tally
from edge_ae.daemon.refusals import Refusals
from edge_ae.errors import BadPayload
from edge_ae.mqtt.link import Message, Session

log = logging.getLogger(__name__)

BATCH = 256
WAIT_S = 0.5
FLUSH_NS = 5 * SECOND
MINUTE_NS = 60 * SECOND

STALL_NS = SECOND // 10
PATIENCE = Patience(first_ns=STALL_NS, answer_ns=SECOND // 50, longest_ns=STALL_NS)
"""Short, for a flush is cheap."""


class Source(Protocol):
    """What the loop asks of the link to the broker."""

    @property
    def connected(self) -> bool: ...

    def opened(self) -> Session | None: ...

    def take(self, max_items: int, timeout_s: float) -> Sequence[Message]: ...

    def ack(self, messages: Iterable[tuple[int, int]]) -> None: ...


class Sink(Protocol):
    """What the loop asks of the recorder."""

    @property
    def fault(self) -> str | None: ...

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None: ...

    def flush(self) -> None: ...


class RecordLoop:
    """`counts`: messages that came, and rows that were made of them. What was not used is with `refusals`.

    `limit`: messages that may wait for acknowledgement. `max_assets`: no more are recorded. `publish`: what asks Sparkplug nodes
    for their births.
    """

    def __init__(
        self,
        source: Source,
        decoders: Sequence[Decoder],
        sink: Sink,
        limit: int,
        max_assets: int = 1_000,
        clock: Callable[[], int] = time.monotonic_ns,
        publish: Callable[[str, bytes], object | None] = lambda _topic, _payload: None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        now_ns = clock()
        self.refusals, self.tally = Refusals(), Tally(max_assets, now_ns)
        self._source, self._decoders, self._sink, self._clock = source, decoders, sink, clock
        self._waiting: list[Receipt] = []
        self._flushed_ns = self._second_ns = self._minute_ns = now_ns
        self._stall = StallDetector(limit, PATIENCE, now_ns)
        self._rebirths = Rebirths(publish)
        self._ready = False

    def run(self, stop: Callable[[], bool], progress: Callable[[int], None] = lambda _rows: None) -> None:
        """Record until `stop`. `progress` is given the number of rows so far."""
        while not stop():
            self.turn()
            progress(self.counts["readings"])
        systemd.stopping()
        self._secure()
        self._log_omissions()

    def turn(self) -> None:
        """Take what is there, and bring it to disk where that is due."""
        messages = self._source.take(BATCH, STALL_NS / SECOND if self._waiting else WAIT_S)
        now_ns = self._clock()
        if messages:
            self._stall.received(now_ns)
        for message in messages:
            self._use(message, now_ns)
        self._waiting += [(message.connection, message.mid) for message in messages if message.qos > 0]
        full = len(self._waiting) >= self._stall.limit or now_ns - self._flushed_ns > FLUSH_NS
        if full or self._stall.stalled(now_ns, len(self._waiting)):
            self._secure()
        if self._source.opened() is not None and not self._ready:
            self._ready = True
            systemd.ready()
        if now_ns - self._second_ns >= SECOND:
            self._look_after(now_ns)

    def _secure(self) -> None:
        self._sink.flush()
        self._source.ack(self._waiting)
        self._waiting, self._flushed_ns = [], self._clock()

    # -- messages ------------------------------------------------------------------------------------------

    def _use(self, message: Message, now_ns: int) -> None:
        self.counts["received"] += 1
        for decoder in self._decoders:
            if not decoder.matches(message.topic):
                continue
            try:
                many = decoder.decode(message.topic, message.payload, message.arrival_ns, retained=message.retain)
                for readings in many:
                    self._keep(readings, message, now_ns)
            except BadPayload as fault:
                self.refusals.refuse(message.topic, fault, message.arrival_ns)

    def _keep(self, readings: Readings, message: Message, now_ns: int) -> None:
        values = self.tally.push(readings, now_ns)
        self._sink.push(readings.asset, readings.t_ns, values)
        self.counts["readings"] += 1
        beyond = len(readings.values) - len(values)
        if beyond > 0:
            text = f"{beyond} of its channels are left out, for {readings.asset} has {CHANNELS} already"
            self.refusals.refuse(message.topic, BadPayload("too_many_channels", text), message.arrival_ns)

    # -- once a second -------------------------------------------------------------------------------------

    def _look_after(self, now_ns: int) -> None:
        self._second_ns = now_ns
        self._rebirths.ask(self._decoders, now_ns)
        self._log_omissions()
        if now_ns - self._minute_ns >= MINUTE_NS:
            self._minute_ns = now_ns
            for line in self.tally.minute(now_ns):
                log.info("%s", line)
            self.refusals.log_summary()
        systemd.watchdog()
        systemd.status(self._status())

    def _log_omissions(self) -> None:
        for decoder in self._decoders:
            self.refusals.omit(decoder.new_omissions(), time.time_ns())

    def _status(self) -> str:
        """One line for a person; a fault comes first."""
        facts = [
            "connected" if self._source.connected else "no broker",
            f"{len(self.tally.assets)} assets",
            f"{self.counts['readings']:,} rows",
            f"{self.refusals.counts.total():,} payloads not used",
        ]
        return "; ".join([*([] if self._sink.fault is None else [self._sink.fault]), *facts])
