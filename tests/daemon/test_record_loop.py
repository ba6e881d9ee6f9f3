"""The recording loop: everything that a broker delivers is on disk before it is acknowledged, and it is never kept waiting."""

import json
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_ae.core.events import Readings
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon import recording_tally
from edge_ae.daemon.record_loop import FLUSH_NS, STALL_NS, RecordLoop
from edge_ae.mqtt.link import Link, Message, Session
from edge_ae.mqtt.options import Broker as Address
from edge_ae.mqtt.options import LinkOptions
from tests.conftest import Broker, Subscriber, wait_for

DECODERS = [Decoder(Stream("plant/{asset}/t", time="ts"), None)]


class Disk:
    """A sink that notes when rows came to it and how often they were secured."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, int, Mapping[str, float]]] = []
        self.safe = self.flushes = 0
        self.fault = None

    @property
    def rows(self) -> int:
        return len(self.kept)

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None:
        self.kept.append((asset, t_ns, values))

    def flush(self) -> None:
        self.safe = self.rows
        self.flushes += 1


class Silent:
    """A broker that nothing was heard of yet."""

    connected = False

    def opened(self) -> Session | None:
        return None


class Meagre(Silent):
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
    RecordLoop(source, DECODERS, disk, 500, clock=source.clock).run(source.all_acked)
    assert (disk.rows, disk.safe) == (200, 200)


def test_a_broker_that_waits_is_found_out_by_its_first_stall() -> None:
    disk = Disk()
    source = Meagre(disk, 10_000, 20)
    RecordLoop(source, DECODERS, disk, 500, clock=source.clock).run(source.all_acked)
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
    RecordLoop(source, DECODERS, disk, 500, clock=source.clock).run(lambda: source._left == 0)
    assert disk.flushes <= 100 * SECOND / FLUSH_NS + 1


@pytest.mark.parametrize("broker_extra", ["max_inflight_messages 20\nmax_queued_messages 1000\n"])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_burst_through_a_broker_that_nobody_tuned_is_whole(broker: Broker, protocol: str) -> None:
    """The test's broker queues as many as come; a default one keeps 1000, which is what it must not come to."""
    link = Link(LinkOptions(Address("127.0.0.1", broker.port, protocol=protocol), "rec", "s/recorder"))
    link.start([("plant/#", 1)])
    wait_for(lambda: link.opened(), "the recorder")
    sensor, disk, total = Subscriber(broker.port, "none", "sensor"), Disk(), 3_000
    loop = RecordLoop(link, DECODERS, disk, 500)

    def burst() -> None:
        for number in range(total):
            sensor.publish("plant/p1/t", json.dumps({"ts": 1_700_000_000 + number, "a": 1.0}))

    thread = threading.Thread(target=burst)
    thread.start()  # A recorder that has not begun yet would lose what the broker does not queue.
    loop.run(lambda: disk.rows == total)
    thread.join()
    link.stop()
    sensor.close()
    assert (loop.counts["readings"], disk.safe) == (total, total)


class Given(Silent):
    """A broker that has these messages, one a turn; each turn is a second."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.left = deque(messages)
        self.now_s = 0

    def take(self, max_items: int, timeout_s: float) -> Sequence[Message]:
        del max_items, timeout_s
        self.now_s += 1
        return [self.left.popleft()] if self.left else []

    def ack(self, messages: Iterable[tuple[int, int]]) -> None:
        del messages

    def clock(self) -> int:
        return self.now_s * SECOND


def message(payload: str, topic: str = "plant/p1/t", *, retain: bool = False) -> Message:
    return Message(1_800_000_000 * SECOND, topic, payload.encode(), 1, 1, False, 1, retain)


def recorded(messages: Sequence[Message], turns: int = 0, **options: Any) -> tuple[RecordLoop, Disk]:
    """The loop and the disk after `turns`, or once all messages are taken."""
    source, disk = Given(messages), Disk()
    loop = RecordLoop(source, DECODERS, disk, 500, clock=source.clock, **options)
    turns = turns or len(messages)
    loop.run(lambda: source.now_s >= turns)
    return loop, disk


def test_first_payload_of_each_topic_that_cannot_be_used_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A recorder runs for days: a setting that does not fit must show in its first minute."""
    loop, _ = recorded([message('{"a": 1.0}', f"plant/{asset}/t") for asset in ("p1", "p1", "p2")])
    assert [line.partition(": ")[::2][0] for line in caplog.messages] == ["plant/p1/t", "plant/p2/t"]
    assert (loop.refusals.counts, loop.counts) == ({"bad_time": 3}, {"received": 3})


