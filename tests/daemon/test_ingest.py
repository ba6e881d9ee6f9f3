"""Messages become readings of the stream that takes their topic; what cannot be used is counted, and logged now and then."""

from collections.abc import Mapping

import pytest

from edge_ae.core.fleet import Fleet
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.ingest import Feed, Ingest
from edge_ae.mqtt.link import Message
from tests.daemon.node_process import feed

T_MS = 1_790_000_000_000
OWN = "edge-ae/n1/"


def message(topic: str = "plant/p1/telemetry", payload: bytes = b'{"ts": %d, "a": 1.0, "b": 2.0}' % T_MS) -> Message:
    return Message(T_MS * 10**6 + SECOND, topic, payload, 1, 1, False, 1)


def ingest(*feeds: Feed, max_assets: int = 10) -> Ingest:
    return Ingest(feeds or (feed(),), Fleet("n1", max_assets), OWN)


class Recorder:
    fault = None

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, Mapping[str, float]]] = []
        self.closed = False

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None:
        self.rows.append((asset, t_ns, dict(values)))

    def mark(self, asset: str, from_ns: int, until_ns: int, why: str) -> None:
        raise NotImplementedError

    def tick(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


def test_reading_reaches_the_asset_of_its_topic() -> None:
    tried = ingest()
    assert tried.take(message())
    assert (tried.used, list(tried.fleet.detectors), tried.touched) == (1, ["p1"], {"p1"})
    assert tried.origins == {"p1": "plant/+/telemetry"}


def test_topic_that_no_stream_asks_for_is_left_to_others() -> None:
    tried = ingest()
    assert not tried.take(message("office/p1/telemetry"))
    assert (tried.used, tried.refusals.counts, tried.touched) == (0, {}, set())


def test_own_messages_are_never_readings_even_where_a_wide_filter_brings_them() -> None:
    tried = ingest(feed("{asset}/#"))
    assert not tried.take(message(OWN + "p1/score"))
    assert tried.take(message("p1/telemetry"))


def test_every_stream_that_asks_for_a_topic_takes_it() -> None:
    tried = ingest(feed(), feed("{asset}/p1/telemetry"))
    tried.take(message())
    assert (tried.used, sorted(tried.origins)) == (2, ["p1", "plant"])


def test_payload_that_cannot_be_used_is_counted_under_its_topic(caplog: pytest.LogCaptureFixture) -> None:
    tried = ingest()
    for asset in ("p1", "p2", "p1"):
        assert tried.take(message(f"plant/{asset}/telemetry", b"{")) == ()
    assert [line.partition(":")[0] for line in caplog.messages] == ["plant/p1/telemetry", "plant/p2/telemetry"]
    assert tried.refusals.counts == {"not_json": 3}


def test_value_that_is_left_out_of_a_payload_is_named(caplog: pytest.LogCaptureFixture) -> None:
    tried = ingest()
    for _ in range(3):
        tried.take(message(payload=b'{"ts": %d, "a": 1.0, "b": "broken"}' % T_MS))
    tried.log_omissions()
    tried.log_omissions()
    (line,) = caplog.messages
    assert line.startswith("plant/p1/telemetry: b ")
    assert "broken" in line
    assert tried.used == 3


def test_one_asset_too_many_leaves_nothing_behind() -> None:
    tried = ingest(max_assets=1)
    for asset in ("p1", "p2"):
        tried.take(message(f"plant/{asset}/telemetry"))
    assert (tried.touched, list(tried.origins)) == ({"p1"}, ["p1"])
    assert tried.fleet.counts["too_many_assets"] == 1


def test_recorder_is_given_every_reading_and_closed() -> None:
    recorder = Recorder()
    tried = Ingest([feed()], Fleet("n1"), OWN, recorder)
    tried.take(message())
    tried.close()
    assert recorder.rows == [("p1", T_MS * 10**6, {"a": 1.0, "b": 2.0})]
    assert recorder.closed


def test_feeds_are_exchanged_at_once() -> None:
    tried = ingest()
    tried.take(message())
    tried.adopt([feed("other/{asset}")], Fleet("n1"), {}, {})
    assert not tried.take(message())
    assert tried.take(message("other/p1"))
