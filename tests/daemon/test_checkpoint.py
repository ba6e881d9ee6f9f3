"""Checkpoints without a broker: what is written covers what is acknowledged, and every start goes on from there."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge_ae.core.timestamps import SECOND
from edge_ae.daemon import checkpoint, loop
from edge_ae.daemon.loop import Daemon
from edge_ae.mqtt.link import Session
from edge_ae.store.node_store import FILE, NodeStore, pack
from tests.daemon.node_process import feed
from tests.fuzz.daemon import T0_NS, Deaf, daemon

NEVER_S = 1e9
ALERT_ROWS = (10, 20)


def rows(first: int, last: int, asset: str = "p1") -> list[tuple[str, bytes]]:
    """A row each 100 ms, those of ALERT_ROWS beyond the boundary."""
    return [
        (
            f"plant/{asset}/telemetry",
            json.dumps(
                {"ts": T0_NS // 10**6 + 100 * n, "a": 50.0 if n in range(*ALERT_ROWS) else 1.0, "b": 1.0}
            ).encode(),
        )
        for n in range(first, last)
    ]


def started(directory: Path, checkpoint_s: float = NEVER_S) -> tuple[Daemon, Deaf]:
    directory.mkdir(exist_ok=True)
    tried, link = daemon(directory, checkpoint_s)
    tried.checkpoints.load()
    return tried, link


def run(tried: Daemon, link: Deaf, messages: list[tuple[str, bytes]]) -> None:
    link.put(messages)
    wanted = tried.counts["received"] + len(messages)
    while tried.counts["received"] < wanted:
        tried.turn()


def stored(directory: Path) -> NodeStore:
    store = NodeStore(directory / FILE)
    store.load()
    return store


def test_nothing_is_acknowledged_before_a_checkpoint_covers_it(tmp_path: Path) -> None:
    tried, link = started(tmp_path)
    run(tried, link, rows(0, 5))
    assert link.given == []
    assert tried.checkpoints.write(1)
    assert link.given == [(1, mid) for mid in range(1, 6)]


def test_alert_is_on_disk_with_the_state_that_it_came_of_before_it_is_published(tmp_path: Path) -> None:
    tried, link = started(tmp_path)
    run(tried, link, rows(0, 15))
    assert len(link.given) == 15  # no checkpoint was due, and one was written
    store = stored(tmp_path)
    saved = store.load()
    assert saved is not None
    assert len(store.outbox.pending(9)) == 1
    assert saved.assets["p1"].state["alert"]["episode"]["id"] == store.outbox.pending(9)[0].id


@pytest.mark.parametrize("last", [5, 15, 25])
def test_next_run_goes_on_as_if_there_had_been_no_end(tmp_path: Path, last: int) -> None:
    whole, link = started(tmp_path / "whole")
    run(whole, link, rows(0, 60))
    first, link = started(tmp_path / "parts")
    run(first, link, rows(0, last))
    assert first.checkpoints.write(1)
    first.store.close()
    second, link = started(tmp_path / "parts")
    run(second, link, rows(last, 60))
    assert [m.key for m in second.store.outbox.pending(9)] == [m.key for m in whole.store.outbox.pending(9)]
    assert second.fleet.snapshot() == whole.fleet.snapshot()


def test_without_state_input_is_acknowledged_at_once_and_no_file_is_made(tmp_path: Path) -> None:
    tried, link = started(tmp_path, checkpoint_s=0.0)
    run(tried, link, rows(0, 30))
    assert len(link.given) == 30
    assert list(tmp_path.iterdir()) == []


def test_only_assets_that_had_readings_are_written_again(tmp_path: Path) -> None:
    tried, link = started(tmp_path)
    run(tried, link, rows(0, 5) + rows(0, 5, "p2"))
    assert tried.checkpoints.write(1)
    written = tried.store.bytes_written
    assert tried.checkpoints.write(2)
    idle = tried.store.bytes_written - written
    run(tried, link, rows(5, 6, "p2"))
    assert tried.checkpoints.write(3)
    assert tried.store.bytes_written - written - 2 * idle < written / 2


def gateway_rows(first: int, last: int) -> list[tuple[str, bytes]]:
    """Rows of p1, each second one in a message with one of p2, which is calm."""
    bodies = [json.loads(payload) for _, payload in rows(first, last)]
    return [
        (
            "gateway",
            json.dumps({"ts": body["ts"], "p1": body, **({} if n % 2 else {"p2": {"a": 1.0, "b": 1.0}})}).encode(),
        )
        for n, body in enumerate(bodies)
    ]


def mixed(parts: list[list[tuple[str, bytes]]]) -> list[tuple[str, bytes]]:
    """One of each in turn."""
    return [one for turn in zip(*parts, strict=True) for one in turn]


CALM = [(topic, payload.replace(b"50.0", b"1.0")) for topic, payload in rows(0, 40, "p2")]
ALONE = mixed([rows(0, 40), CALM])
TOGETHER = gateway_rows(0, 60)


@pytest.mark.parametrize("turn", [1, 7, 256])
@pytest.mark.parametrize("messages", [ALONE, TOGETHER])
def test_crash_behind_an_alert_loses_doubles_and_changes_nothing(
    tmp_path: Path, messages: list[tuple[str, bytes]], turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alert of one asset is on disk; the rows of another are not, and the broker delivers them once more."""
    monkeypatch.setattr(loop, "BATCH", turn)
    whole, link = started(tmp_path / "whole")
    run(whole, link, messages)
    for crash in range(18, len(messages), 9):
        first, link = started(tmp_path / str(crash))
        run(first, link, messages[:crash])
        first.store.close()  # nothing more is written
        second, again = started(tmp_path / str(crash))
        again.put_again(messages[:crash], link.given)
        again.put(messages[crash:])
        while again.waiting:
            second.turn()
        assert states(second) == states(whole), crash
        assert [m.key for m in second.store.outbox.pending(9)] == [m.key for m in whole.store.outbox.pending(9)], crash


