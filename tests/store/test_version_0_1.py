"""State that version 0.1 left: taken up at the first start, or set aside with a sentence; an active alert survives."""

import hashlib
import json
import logging
import zlib
from pathlib import Path
from typing import Any

import pytest

from edge_ae.core.deduplication import Deduplicator
from edge_ae.core.fleet import Fleet
from edge_ae.store import version_0_1
from edge_ae.store.node_store import FILE, NodeStore
from tests.conftest import Node, Subscriber, wait_for
from tests.daemon.node_process import watch

WRITTEN = json.loads((Path(__file__).parent / "state_0_1.json").read_text())
"""By a daemon of version 0.1 in the middle of an alert of p1: its checkpoint, and the records of its outbox."""

ALERT = "86ac9e4044a84502"


def checkpoint(state: Any, generation: int) -> bytes:
    body = zlib.compress(json.dumps(state).encode(), 1)
    digest = hashlib.sha256(b"%d %s" % (generation, body)).hexdigest()
    return b"edge-ae checkpoint 1 %d %s\n%s" % (generation, digest.encode(), body)


def line(record: Any) -> bytes:
    text = json.dumps(record).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def leave(directory: Path, *, acknowledged: bool = True) -> None:
    """What 0.1 has on disk when it is stopped; an older checkpoint is there too."""
    directory.mkdir(exist_ok=True)
    (directory / "checkpoint.1").write_bytes(checkpoint(WRITTEN["checkpoint"] | {"fleet": {}, "origins": {}}, 7))
    (directory / "checkpoint.0").write_bytes(checkpoint(WRITTEN["checkpoint"], 8))
    done = [{"done": [ALERT, 1]}] if acknowledged else []
    (directory / "outbox.log").write_bytes(b"".join(map(line, [*WRITTEN["outbox"], *done])) + b"torn")
    feedback = {"at": "2026-09-21T14:13:23.000Z", "asset": "p1", "id": ALERT, "label": "true_alarm", "note": "leak"}
    (directory / "feedback.jsonl").write_text(json.dumps(feedback) + "\n{torn\n")


def taken_up(directory: Path) -> NodeStore:
    store = NodeStore(directory / FILE)
    version_0_1.take_up(store, directory)
    return store


def test_everything_is_taken_up_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    leave(tmp_path)
    with caplog.at_level(logging.INFO):
        store = taken_up(tmp_path)
    assert "taken up from version 0.1: checkpoint.0, checkpoint.1, outbox.log, feedback.jsonl" in caplog.text
    saved = store.load()
    assert saved is not None
    assert (saved.node["name"], list(saved.assets)) == ("n1", ["p1"])
    assert saved.assets["p1"].topic_filter == "plant/+/telemetry"
    assert [record.id for record in store.active_alerts()] == [ALERT]
    assert (len(store.outbox), store.outbox.last_acknowledged) == (0, (ALERT, 1))
    kept = (1_790_000_003_000_000_000, "p1", ALERT, "true_alarm", "leak")
    assert store.database.rows("SELECT at_ns, asset, id, label, note FROM feedback") == [kept]
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".0.1")) == sorted(
        f"{name}.0.1" for name in version_0_1.FILES
    )
    again = taken_up(tmp_path)
    assert again.load() is not None
    assert len(again.database.rows("SELECT 1 FROM feedback")) == 1


