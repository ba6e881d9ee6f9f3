"""The loop of `edge-ae record`: readings from the broker to the recorder, acknowledged once they are on disk.

Rows go to disk together, for that compresses well; yet a broker sends no more than it lets wait for acknowledgement
(mosquitto: 20, unless told otherwise), and drops what it cannot keep. How many those are it does not say: it is found out.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from edge_ae.core.formats.decoder import Decoder
from edge_ae.errors import BadPayload

BATCH = 256
WAIT_S = 0.5
FLUSH_S = 5.0
STALL_OWED = 10  # a broker to which we owe so many, and that sends nothing
STALL_S = 0.1  # for so long, may be waiting for them,
STALL_ANSWER_S = 0.02  # and was, if it sends this soon after getting them


class Message(Protocol):
    @property
    def arrival_ns(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def qos(self) -> int: ...
    @property
    def mid(self) -> int: ...
    @property
    def connection(self) -> int: ...


class Source(Protocol):
    """What the loop asks of the link to the broker."""

    def take(self, max_items: int, timeout_s: float) -> Sequence[Message]: ...

    def ack(self, messages: Iterable[tuple[int, int]]) -> None: ...


class Sink(Protocol):
    """What the loop asks of the recorder."""

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None: ...

    def flush(self) -> None: ...


class Debt:
    """Messages on their way to disk, and when they have to be there: the acknowledgements owed to the broker."""

    def __init__(self, most: int, now_s: float) -> None:
        self.owed: list[tuple[int, int]] = []
        self._most = most
        self._settled_s = self._input_s = now_s
        self._asked: int | None = None  # how many were owed when the broker seemed to wait

    def add(self, messages: Sequence[Message], now_s: float) -> None:
        if not messages:
            return
        if self._asked is not None and now_s - self._settled_s < STALL_ANSWER_S:
            self._most = min(self._most, self._asked)  # from now on it need not wait
        self._asked, self._input_s = None, now_s
        self.owed += [(message.connection, message.mid) for message in messages if message.qos > 0]

    def due(self, now_s: float) -> bool:
        if len(self.owed) >= self._most or now_s - self._settled_s > FLUSH_S:
            return True
        if len(self.owed) < STALL_OWED or now_s - self._input_s < STALL_S:
            return False
        self._asked = len(self.owed)
        return True

    def settle(self, now_s: float) -> list[tuple[int, int]]:
        due, self.owed, self._settled_s = self.owed, [], now_s
        return due


def record(
    source: Source,
    decoders: Sequence[Decoder],
    sink: Sink,
    most_owed: int,
    stop: Callable[[], bool],
    progress: Callable[[Counter[str]], None] = lambda _counts: None,
    clock: Callable[[], float] = time.monotonic,
) -> Counter[str]:
    """Until `stop`. Returns what was received and recorded, and what was not used, by reason."""
    counts: Counter[str] = Counter()
    debt = Debt(most_owed, clock())
    while not stop():
        messages = source.take(BATCH, STALL_S if debt.owed else WAIT_S)
        for message in messages:
            _use(message, decoders, sink, counts)
        debt.add(messages, clock())
        if debt.due(clock()):
            sink.flush()
            source.ack(debt.settle(clock()))
        progress(counts)
    sink.flush()
    source.ack(debt.owed)
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
            counts[fault.reason] += 1