def states(tried: Daemon) -> dict[str, dict[str, Any]]:
    """Of all assets, but for their pace, which is found anew, and what is said of it."""
    return {name: {**state, "pace": None, "fault": None} for name, state in tried.fleet.snapshot().items()}


def test_alert_of_one_asset_does_not_wait_for_the_state_of_the_others(tmp_path: Path) -> None:
    tried, link = started(tmp_path)
    run(tried, link, ALONE[:20] + rows(10, 11))
    run(tried, link, rows(11, 12))
    assert "p2" in tried.ingest.touched
    assert len(tried.store.outbox.pending(9)) == 1
    saved = stored(tmp_path).load()
    assert saved is not None
    assert list(saved.assets) == ["p1"]
    assert len(link.given) == 0


def test_alert_takes_no_asset_to_disk_that_was_only_scored_beside_it(tmp_path: Path) -> None:
    tried, link = started(tmp_path)
    run(tried, link, ALONE[:24])
    saved = stored(tmp_path).load()
    assert saved is not None
    assert list(saved.assets) == ["p1"]
    assert {"p2"} == tried.ingest.touched - {"p1"}


def input_kept(directory: Path) -> list[str]:
    """Names of what the store has of the input."""
    saved = stored(directory).load()
    assert saved is not None
    return [name for name in saved.node if name.startswith("input")]


def test_alerts_add_to_what_is_known_of_the_input_and_a_checkpoint_of_all_takes_their_place(tmp_path: Path) -> None:
    tried, link = started(tmp_path)
    run(tried, link, ALONE[:8])
    assert tried.checkpoints.write(1)
    run(tried, link, ALONE[8:40])
    run(tried, link, rows(20, 40))
    assert input_kept(tmp_path) == ["input", "input since 1", "input since 2"]
    tried.store.close()
    again, link = started(tmp_path)
    again.checkpoints.write_assets(["p2"], 2)
    assert input_kept(tmp_path)[-1] == "input since 2"  # no new input
    assert again.checkpoints.write(3)
    assert input_kept(tmp_path) == ["input"]