def test_value_that_is_left_out_is_named_within_a_second(caplog: pytest.LogCaptureFixture) -> None:
    recorded([message('{"ts": 1790000000, "a": 1.0, "b": "broken"}')] * 3)
    (line,) = caplog.messages
    assert line.startswith("plant/p1/t: b comes as ")
    assert "broken" in line


def test_retained_message_without_a_time_of_its_own_is_not_recorded() -> None:
    source, disk = Given([message('{"a": 1.0}', retain=True)]), Disk()
    loop = RecordLoop(source, [Decoder(Stream("plant/{asset}/t"), None)], disk, 500, clock=source.clock)
    loop.run(lambda: not source.left)
    assert (disk.rows, loop.refusals.counts) == (0, {"retained": 1})


def test_each_minute_says_what_came_of_each_asset_and_which_channel_does_not_come_any_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    first = [message(f'{{"ts": {1_790_000_000 + n}, "a": 1.0, "b": 2.0}}') for n in range(60)]
    other = [message('{"ts": 1790000000, "a": 1.0}', "plant/p2/t")]
    second = [message(f'{{"ts": {1_790_000_060 + n}, "a": 1.0}}') for n in range(59)]
    recorded([*first, *other, *second], turns=180)
    assert caplog.messages == [
        "p1: 60 rows in 60 s: a 60, b 60",
        "p1: 59 rows in 60 s: a 59; nothing of b",
        "p2: 1 row in 60 s: a 1",
        "p1: nothing came for 60 s",
        "p2: nothing came for 119 s",
    ]


def test_table_at_the_end_has_rows_times_values_and_folder_of_each_asset() -> None:
    payloads = [
        '{"ts": 1790000001, "a": 1.0}',
        '{"ts": 1790000000, "a": 1.0, "b": 2.0}',
        '{"ts": 1790000002, "a": 1.0}',
    ]
    loop, _ = recorded([message(payload) for payload in payloads])
    assert loop.tally.table(Path("rec")) == [
        "asset  rows  from                      to                        folder",
        "p1     3     2026-09-21T14:13:20.000Z  2026-09-21T14:13:22.000Z  rec/p1",
        "  a 3 (100 %), b 1 (33 %)",
    ]


def test_one_asset_too_many_is_refused_and_named(caplog: pytest.LogCaptureFixture) -> None:
    loop, disk = recorded([message('{"ts": 1790000000, "a": 1.0}', f"plant/p{n}/t") for n in range(3)], max_assets=2)
    assert (disk.rows, list(loop.tally.assets)) == (2, ["p0", "p1"])
    assert caplog.messages == [
        "plant/p2/t: payload not used (too_many_assets): limits.assets is 2; raise it to record more"
    ]


def test_channels_beyond_the_limit_are_left_out_and_the_rest_is_recorded(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_tally, "CHANNELS", 2)
    loop, disk = recorded([message(f'{{"ts": 1790000000, "a": 1.0, "x{n}": 2.0}}') for n in range(3)])
    assert [dict(values) for *_, values in disk.kept] == [{"a": 1.0, "x0": 2.0}, {"a": 1.0}, {"a": 1.0}]
    assert "1 of its channels are left out" in caplog.messages[0]
    assert loop.refusals.counts == {"too_many_channels": 2}


def test_many_assets_are_twenty_lines_and_a_count() -> None:
    tally = recording_tally.Tally(1_000, 0)
    for number in range(25):
        tally.push(Readings(f"p{number}", 0, {"a": 1.0}), 0)
    lines = tally.minute(60 * SECOND)
    assert (len(lines), lines[-1]) == (21, "5 more assets: 5 rows in 60 s")
    assert tally.minute(120 * SECOND)[-1] == "5 more assets: 0 rows in 60 s; nothing of p20, p21, p22, p23, p24"


def test_minute_without_a_reading_says_so() -> None:
    assert recording_tally.Tally(10, 0).minute(60 * SECOND) == ["no reading came in 60 s"]
