"""What a node knows over a restart: alerts and their history, states that are damaged, feedback within bounds."""

import sqlite3
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ae.store import node_store
from edge_ae.store.node_store import AlertRecord, AssetState, Changes, Feedback, NodeStore, pack, unpack

ALERT = AlertRecord("x", "p1", 100, None, 1.5, True, 100, b'{"id":"x"}')


def opened(path: Path | None) -> NodeStore:
    store = NodeStore(path)
    store.load()
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge-ae.db"


def test_nothing_is_written_before_what_is_there_was_read(path: Path) -> None:
    store = NodeStore(path)
    assert not store.commit(Changes(node={"name": "n"}))
    assert not path.exists()


def test_asset_is_replaced_by_its_newer_state_and_removed(path: Path) -> None:
    store = opened(path)
    assert store.commit(Changes({"a": AssetState("f", {"n": 1}), "b": AssetState("f", {})}, node={"name": "n"}))
    assert store.commit(Changes({"a": AssetState("g", {"n": 2})}, removed=["b"]))
    saved = opened(path).load()
    assert saved is not None
    assert dict(saved.assets) == {"a": AssetState("g", {"n": 2})}


def test_asset_that_goes_and_comes_in_one_commit_stays(path: Path) -> None:
    store = opened(path)
    assert store.commit(Changes({"a": AssetState("f", {"n": 1})}, removed=["a"], node={"name": "n"}))
    saved = opened(path).load()
    assert saved is not None
    assert list(saved.assets) == ["a"]


def test_damaged_state_costs_only_its_asset(path: Path) -> None:
    store = opened(path)
    store.commit(Changes({"a": AssetState("f", {}), "b": AssetState("f", {"n": 1})}, node={"name": "n"}))
    store.close()
    with sqlite3.connect(path) as direct:
        direct.execute("UPDATE asset SET state = ? WHERE name = 'a'", (pack({})[:7],))
    again = opened(path)
    saved = again.load()
    assert saved is not None
    assert list(saved.assets) == ["b"]
    assert again.database.counts["damaged"] > 0


@pytest.mark.parametrize("durable", [True, False])
def test_alert_is_active_until_its_end_is_recorded(path: Path, durable: bool) -> None:
    """In memory, where it is not yet committed, and on disk."""
    store = opened(path)
    store.record(ALERT)
    assert not durable or store.commit(Changes())
    assert store.active_alerts() == [ALERT]
    store.record(replace(ALERT, cleared_ns=200, payload=b'{"id":"x","type":"end"}'))
    assert store.active_alerts() == []
    assert store.commit(Changes())
    assert opened(path).active_alerts() == []


@pytest.mark.parametrize("committed", [0, 1, 3])
def test_alerts_of_an_asset_are_counted_once_since_a_time_and_below_a_ratio(path: Path, committed: int) -> None:
    store = opened(path)
    records = [
        replace(ALERT, id="old", raised_ns=10),
        replace(ALERT, id="fault", peak_ratio=2.0),
        replace(ALERT, id="elsewhere", asset="p2"),
        ALERT,
        replace(ALERT, cleared_ns=150),  # the same once more, as replayed data would make it
        replace(ALERT, id="y", raised_ns=300, peak_ratio=1.9),
    ]
    for number, record in enumerate(records):
        store.record(record)
        if number < committed:
            assert store.commit(Changes())
    assert store.alerts_since("p1", 50, 2.0) == 2
    assert store.alerts_since("p1", 200, 2.0) == 1


def test_alert_that_grows_into_a_fault_is_counted_no_more(path: Path) -> None:
    store = opened(path)
    store.record(ALERT)
    assert store.commit(Changes())
    assert store.alerts_since("p1", 0, 2.0) == 1
    store.record(replace(ALERT, peak_ratio=3.0))
    assert store.alerts_since("p1", 0, 2.0) == 0


def test_history_is_bounded_and_active_alerts_stay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_store, "ALERTS_KEPT", 5)
    store = opened(path)
    store.record(replace(ALERT, id="active", raised_ns=1))
    assert store.commit(Changes())
    for number in range(2, 40):
        store.record(replace(ALERT, id=str(number), raised_ns=number, cleared_ns=number + 1))
        assert store.commit(Changes())
    assert len(store.database.rows("SELECT 1 FROM alert")) <= 7
    assert [record.id for record in store.active_alerts()] == ["active"]


def test_feedback_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_store, "FEEDBACK_KEPT", 3)
    store = opened(path)
    for number in range(9):
        assert store.add_feedback(Feedback(number, "a", str(number), "true_alarm", ""))
    assert store.database.rows("SELECT id FROM feedback ORDER BY position") == [("6",), ("7",), ("8",)]


@pytest.mark.parametrize("bytes_", [b"", b"x", pack({"a": 1}) + b"x", pack({"a": 1})[:9], b"\x00" * 40, None, 7])
def test_what_was_not_packed_is_not_unpacked(bytes_: Any) -> None:
    with pytest.raises((ValueError, TypeError, zlib.error)):  # each in its own words
        unpack(bytes_)


def test_active_alert_is_brought_to_the_file_that_takes_the_place_of_a_lost_one(path: Path) -> None:
    """Or nobody would end it where its asset is watched no more."""
    store = opened(path)
    store.record(ALERT)
    store.record(replace(ALERT, id="y", cleared_ns=200))
    assert store.commit(Changes(node={"name": "n"}))
    path.unlink()
    assert not store.commit(Changes())
    store.write_all()
    assert store.commit(Changes(node={"name": "n"}))
    assert store.active_alerts() == [ALERT]
    store.close()
    assert opened(path).active_alerts() == [ALERT]