def test_alert_writes_no_more_where_thousands_of_messages_wait(tmp_path: Path) -> None:
    sizes = []
    for name, others in (("few", 0), ("many", 3_000)):
        tried, link = started(tmp_path / name)
        tried.checkpoints.write(1)
        run(tried, link, [(topic, payload.replace(b"50.0", b"1.0")) for topic, payload in rows(0, others, "p2")])
        before = tried.store.bytes_written
        run(tried, link, rows(0, 15))
        sizes.append(tried.store.bytes_written - before)
    assert sizes[0] > 0
    assert sizes[1] == sizes[0]


def test_first_alert_of_a_new_session_leaves_nothing_of_the_input_of_the_one_before(tmp_path: Path) -> None:
    tried, link = started(tmp_path)
    run(tried, link, rows(0, 15))
    run(tried, link, rows(15, 40, "p2") + rows(15, 40))
    tried.checkpoints.reconnected(Session(2, False, "5"))
    link.connection = 2
    run(tried, link, rows(40, 41) + rows(10, 15, "p3"))
    assert input_kept(tmp_path) == ["input"]


MANY = mixed([rows(0, 30, f"p{number}") for number in range(1, 7)])


def in_parts(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Daemon, Deaf]:
    """One that takes a message a turn, and writes two assets at a time once 61 messages wait for acknowledgement."""
    monkeypatch.setattr(loop, "BATCH", 1)
    monkeypatch.setattr(checkpoint, "PART_ASSETS", 2)
    directory.mkdir(exist_ok=True)
    tried, link = daemon(directory, NEVER_S, receive_maximum=80)
    tried.checkpoints.load()
    return tried, link


def test_checkpoint_of_many_assets_is_written_in_parts_and_acknowledged_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, link = in_parts(tmp_path, monkeypatch)
    calm = [(topic, payload.replace(b"50.0", b"1.0")) for topic, payload in MANY]
    run(tried, link, calm[:60])
    commits, given = [], []
    for message in calm[60:70]:
        commits.append(tried.store.database.counts["commits"])
        run(tried, link, [message])
        given.append(len(link.given))
        if given[-1] > 0:
            break
    assert commits == list(range(commits[0], commits[0] + len(commits)))  # one a turn
    assert len(commits) >= 3
    assert given == [0] * (len(given) - 1) + [60 + len(given)]
    saved = stored(tmp_path).load()
    assert saved is not None
    newest = {name: state["align"]["watermark"] for name, state in tried.fleet.snapshot().items()}
    assert {name: asset.state["align"]["watermark"] for name, asset in saved.assets.items()} == newest


def test_broker_that_can_send_no_more_has_a_checkpoint_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, link = in_parts(tmp_path, monkeypatch)
    monkeypatch.setattr(loop, "BATCH", 71)
    run(tried, link, MANY[:71])
    assert len(link.given) == 71


