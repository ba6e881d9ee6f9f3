"""The recording loop: everything that a broker delivers is on disk before it is acknowledged, and it is never kept waiting."""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import pytest

from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.record_loop import FLUSH_NS, STALL_NS, record
from edge_ae.mqtt.link import Link, Message
from edge_ae.mqtt.options import Broker as Address
from edge_ae.mqtt.options import LinkOptions
from tests.conftest import Broker, Subscriber, wait_for

DECODERS = [Decoder(Stream("plant/{asset}/t", time="ts"), None)]


class Disk:
    """A sink that notes when rows came to it and how often they were secured."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, int, Mapping[str, float]]] = []
        self.safe = self.flushes = 0

    @property
    def rows(self) -> int:
        return len(self.kept)

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None:
        self.kept.append((asset, t_ns, values))

    def flush(self) -> None:
        self.safe = self.rows
        self.flushes += 1


class Meagre:
    """A broker with `total` messages that lets `allowed` wait for acknowledgement; its own clock, in seconds."""

    def __init__(self, disk: Disk, total: int, allowed: int, answer_s: float = 0.001) -> None:
        self.now_s = 0.0
        self._disk, self._left, self._allowed, self._answer_s = disk, total, allowed, answer_s
        self._sent = self._acked = 0
        self._under_way: deque[Message] = deque()

    def take(self, max_items: int, timeout_s: float) -> Sequence[Message]:
        count = min(self._left, self._allowed - (self._sent - self._acked), max_items)
        self.now_s += self._answer_s if count > 0 else timeout_s
        first, self._sent, self._left = self._sent, self._sent + count, self._left - count
        payload = b'{"ts": 1700000000, "a": 1.0}'
        return [
            Message(1_700_000_000 * SECOND, "plant/p1/t", payload, 1, mid, False, 1)
            for mid in range(first, first + count)
        ]

    def ack(self, messages: Iterable[tuple[int, int]]) -> None:
        self._acked += len(list(messages))
        assert self._acked <= self._disk.safe, "acknowledged before it was on disk"

    def clock(self) -> int:
        return round(self.now_s * SECOND)

    def all_acked(self) -> bool:
        return self._left == 0 and self._acked == self._sent


@pytest.mark.parametrize("allowed", [1, 5, 20, 500, 10_000])
def test_whatever_a_broker_allows_everything_is_secured_and_acknowledged(allowed: int) -> None:
    disk = Disk()
    source = Meagre(disk, 200, allowed)
    record(source, DECODERS, disk, 500, source.all_acked, clock=source.clock)
    assert (disk.rows, disk.safe) == (200, 200)


def test_a_broker_that_waits_is_found_out_by_its_first_stall() -> None:
    disk = Disk()
    source = Meagre(disk, 10_000, 20)
    record(source, DECODERS, disk, 500, source.all_acked, clock=source.clock)
    assert source.now_s < 2 * STALL_NS / SECOND + 10_000 / 20 * 0.001


def test_a_sensor_that_is_merely_slow_is_written_in_large_pieces() -> None:
    """Each message a second after the one before: nobody waits, and a flush for each would be a hundred."""
    disk = Disk()

    class Slow(Meagre):
        def take(self, max_items: int, timeout_s: float) -> Sequence[Message]:
            if self.now_s + timeout_s < self._sent:
                self.now_s += timeout_s
                return []
            return super().take(min(1, max_items), timeout_s)

    source = Slow(disk, 100, 1_000)
    record(source, DECODERS, disk, 500, lambda: source._left == 0, clock=source.clock)
    assert disk.flushes <= 100 * SECOND / FLUSH_NS + 1


@pytest.mark.parametrize("broker_extra", ["max_inflight_messages 20\nmax_queued_messages 1000\n"])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_burst_through_a_broker_that_nobody_tuned_is_whole(broker: Broker, protocol: str) -> None:
    """The test's broker queues as many as come; a default one keeps 1000, which is what it must not come to."""
    link = Link(LinkOptions(Address("127.0.0.1", broker.port, protocol=protocol), "rec", "s/recorder"))
    link.start([("plant/#", 1)])
    wait_for(lambda: link.opened(), "the recorder")
    sensor, disk, total = Subscriber(broker.port, "none", "sensor"), Disk(), 3_000
    for number in range(total):
        sensor.publish("plant/p1/t", json.dumps({"ts": 1_700_000_000 + number, "a": 1.0}))
    counts = record(link, DECODERS, disk, 500, lambda: disk.rows == total)
    link.stop()
    sensor.close()
    assert (counts["readings"], disk.safe) == (total, total)


class Untimed:
    """A broker with messages that lack their time."""

    def __init__(self, messages: int) -> None:
        self.left = [Message(0, "plant/p1/t", b'{"a": 1.0}', 1, mid, False, 1) for mid in range(messages)]

    def take(self, max_items: int, timeout_s: float) -> Sequence[Message]:
        del max_items, timeout_s
        return [self.left.pop()]

    def ack(self, messages: Iterable[tuple[int, int]]) -> None:
        assert len(list(messages)) > 0


def test_what_cannot_be_used_is_logged_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    """A recorder runs for days: a setting that does not fit must show in its first minute."""
    source = Untimed(3)
    assert record(source, DECODERS, Disk(), 500, lambda: not source.left) == {"received": 3, "bad_time": 3}
    (line,) = caplog.messages
    assert line.startswith("plant/p1/t: payload not used (bad_time): ")
