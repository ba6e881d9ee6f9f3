"""What subscribers get: each event once and in order over any connection, and retained states that are true."""

import json
import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edge_ae.core.alert_events import Outcome, Withheld
from edge_ae.core.events import Readings, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.rules import ChannelRule
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.options import DaemonOptions
from edge_ae.daemon.publisher import MARK_PATIENCE_NS, Publisher
from edge_ae.mqtt.link import Message, Session
from edge_ae.store.node_store import FILE, Changes, NodeStore
from tests.daemon.node_process import PERIOD_NS, watch

T_NS = 1_790_000_000 * SECOND
PREFIX = "edge-ae/n1"
MARK = f"{PREFIX}/outbox"


class Sent(NamedTuple):
    topic: str
    body: Any
    retain: bool


class Wire:
    """A link that notes what is published while it is connected, and acknowledges it when it is told to."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[Sent] = []
        self._tokens: list[int] = []

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def publish(self, topic: str, payload: bytes, _qos: int = 0, retain: bool = False, **_: object) -> int | None:
        if not self.connected:
            return None
        self.sent.append(Sent(topic, json.loads(payload) if payload else None, retain))
        return len(self.sent)

    def acknowledge(self) -> None:
        self._tokens = list(range(1, len(self.sent) + 1))

    def acked(self) -> list[int]:
        tokens, self._tokens = self._tokens, []
        return tokens

    def on(self, ending: str) -> list[Any]:
        return [sent.body for sent in self.sent if sent.topic.endswith(ending)]


class Node:
    """A publisher, a fleet that it speaks of, and where what is pending is kept."""

    def __init__(self, folder: Path) -> None:
        self.wire = Wire()
        link: Any = self.wire
        self.store = NodeStore(folder / FILE)
        self.store.load()
        self.fleet = Fleet("n1")
        options = DaemonOptions("n1", score_interval_s=10.0, flood_limit=0)
        self.publisher = Publisher(options, link, self.store)
        self._row = 0

    def rows(self, *values: float) -> list[Outcome]:
        for value in values:
            self.fleet.push(Readings("p1", T_NS + self._row * PERIOD_NS, {"a": value, "b": 1.0}), watch(off_delay_ns=0))
            self._row += 1
        return self.fleet.step()

    def see(self, *values: float, now_ns: int = 0) -> None:
        """As the loop does: take, commit, publish, show."""
        for asset in self.publisher.take(self.rows(*values), self.fleet, now_ns):
            self.publisher.show(self.fleet.detectors[asset])
        self.store.commit(Changes())
        self.publisher.publish_pending(now_ns)

    def connect(self, number: int, *, session: bool = True, now_ns: int = 0) -> None:
        self.wire.connected = True
        self.publisher.reconnected(Session(number, session, "5"), self.fleet, now_ns)

    def mark(self, body: Iterable[object] | None, connection: int, now_ns: int = 0) -> None:
        """The broker gives the mark back, or our own question where it has none."""
        payload = b"" if body is None else json.dumps(body).encode()
        message = Message(T_NS, MARK, payload, 0, 0, False, connection, retain=body is not None)
        self.publisher.mark_received(message)
        self.publisher.publish_pending(now_ns)

    def confirm(self) -> None:
        self.wire.acknowledge()
        self.publisher.acknowledged()


CALM, ALARM = [1.0] * 6, [50.0] * 3


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def types(node: Node) -> list[str]:
    return [event["type"] for event in node.wire.on("p1/event")]


def test_event_goes_out_unretained_with_the_mark_behind_it(node: Node) -> None:
    node.see(*CALM, *ALARM)
    ((place, event),) = [(place, sent) for place, sent in enumerate(node.wire.sent) if sent.topic.endswith("/event")]
    assert (event.body["type"], event.retain) == ("new", False)
    assert node.wire.sent[place + 1] == Sent(MARK, [event.body["id"], 1], True)


def test_event_is_pending_until_the_broker_has_it(node: Node) -> None:
    node.see(*CALM, *ALARM)
    assert len(node.store.outbox) == 1
    node.confirm()
    assert len(node.store.outbox) == 0


def test_event_under_way_is_not_sent_twice_on_one_connection(node: Node) -> None:
    node.see(*CALM, *ALARM)
    node.publisher.publish_pending(0)
    assert types(node) == ["new"]


def test_without_a_connection_events_wait_in_order(node: Node) -> None:
    node.wire.connected = False
    node.see(*CALM, *ALARM, *CALM)
    assert node.wire.sent == []
    node.connect(1)
    node.mark(None, connection=1)
    assert types(node) == ["new", "end"]


def test_nothing_is_sent_again_before_the_mark_is_read(node: Node) -> None:
    node.see(*CALM, *ALARM)
    node.connect(1)
    node.publisher.publish_pending(0)
    assert types(node) == ["new"]
    assert node.wire.on("/outbox")[-1] is None  # the question


def test_event_that_the_mark_shows_has_arrived_is_not_sent_again(node: Node) -> None:
    """As after a kill between the broker's receipt and our note of it."""
    node.see(*CALM, *ALARM)
    node.connect(1)
    node.mark(node.wire.on("/outbox")[0], connection=1)
    assert (types(node), len(node.store.outbox)) == (["new"], 0)


def test_event_that_the_mark_does_not_know_is_sent_again(node: Node) -> None:
    node.see(*CALM, *ALARM)
    node.confirm()
    node.see(*CALM)
    node.connect(1)
    node.mark(node.wire.on("/outbox")[0], connection=1)
    assert types(node) == ["new", "end", "end"]