def test_state_of_0_1_beside_a_newer_one_is_left_alone_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a way back to 0.1 for a while."""
    leave(tmp_path)
    taken_up(tmp_path).close()
    leave(tmp_path)
    again = taken_up(tmp_path)
    assert "lie beside a newer state and are not used" in caplog.text
    assert len(again.database.rows("SELECT 1 FROM feedback")) == 1


def test_feedback_comes_with_the_state_in_one_transaction_or_not_at_all(tmp_path: Path) -> None:
    leave(tmp_path)
    store = NodeStore(tmp_path / FILE)
    version_0_1.take_up(store, tmp_path)
    assert store.database.counts["commits"] == len(store.database.rows("SELECT 1 FROM feedback")) == 1


def test_asset_goes_on_where_it_was(tmp_path: Path) -> None:
    leave(tmp_path)
    saved = taken_up(tmp_path).load()
    assert saved is not None
    detector = Fleet("n1").add("p1", watch())
    detector.restore(saved.assets["p1"].state)
    assert detector.alert.active
    assert detector.alert.episode is not None
    assert detector.alert.episode.id == ALERT
    assert detector.last_t_ns == WRITTEN["checkpoint"]["fleet"]["p1"]["last_t_ns"]


def _restored(state: Any) -> Deduplicator:
    one = Deduplicator(1)
    one.restore(state)
    return one


def test_input_that_was_not_acknowledged_is_known_when_it_comes_again(tmp_path: Path) -> None:
    leave(tmp_path)
    saved = taken_up(tmp_path).load()
    assert saved is not None
    received = Deduplicator(1)  # the newest comes first, and it alone is kept here
    received.restore(saved.node["input"])
    row = {"ts": 1_790_000_003_900, "a": 50.0, "b": 1.0}  # the last of its forty messages
    assert received.is_duplicate(1, 40, True, "plant/p1/telemetry", json.dumps(row).encode())
    received = Deduplicator(1)
    received.restore(Deduplicator.snapshot(_restored(saved.node["input"])))
    assert received.is_duplicate(1, 40, True, "plant/p1/telemetry", json.dumps(row).encode())
    assert not received.is_duplicate(1, 41, True, "plant/p1/telemetry", json.dumps(row).encode())


def test_pending_alert_of_the_old_version_is_pending_still(tmp_path: Path) -> None:
    leave(tmp_path, acknowledged=False)
    assert [message.key for message in taken_up(tmp_path).outbox.pending(9)] == [(ALERT, 1)]


def test_checkpoint_that_is_damaged_falls_back_to_the_one_before(tmp_path: Path) -> None:
    leave(tmp_path)
    (tmp_path / "checkpoint.0").write_bytes(b"edge-ae checkpoint 1 8 0000\nnothing")
    saved = taken_up(tmp_path).load()
    assert saved is not None
    assert (saved.node["name"], dict(saved.assets)) == ("n1", {})


def test_file_that_cannot_be_read_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    leave(tmp_path)
    (tmp_path / "outbox.log").unlink()
    (tmp_path / "outbox.log").mkdir()
    store = taken_up(tmp_path)
    assert "outbox.log of version 0.1 cannot be read (Is a directory) and is left as it is" in caplog.text
    assert store.load() is None
    assert (tmp_path / "checkpoint.0").exists()


@pytest.mark.parametrize("state", [{}, [], {"node": "n1"}, {"node": "n1", "origins": {}, "fleet": {"p1": {}}}])
def test_checkpoint_of_another_shape_begins_anew(tmp_path: Path, state: Any) -> None:
    leave(tmp_path)
    for name in ("checkpoint.0", "checkpoint.1"):
        (tmp_path / name).write_bytes(checkpoint(state, 9))
    assert taken_up(tmp_path).loaded


def test_alert_that_is_active_at_the_upgrade_ends_under_its_id(node: Node, listener: Subscriber) -> None:
    state = node.directory / "state"
    leave(state)
    taken_up(state).close()
    listener.publish("edge-ae/n1/outbox", [ALERT, 1], retain=True).wait_for_publish(5)  # as the old version left it
    node.start().ready()
    wait_for(lambda: (alert := listener.last("p1/alert")) and alert["state"] == "active")
    t0_ms = 1_790_000_004_000
    listener.publish_all("plant/p1/telemetry", [{"ts": t0_ms + 100 * n, "a": 1.0, "b": 0.5} for n in range(30)])
    wait_for(lambda: listener.last("p1/alert")["state"] == "normal")
    assert [(body["id"], body["type"]) for body in listener.bodies("p1/event")] == [(ALERT, "end")]
