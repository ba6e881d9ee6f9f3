"""What the daemon publishes because somebody asked, on a real broker."""

import json
from typing import Any

import pytest

from edge_ae.core.commands import ViewSignals
from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.model_spec import Channel
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import MS, SECOND, rfc3339, seconds_ns
from edge_ae.daemon.history import History
from edge_ae.daemon.views import MOST_BYTES, MOST_VIEWED, LiveViews
from edge_ae.errors import BadPayload
from edge_ae.store.node_store import NodeStore
from tests.conftest import Broker, Node, Subscriber, wait_for
from tests.daemon.node_process import watch
from tests.daemon.test_publisher import Wire
from tests.models import FakeModel

TOPIC = "plant/p1/telemetry"
COMMAND = "edge-ae/n1/p1/cmd/"
T0_MS = 1_790_000_000_000
LENGTH = 4


def rows(first: int, last: int, value: float = 1.0) -> list[dict[str, Any]]:
    return [{"ts": T0_MS + 100 * row, "a": value, "b": 0.5} for row in range(first, last)]


def watched(node: Node, listener: Subscriber, **settings: Any) -> None:
    node.start(**settings).ready()
    listener.publish_all(TOPIC, rows(0, 20))
    wait_for(lambda: listener.on("/p1/score"), "a score")


def test_view_shows_the_whole_window_at_once_and_then_the_rows_since(node: Node, listener: Subscriber) -> None:
    watched(node, listener)
    assert listener.bodies("/signals") == []
    assert listener.ask(COMMAND + "view", {"for_s": 60}) == {"ok": True}
    (first,) = wait_for(lambda: listener.bodies("/signals"), "the first picture")
    assert len(first["ts"]) == LENGTH
    assert first["channels"][0] == {
        "name": "a", "unit": "bar", "observed": [1.0] * LENGTH, "expected": [0.0] * LENGTH, "deviation": None, "low": None, "high": None,
    }  # fmt: skip
    listener.publish_all(TOPIC, rows(20, 22))
    second = wait_for(lambda: listener.bodies("/signals")[1:], "the rows since")[0]
    assert second["ts"][0] > first["ts"][-1]
    assert second["score"] == [1.0] * len(second["ts"])
    message: Any = listener.on("/signals")[0]
    assert (message.qos, message.retain, message.properties.MessageExpiryInterval) == (0, False, 10)


def test_view_ends_with_its_time(node: Node, listener: Subscriber) -> None:
    watched(node, listener)
    listener.ask(COMMAND + "view", {"for_s": 1})
    wait_for(lambda: listener.bodies("/signals"), "the first picture")
    scores, row = len(listener.on("/p1/score")), 20
    while len(listener.on("/p1/score")) < scores + 3:  # a score comes each second
        listener.publish_all(TOPIC, rows(row, row + 1))
        row += 1
    seen = len(listener.on("/signals"))
    listener.publish_all(TOPIC, rows(row, row + 5))
    wait_for(lambda: len(listener.on("/p1/score")) > scores + 3, "another score")
    assert len(listener.on("/signals")) == seen


def test_view_needs_no_answer_topic_and_no_version_5(node: Node, broker: Broker) -> None:
    listener = Subscriber(broker.port, version="3.1.1")
    watched(node, listener, protocol="3.1.1")
    listener.publish(COMMAND + "view", b"")
    assert len(wait_for(lambda: listener.last("/signals"), "the picture")["ts"]) == LENGTH
    listener.close()


def test_view_writes_no_checkpoint(node: Node, listener: Subscriber) -> None:
    """It changes nothing, and a page renews it every half minute for each asset."""
    watched(node, listener, options={"stats_interval_s": 0.1})
    before = listener.last("/stats")
    for _ in range(5):
        listener.ask(COMMAND + "view", {"for_s": 60})
    after = wait_for(lambda: now if (now := listener.last("/stats"))["commands"] == 5 else None, "the commands")
    assert after["checkpoints"] == before["checkpoints"]
    assert " view " not in node.log


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({"for_s": 4000}, "for_s must be"),
        ({"for": 1}, "view does not know for; it takes for_s, whole"),
        ([], "a command is"),
    ],
)
def test_view_that_cannot_be_meant_is_refused_and_counted(
    payload: Any, sentence: str, node: Node, listener: Subscriber
) -> None:
    watched(node, listener, options={"stats_interval_s": 0.1})
    answer = listener.ask(COMMAND + "view", json.dumps(payload).encode())
    assert answer["error"].startswith(sentence)
    wait_for(lambda: listener.last("/stats")["dropped"] == {"bad_command": 1}, "the counter")
    assert listener.on("/signals") == []


