"""The loop of `edge-ae record`: readings from the broker to the recorder, acknowledged once they are on disk.

Rows go to disk together, for that compresses well; yet a broker sends no more than it lets wait for acknowledgement
(mosquitto: 20, where nothing else is set), and drops what it cannot keep. How many those are is found out.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from edge_ae.core.deduplication import Receipt
from edge_ae.core.formats.decoder import Decoder
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.ack_policy import Patience, StallDetector
from edge_ae.errors import BadPayload
from edge_ae.mqtt.link import Message

log = logging.getLogger(__name__)

BATCH = 256
WAIT_S = 0.5
FLUSH_NS = 5 * SECOND

STALL_NS = SECOND // 10
PATIENCE = Patience(first_ns=STALL_NS, answer_ns=SECOND // 50, longest_ns=STALL_NS)
"""Short, for a flush is cheap."""


class Source(Protocol):
    """What the loop asks of the link to the broker."""

    def take(self, max_items: int, timeout_s: float) -> Sequence[Message]: ...

    def ack(self, messages: Iterable[tuple[int, int]]) -> None: ...


class Sink(Protocol):
    """What the loop asks of the recorder."""

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None: ...

    def flush(self) -> None: ...


def record(
    source: Source,
    decoders: Sequence[Decoder],
    sink: Sink,
    limit: int,
    stop: Callable[[], bool],
    progress: Callable[[Counter[str]], None] = lambda _counts: None,
    clock: Callable[[], int] = time.monotonic_ns,
) -> Counter[str]:
    """Until `stop`. Returns what was received and recorded, and what was not used, by reason.

    `limit`: messages that may wait for acknowledgement.
    """
    counts: Counter[str] = Counter()
    waiting: list[Receipt] = []
    flushed_ns = clock()
    stall = StallDetector(limit, PATIENCE, flushed_ns)
    while not stop():
        messages = source.take(BATCH, STALL_NS / SECOND if waiting else WAIT_S)
        now_ns = clock()
        if messages:
            stall.received(now_ns)
        for message in messages:
            _use(message, decoders, sink, counts)
        waiting += [(message.connection, message.mid) for message in messages if message.qos > 0]
        full = len(waiting) >= stall.limit or now_ns - flushed_ns > FLUSH_NS
        if full or stall.stalled(now_ns, len(waiting)):
            sink.flush()
            source.ack(waiting)
            waiting, flushed_ns = [], clock()
        progress(counts)
    sink.flush()
    source.ack(waiting)
    return counts


def _use(message: Message, decoders: Sequence[Decoder], sink: Sink, counts: Counter[str]) -> None:
    counts["received"] += 1
    for decoder in decoders:
        if not decoder.matches(message.topic):
            continue
        try:
            for readings in decoder.decode(message.topic, message.payload, message.arrival_ns):
                sink.push(readings.asset, readings.t_ns, readings.values)
                counts["readings"] += 1
        except BadPayload as fault:
            if counts[fault.reason] == 0:
                log.warning("%s: payload not used (%s): %s", message.topic, fault.reason, fault)
            counts[fault.reason] += 1