@pytest.mark.parametrize("step", [5, 7])
def test_crash_between_parts_loses_doubles_and_changes_nothing(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, link = in_parts(tmp_path / "whole", monkeypatch)
    run(whole, link, MANY)
    for crash in (*range(61, 66), *range(66, len(MANY), step * 3)):
        first, link = in_parts(tmp_path / f"{crash}", monkeypatch)
        run(first, link, MANY[:crash])
        first.store.close()  # nothing more is written
        second, again = in_parts(tmp_path / f"{crash}", monkeypatch)
        again.put_again(MANY[:crash], link.given)
        again.put(MANY[crash:])
        while again.waiting:
            second.turn()
        assert states(second) == states(whole), crash
        keys = [[m.key for m in one.store.outbox.pending(99)] for one in (second, whole)]
        assert sorted(keys[0]) == sorted(keys[1]), crash


def test_node_that_is_called_otherwise_leaves_no_alert_active_under_its_old_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tried, link = started(tmp_path)
    run(tried, link, rows(0, 15))
    begun = tried.store.outbox.pending(9)
    tried.store.outbox.acknowledge([message.key for message in begun])
    assert tried.checkpoints.write(1)
    tried.store.database.commit(lambda c: c.execute("UPDATE node SET value = ? WHERE name = 'name'", (pack("old"),)))
    tried.store.close()
    again, _ = started(tmp_path)
    assert "it is that of edge-ae/old, whose alerts are ended there" in caplog.text
    assert again.fleet.detectors == {}
    end, *withdrawn = again.store.outbox.pending(9)
    assert (end.id, end.topic, json.loads(end.payload)["type"]) == (begun[0].id, "edge-ae/old/p1/event", "end")
    assert [(one.topic, one.payload) for one in withdrawn] == [
        ("edge-ae/old/p1/alert", b""),
        ("edge-ae/old/p1/health", b""),
    ]
    assert again.store.outbox.send_again(10**18, 0) == 0  # the broker knows no session of the new name
    assert again.checkpoints.write(1)
    assert stored(tmp_path).active_alerts() == []


def test_asset_whose_stream_has_gone_is_ended_withdrawn_and_forgotten(tmp_path: Path) -> None:
    tried, link = started(tmp_path)
    run(tried, link, rows(0, 15))
    tried.checkpoints.reload([feed("hall/{asset}")])
    assert tried.checkpoints.write(1)
    store = stored(tmp_path)
    saved = store.load()
    assert saved is not None
    assert saved.assets == {}
    assert store.active_alerts() == []
    kinds = [json.loads(message.payload)["type"] for message in store.outbox.pending(9) if message.payload]
    withdrawn = [message.topic for message in store.outbox.pending(9) if message.retain]
    assert kinds == ["new", "end"]
    assert withdrawn == ["edge-ae/n1/p1/alert", "edge-ae/n1/p1/health"]


def test_state_that_can_be_read_only_later_is_gone_on_from_as_after_a_restart(tmp_path: Path) -> None:
    """p1 is in the midst of an alert; while the state cannot be read, it begins anew, and nothing is acknowledged."""
    first, link = started(tmp_path)
    run(first, link, rows(0, 15))
    assert first.checkpoints.write(1)
    first.store.close()
    hidden = tmp_path / "hidden"
    (tmp_path / FILE).rename(hidden)
    (tmp_path / FILE).mkdir()
    second, link = started(tmp_path)
    second.checkpoints.reconnected(Session(1, True, "5"))
    run(second, link, rows(15, 60) + rows(15, 60, "p2"))
    assert "cannot be" in str(second.store.fault)
    assert link.given == []
    (tmp_path / FILE).rmdir()
    hidden.rename(tmp_path / FILE)
    second.checkpoints.retry(10 * SECOND)
    assert second.store.fault is None
    assert sorted(second.fleet.detectors) == ["p1"]
    assert second.fleet.detectors["p1"].alert.active
    run(second, link, rows(60, 70))  # of the connection that is ended: it will come again
    assert (link.given, second.checkpoints.deduplicator.duplicates) == ([], 10)
    second.checkpoints.reconnected(Session(2, True, "5"))
    link.connection = 2
    run(second, link, rows(15, 70) + rows(15, 70, "p2"))
    bodies = [json.loads(message.payload) for message in second.store.outbox.pending(9)]
    assert [(body["asset"], body["type"]) for body in bodies] == [
        ("p1", "new"),
        ("p1", "end"),
        ("p2", "new"),
        ("p2", "end"),
    ]
    assert {body["id"] for body in bodies[:2]} == {bodies[0]["id"]}
    second.store.close()
    assert stored(tmp_path).active_alerts() == []