# -- without a broker ------------------------------------------------------------------------------------------


class Page:
    """Somebody who looks at a fleet of assets, each with a whole window."""

    def __init__(self, assets: int = 1, watched: Watch | None = None) -> None:
        self.wire = Wire()
        link: Any = self.wire
        self.store = NodeStore(None)
        self.store.load()
        self.views = LiveViews("edge-ae/n1", link, History("n1", self.store))
        self.watch = watch() if watched is None else watched
        self.fleet = Fleet("n1")
        self.names = [f"p{number}" for number in range(assets)]
        self.row = 0
        self.rows(6)

    def rows(self, count: int) -> None:
        for _ in range(count):
            self.row += 1
            for name in self.names:
                values = dict.fromkeys(self.watch.model.spec.names, 1.0)
                self.fleet.push(
                    Readings(name, T0_MS * MS + self.row * self.watch.model.spec.period_ns, values), self.watch
                )
        self.views.happened(result for result in self.fleet.step() if isinstance(result, Scored))

    def look(self, name: str = "p0", *, now_s: float = 0.0, for_s: float = 60.0, whole: bool = False) -> None:
        question = ViewSignals(seconds_ns(for_s), whole)
        self.views.answer(question, self.fleet, self.fleet.detectors[name], seconds_ns(now_s))

    def tick(self, now_s: float) -> None:
        self.views.tick(self.fleet, seconds_ns(now_s))

    @property
    def shown(self) -> list[int]:
        """How many rows each message had."""
        return [len(body["ts"]) for body in self.wire.on("/signals")]


def test_no_asset_is_shown_more_than_once_a_second() -> None:
    page = Page()
    page.look()
    page.look(now_s=0.5, whole=True)
    page.tick(0.9)
    assert page.shown == [LENGTH]
    page.tick(1.0)
    assert page.shown == [LENGTH, LENGTH]


def test_renewal_shows_no_row_again() -> None:
    page = Page()
    page.look()
    page.rows(1)
    page.look(now_s=30.0)
    assert page.shown == [LENGTH, 1]


def test_shorter_renewal_of_another_page_ends_no_view() -> None:
    page = Page()
    page.look(for_s=60.0)
    page.look(now_s=1.0, for_s=1.0)
    page.rows(1)
    page.tick(59.0)
    assert page.shown == [LENGTH, 1]


def test_nothing_new_is_no_message() -> None:
    page = Page()
    page.look()
    page.tick(1.0)
    assert page.shown == [LENGTH]


def test_without_a_connection_nothing_is_explained_and_the_rows_are_shown_later() -> None:
    page = Page()
    page.wire.connected = False
    page.look()
    page.tick(1.0)
    page.wire.connected = True
    page.tick(2.0)
    assert page.shown == [LENGTH]


def test_one_asset_too_many_is_refused_until_a_view_has_ended() -> None:
    page = Page(MOST_VIEWED + 1)
    for name in page.names[:-1]:
        page.look(name)
    with pytest.raises(BadPayload, match=f"^{MOST_VIEWED} assets are viewed now"):
        page.look(page.names[-1], now_s=59.0)
    page.look(page.names[0], now_s=59.0)
    page.look(page.names[-1], now_s=60.0)
    assert len(page.shown) == MOST_VIEWED + 1


def test_asset_that_is_watched_no_more_is_shown_no_more() -> None:
    page = Page()
    page.look()
    page.rows(1)
    del page.fleet.detectors["p0"]
    page.tick(1.0)
    assert (page.shown, bool(page.views)) == ([LENGTH], False)


def test_asset_with_another_model_is_shown_from_its_whole_window_on() -> None:
    page = Page()
    page.look()
    page.fleet.add("p0", page.watch)
    page.rows(6)
    page.tick(1.0)
    assert page.shown == [LENGTH, LENGTH]


@pytest.mark.parametrize(("channels", "length"), [(8, 2000), (4000, 4)])
def test_message_has_128_kib_at_most_and_the_newest_rows(channels: int, length: int) -> None:
    model = FakeModel(channels=tuple(Channel(f"c{number}") for number in range(channels)), length=length)
    page = Page(watched=Watch(model, AlertRules(SECOND)))
    page.rows(length)
    page.look()
    (body,) = page.wire.on("/signals")
    assert len(json.dumps(body, separators=(",", ":"))) <= MOST_BYTES or len(body["ts"]) == 1
    assert len(body["ts"]) < length
    assert body["ts"][-1] == rfc3339(page.fleet.detectors["p0"].t_ns)