def test_broker_set_back_to_an_older_mark_is_sent_what_came_since(node: Node) -> None:
    node.see(*CALM, *ALARM)
    older = node.wire.on("/outbox")[0]
    node.see(*CALM)
    node.confirm()
    node.store.commit(Changes())
    node.connect(1)
    node.mark(older, connection=1)
    assert types(node) == ["new", "end", "end"]


def test_broker_without_session_and_mark_is_sent_the_recent_events(node: Node) -> None:
    node.see(*CALM, *ALARM, *CALM)
    node.confirm()
    node.connect(1, session=False)
    node.mark(None, connection=1)
    assert types(node) == ["new", "end"] * 2


def test_mark_of_an_earlier_connection_says_nothing(node: Node) -> None:
    node.see(*CALM, *ALARM)
    node.connect(2)
    node.mark(node.wire.on("/outbox")[0], connection=1)
    assert len(node.store.outbox) == 1
    assert types(node) == ["new"]


def test_mark_that_somebody_else_wrote_holds_nothing_back(node: Node) -> None:
    node.see(*CALM, *ALARM)
    node.connect(1)
    node.mark([{}], connection=1)
    assert types(node) == ["new", "new"]


def test_broker_that_never_shows_the_mark_is_waited_for_and_not_longer(node: Node) -> None:
    node.see(*CALM, *ALARM)
    node.connect(1, now_ns=0)
    node.publisher.publish_pending(MARK_PATIENCE_NS - 1)
    assert types(node) == ["new"]
    node.publisher.publish_pending(MARK_PATIENCE_NS)
    assert types(node) == ["new", "new"]


def test_retained_alert_is_published_when_it_changes_and_on_every_connection(node: Node) -> None:
    node.see(*CALM, *ALARM)
    node.see(50.0)
    assert [alert["state"] for alert in node.wire.on("p1/alert")][-1] == "active"
    before = len(node.wire.on("p1/alert"))
    node.see(50.0)
    assert len(node.wire.on("p1/alert")) == before
    node.connect(1)
    assert len(node.wire.on("p1/alert")) == before + 1
    assert all(sent.retain for sent in node.wire.sent if sent.topic.endswith("/alert"))


def test_one_score_of_an_asset_is_published_in_its_interval(node: Node) -> None:
    for second in (0, 5, 10):
        node.see(*CALM, now_ns=second * SECOND)
    assert len(node.wire.on("p1/score")) == 2


def test_asset_that_was_removed_while_there_was_no_link_is_withdrawn_once_there_is(node: Node) -> None:
    node.see(*CALM, *ALARM)
    node.confirm()
    node.wire.connected = False
    node.fleet = Fleet("n1")
    node.publisher.adopt(node.fleet, ["p1"], T_NS + 60 * SECOND)
    node.store.commit(Changes())
    node.connect(1)
    node.mark(None, connection=1)
    assert types(node) == ["new", "end"]
    assert [sent for sent in node.wire.sent if sent.body is None and sent.retain] == [
        Sent(f"{PREFIX}/p1/alert", None, True),
        Sent(f"{PREFIX}/p1/health", None, True),
    ]


def test_asset_that_came_back_before_there_was_a_link_is_not_withdrawn(node: Node) -> None:
    node.see(*CALM)
    node.wire.connected = False
    node.fleet = Fleet("n1")
    node.publisher.adopt(node.fleet, ["p1"], T_NS)
    node.rows(*CALM)
    node.connect(1)
    node.mark(None, connection=1)
    assert not any(sent.body is None and sent.retain for sent in node.wire.sent)


def test_how_far_a_warm_up_is_is_published_each_minute_and_its_end_at_once(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.rows(1.0, 1.1)
    pump = node.fleet.detectors["p1"]
    node.publisher.show_health(pump.health_now(), SECOND)
    node.rows(1.2)
    node.publisher.show_health(pump.health_now(), 60 * SECOND)
    node.publisher.show_health(pump.health_now(), 61 * SECOND)
    node.rows(1.3, 1.4, 1.5)
    node.publisher.show_health(pump.health_now(), 62 * SECOND)
    shown = [(body["rows"], body["watched"], body["reason"] is None) for body in node.wire.on("/p1/health")]
    assert shown == [(1, False, False), (2, False, False), (4, True, True)]


def test_a_suppressed_alert_is_in_the_history_and_on_its_topic_and_no_event(node: Node) -> None:
    node.connect(1)
    node.see(*CALM)
    node.fleet.detectors["p1"].set_channel_rule("a", ChannelRule(mute=True))
    node.see(*ALARM)
    assert (node.wire.on("p1/alert")[-1]["state"], types(node)) == ("suppressed", [])
    assert [type(one) for one in node.publisher.happenings if not isinstance(one, Scored)] == [Withheld]
    (open_alert,) = node.store.active_alerts()
    assert open_alert.announced is False
    node.store.record(open_alert)  # known in memory alone
    assert node.store.alerts_since("p1", 0, math.inf) == 0
    node.see(*CALM)
    ((announced, cleared_ns, payload),) = node.store.database.rows("SELECT announced, cleared_ns, payload FROM alert")
    assert (announced, cleared_ns is not None, types(node)) == (0, True, [])
    body = json.loads(payload)  # type: ignore[arg-type]  # as bytes
    assert [body[key] for key in ("suppressed", "suppressed_by", "type")] == [True, "rule: a is muted", "end"]
    assert (node.publisher.suppressed, node.wire.on("p1/alert")[-1]["suppressed"]) == ({"rule": 1}, False)
    assert node.store.alerts_since("p1", 0, math.inf) == 0
