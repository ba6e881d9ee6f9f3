"""What a bridge learns, in which order, and what becomes of the messages that it keeps with the broker."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edge_ae.core.alert_events import AlertEvent, FloodSummary, Happening, Withheld
from edge_ae.core.events import Scored
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.bridge import Bridges, Detectors, Stats
from edge_ae.daemon.loop import Daemon
from edge_ae.mqtt.link import Message, Session
from tests.fuzz.daemon import T0_NS, Deaf, daemon

HALL = "hall/status"


class Notes:
    """A bridge that notes what it is called with, and keeps a message for each asset."""

    filters: Sequence[tuple[str, int]] = ((HALL, 1),)

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.daemon: Daemon | None = None

    def retained(self, assets: Iterable[str]) -> set[str]:
        return {topic_of(asset) for asset in assets}

    def connected(self, detectors: Detectors) -> None:
        self.calls.append(("connected", sorted(detectors)))

    def received(self, _topic: str, payload: bytes, _retained: bool) -> None:
        self.calls.append(("received", payload))

    def happened(self, happenings: Sequence[Happening]) -> None:
        unsaved = self.daemon is not None and self.daemon.store.changed
        self.calls += [("happened", one) for one in happenings] + ([("unsaved", None)] if unsaved else [])

    def tick(self, _detectors: Detectors, stats: Stats, _now_ns: int) -> None:
        self.calls.append(("tick", stats()["assets"]))

    def withdrawn(self, asset: str) -> None:
        self.calls.append(("withdrawn", asset))

    def close(self) -> None:
        self.calls.append(("close", None))

    def of(self, name: str) -> list[Any]:
        return [what for call, what in self.calls if call == name]


def topic_of(asset: str) -> str:
    return f"hall/{asset}/config"


def started(directory: Path, *bridges: Notes) -> tuple[Daemon, Deaf]:
    directory.mkdir(exist_ok=True)
    tried, link = daemon(directory, 1e9, bridges=bridges)
    for bridge in bridges:
        bridge.daemon = tried
    tried.checkpoints.load()
    return tried, link


def rows(asset: str, *values: float) -> list[tuple[str, bytes]]:
    return [
        (f"plant/{asset}/telemetry", json.dumps({"ts": T0_NS // 10**6 + 100 * n, "a": value, "b": 1.0}).encode())
        for n, value in enumerate(values)
    ]


def look_after(tried: Daemon) -> None:
    """As once a second."""
    tried._second_ns = 0
    tried.turn()


def emptied(tried: Daemon) -> list[str]:
    return [message.topic for message in tried.store.outbox.pending(99) if message.retain and message.payload == b""]


ALERT = (1.0,) * 10 + (50.0,) * 3


def test_bridge_learns_of_scores_and_events_in_their_order_once_they_are_on_disk(tmp_path: Path) -> None:
    notes = Notes()
    tried, link = started(tmp_path, notes)
    link.put(rows("p1", *ALERT))
    tried.turn()
    happened = [type(one) for one in notes.of("happened")]
    assert happened[:7] == [Scored] * 7
    assert happened[7:9] == [Scored, AlertEvent]
    assert notes.of("unsaved") == []


def test_bridge_is_told_which_events_a_flood_withheld_and_of_its_summary(tmp_path: Path) -> None:
    notes = Notes()
    tried, link = started(tmp_path, notes)
    for number in range(11):
        link.put(rows(f"p{number}", *ALERT))
    tried.turn()
    news = [one for one in notes.of("happened") if not isinstance(one, Scored)]
    assert [type(one) for one in news] == [AlertEvent] * 10 + [Withheld, FloodSummary]
    assert news[-2].event.asset in news[-1].assets


def test_bridge_gets_the_messages_on_its_topics_and_no_others(tmp_path: Path) -> None:
    notes = Notes()
    tried, link = started(tmp_path, notes)
    link.put([(HALL, b"online"), ("elsewhere", b"x"), *rows("p1", 1.0)])
    tried.turn()
    assert notes.of("received") == [b"online"]
    assert tried.counts["other_topics"] == 1
    assert (HALL, 1) in tried._filters()


def test_bridge_is_asked_once_a_second_and_when_a_connection_begins_and_at_the_end(tmp_path: Path) -> None:
    notes = Notes()
    tried, link = started(tmp_path, notes)
    link.put(rows("p1", 1.0))
    look_after(tried)
    link.unsubscribe = lambda _filters: True  # type: ignore[attr-defined]
    tried._connected(Session(2, False, "5"), 0)
    link.stop = lambda: None  # type: ignore[attr-defined]
    tried._finish()
    assert notes.calls == [("tick", 1), ("connected", ["p1"]), ("close", None)]


def test_topics_that_a_bridge_keeps_are_on_disk_before_it_publishes_there(tmp_path: Path) -> None:
    notes = Notes()
    tried, link = started(tmp_path, notes)
    link.put(rows("p1", 1.0))
    look_after(tried)
    saved = tried.store.load(keep=True)
    assert saved is not None
    assert saved.node["retained"] == [topic_of("p1")]


def test_bridge_that_was_switched_off_leaves_nothing_retained_behind(tmp_path: Path) -> None:
    tried, link = started(tmp_path, Notes())
    link.put(rows("p1", 1.0))
    look_after(tried)
    tried.store.close()
    without, _ = started(tmp_path)
    look_after(without)
    assert emptied(without) == [topic_of("p1")]
    without.store.close()
    again, _ = started(tmp_path)
    assert again.bridges.kept == frozenset()


def test_what_is_kept_of_an_asset_goes_with_it_and_stays_where_it_comes_back(tmp_path: Path) -> None:
    notes = Notes()
    tried, link = started(tmp_path, notes)
    link.put([*rows("p1", 1.0), ("line/x", f"m a=1,b=1 {T0_NS}".encode())])
    look_after(tried)
    feeds = tried.ingest.feeds
    tried.checkpoints.reload([feed for feed in feeds if feed.decoder.filter != "line/+"])
    look_after(tried)
    assert notes.of("withdrawn") == ["line"]
    assert topic_of("line") in emptied(tried)
    assert topic_of("p1") not in emptied(tried)
    tried.checkpoints.reload(feeds)
    link.put([("line/x", f"m a=1,b=1 {T0_NS + 60 * SECOND}".encode())])
    look_after(tried)
    assert topic_of("line") not in emptied(tried)


def test_without_bridges_nothing_is_wanted_and_nothing_kept() -> None:
    none = Bridges()
    assert none.filters == {}
    assert none.settle({}) == (frozenset(), frozenset())
    assert not none.received(Message(0, HALL, b"", 0, 0, False, 1))
