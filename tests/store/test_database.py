"""The database: whole or not at all; damaged, it is mended; out of reach, it is left alone."""

import contextlib
import logging
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_ae.core.peak_hours import PeakHour
from edge_ae.store.database import PAGE_BYTES, SCHEMA_VERSION, Database
from edge_ae.store.feedback import read_feedback
from edge_ae.store.node_store import AlertRecord, AssetState, Changes, Feedback, NodeStore
from edge_ae.store.outbox import OutgoingMessage

ASSETS = 12
STATE = {"rows": [[n, n * 0.5] for n in range(200)]}
MESSAGES = [OutgoingMessage(f"id{n}", 1, n, n, "base/n/a/event", b'{"n":%d}' % n) for n in range(60)]


def opened(path: Path | None) -> NodeStore:
    store = NodeStore(path)
    store.load()
    return store


def filled(path: Path) -> NodeStore:
    """A store with something in each of its tables, more than a page of it."""
    store = opened(path)
    store.outbox.append(MESSAGES)
    store.outbox.acknowledge([message.key for message in MESSAGES[:20]])
    store.record(AlertRecord("id30", "a", 30, None, 1.5, True, 30, b'{"id":"id30"}'))
    store.peaks.add("a", [PeakHour(30, 1.5, 7)])
    assets = {f"asset-{n}": AssetState("plant/+/t", STATE) for n in range(ASSETS)}
    assert store.commit(Changes(assets, node={"name": "n"}))
    assert store.add_feedback(Feedback(1, "a", "id30", "false_alarm", "ü"))
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge-ae.db"


def test_what_is_committed_is_what_is_loaded(path: Path) -> None:
    filled(path).close()
    store = opened(path)
    saved = store.load()
    assert saved is not None
    assert dict(saved.assets) == {f"asset-{n}": AssetState("plant/+/t", STATE) for n in range(ASSETS)}
    assert saved.node == {"name": "n"}
    assert store.outbox.pending(99) == MESSAGES[20:]
    assert [record.id for record in store.active_alerts()] == ["id30"]
    assert store.database.rows("SELECT at_ns, asset, id, label, note FROM feedback") == [
        (1, "a", "id30", "false_alarm", "ü")
    ]


BEFORE_LESSONS = "DROP TABLE lesson; DROP TABLE signature; ALTER TABLE feedback DROP COLUMN name;"


@pytest.mark.parametrize("undo", ["PRAGMA user_version = 2;", "DROP TABLE hour; PRAGMA user_version = 1;"])
def test_file_of_an_earlier_version_goes_on_with_the_tables_that_it_lacks(path: Path, undo: str) -> None:
    filled(path).close()
    with contextlib.closing(sqlite3.connect(path)) as direct:
        direct.executescript(BEFORE_LESSONS + undo)
    assert read_feedback(path) == [  # by a trainer that was given the file as it is
        '{"at":"1970-01-01T00:00:00.000Z","asset":"a","id":"id30","label":"false_alarm","note":"ü"}'
    ]
    store = opened(path)
    assert (store.fault, store.database.counts["damaged"]) == (None, 0)
    assert [record.id for record in store.active_alerts()] == ["id30"]
    store.peaks.add("a", [PeakHour(1, 0.5, 7)])
    assert store.commit(Changes())
    assert store.add_feedback(Feedback(2, "a", "id30", "true_alarm", "", "closing valve"))
    store.close()
    assert opened(path).peaks.since("a", 0)[0] == PeakHour(1, 0.5, 7)
    assert opened(path).feedback_on("a") == {"id30": ("true_alarm", "", "closing valve")}
    assert list(path.parent.glob("*.damaged*")) == []


def test_first_start_finds_nothing_and_no_fault(path: Path) -> None:
    store = NodeStore(path)
    assert store.load() is None
    assert (store.loaded, store.fault) == (True, None)


def test_only_its_owner_can_read_what_is_kept(path: Path) -> None:
    filled(path)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes) >= {"edge-ae.db", "edge-ae.db-wal"}
    assert set(modes.values()) == {0o600}


def test_process_that_dies_in_a_transaction_leaves_the_one_before(path: Path) -> None:
    filled(path).close()
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA wal_autocheckpoint = 1')\n"
        "c.execute('BEGIN IMMEDIATE'); c.execute('DELETE FROM event'); c.execute('DELETE FROM asset')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, path], check=False)
    store = opened(path)
    saved = store.load()
    assert saved is not None
    assert len(saved.assets) == ASSETS
    assert store.outbox.pending(99) == MESSAGES[20:]


def test_log_torn_at_any_byte_gives_a_whole_transaction(path: Path, tmp_path: Path) -> None:
    """What a power cut leaves: the newest part of the write-ahead log is not there, or not all of it."""
    store = opened(path)
    for number in range(4):
        store.outbox.append(MESSAGES[number : number + 1])
        assert store.commit(Changes({"a": AssetState("t", {"number": number})}, node={"name": "n"}))
    log = path.with_name("edge-ae.db-wal").read_bytes()
    main = path.read_bytes()
    torn = tmp_path / "torn"
    seen = set()
    for cut in {*range(0, len(log), 509), *range(len(log) - 40, len(log) + 1)}:
        shutil.rmtree(torn, ignore_errors=True)
        torn.mkdir()
        (torn / "edge-ae.db").write_bytes(main)
        (torn / "edge-ae.db-wal").write_bytes(log[:cut])
        again = NodeStore(torn / "edge-ae.db")
        saved = again.load()
        number = -1 if saved is None or "a" not in saved.assets else saved.assets["a"].state["number"]
        assert again.outbox.pending(9) == MESSAGES[: number + 1]  # state and events are of one commit
        seen.add(number)
        again.close()
    assert seen == {-1, 0, 1, 2, 3}


@pytest.mark.parametrize("how", ["cut", "zeros", "flipped"])
def test_file_torn_at_any_byte_is_mended_and_holds_nothing_that_was_not_written(
    path: Path, tmp_path: Path, how: str
) -> None:
    filled(path).close()
    whole = path.read_bytes()
    dice = random.Random(5)
    places = [*range(0, len(whole), 4096), *(dice.randrange(len(whole)) for _ in range(60))]
    for at in places:
        torn = bytearray(whole)
        if how == "cut":
            del torn[at:]
        elif how == "zeros":
            torn[at : at + 4096] = bytes(len(torn[at : at + 4096]))
        else:
            torn[at] ^= 1 << dice.randrange(8)
        directory = tmp_path / "torn"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        (directory / "edge-ae.db").write_bytes(torn)
        store = NodeStore(directory / "edge-ae.db")
        saved = store.load()
        assert store.loaded, (at, store.fault)
        assert set(store.outbox.pending(99)) <= set(MESSAGES)
        if saved is not None:
            assert all(asset.state == STATE for asset in saved.assets.values())
        store.outbox.append([OutgoingMessage("new", 1, 1, 1, "t", b"{}")])
        assert store.commit(Changes())
        store.close()


def test_damaged_file_is_set_aside_and_what_can_be_read_of_it_goes_on(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path).close()
    data = bytearray(path.read_bytes())
    data[-PAGE_BYTES:] = bytes(PAGE_BYTES)
    path.write_bytes(data)
    with caplog.at_level(logging.ERROR):
        store = opened(path)
    assert store.database.counts["damaged"] == 1
    assert path.with_name("edge-ae.db.damaged").exists()
    assert "set aside as edge-ae.db.damaged" in caplog.text
    saved = store.load()
    assert saved is not None
    assert len(saved.assets) >= 1


def test_file_of_another_program_is_set_aside(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 300)
    store = opened(path)
    assert store.loaded
    assert path.with_name("edge-ae.db.damaged").read_bytes().startswith(b"not a database")


def test_file_of_a_later_version_is_set_aside_with_a_sentence(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path).close()
    with sqlite3.connect(path) as direct:
        direct.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with caplog.at_level(logging.ERROR):
        assert opened(path).loaded
    assert f"has schema version {SCHEMA_VERSION + 1}, this program reads {SCHEMA_VERSION}" in caplog.text


@pytest.mark.parametrize("in_the_way", ["directory", "foreign"])
def test_file_that_cannot_be_opened_is_left_alone_and_taken_up_once_it_can_be(
    path: Path, in_the_way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a disk that gives EIO once, or a file that belongs to somebody else."""
    filled(path).close()
    whole = path.read_bytes()
    aside = path.with_name("kept")
    if in_the_way == "directory":
        path.rename(aside)
        path.mkdir()
    else:
        refuse = PermissionError(13, "Permission denied", str(path))
        monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(refuse))
    store = NodeStore(path)
    assert store.load() is None
    assert (store.loaded, store.fault is None) == (False, False)
    store.outbox.append([OutgoingMessage("meanwhile", 1, 1, 1, "t", b"{}")])
    assert not store.commit(Changes(node={"name": "n"}))
    assert not store.add_feedback(Feedback(1, "a", "x", "true_alarm", ""))
    if in_the_way == "directory":
        path.rmdir()
        aside.rename(path)
    monkeypatch.undo()
    assert path.read_bytes() == whole
    saved = store.load(keep=True)
    assert saved is not None
    assert len(saved.assets) == ASSETS
    assert [message.id for message in store.outbox.pending(99)] == [*(m.id for m in MESSAGES[20:]), "meanwhile"]
    assert store.commit(Changes())
    assert store.fault is None


def test_read_that_fails_once_is_done_again(path: Path) -> None:
    """Or a state of which one read failed at the start would never be taken up."""
    filled(path).close()
    store = NodeStore(path)
    assert store.database.open()
    assert store.database.rows("SELECT * FROM no_such_table") == []
    assert "cannot be read" in str(store.fault)
    saved = store.load()
    assert saved is not None
    assert len(saved.assets) == ASSETS
    assert store.loaded
    assert store.fault is None


@pytest.fixture
def _small_files() -> Iterator[None]:
    """No file may grow beyond 200 kB: what a full disk looks like to one process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("_small_files")
def test_full_disk_keeps_the_last_commit_and_is_reported(path: Path) -> None:
    store = opened(path)
    assert store.commit(Changes({"a": AssetState("t", {"number": 1})}, node={"name": "n"}))
    noise = os.urandom(400_000).hex()
    assert not store.commit(Changes({"a": AssetState("t", {"number": 2, "noise": noise})}))
    assert store.fault is not None
    assert "cannot be written" in store.fault
    saved = opened(path).load()
    assert saved is not None
    assert saved.assets["a"].state == {"number": 1}


def test_disk_that_is_back_gets_everything(path: Path) -> None:
    store = opened(path)
    store.outbox.append(MESSAGES[:2])
    assert store.commit(Changes(node={"name": "n"}))
    path.parent.rename(path.parent.with_name("elsewhere"))
    store.outbox.append(MESSAGES[2:3])
    assert not store.commit(Changes())
    assert store.fault is not None
    path.parent.mkdir()  # an empty disk in place of the one before
    store.outbox.write_all()
    assert store.commit(Changes({"a": AssetState("t", STATE)}, node={"name": "n"}))
    store.close()
    assert opened(path).outbox.pending(9) == MESSAGES[:3]


def test_database_in_memory_keeps_nothing() -> None:
    database = Database(None)
    assert database.open()
    assert database.commit(lambda _: None)


def test_size_stays_bounded_over_many_commits(path: Path) -> None:
    store = opened(path)
    for number in range(400):
        message = OutgoingMessage(f"id{number}", 1, number, number, "t", os.urandom(500))
        store.outbox.append([message])
        store.outbox.acknowledge([message.key])
        store.commit(Changes({"a": AssetState("t", {"noise": os.urandom(4_000).hex()})}, node={"name": "n"}))
    wal = path.with_name("edge-ae.db-wal")
    assert path.stat().st_size < 2 * 2**20
    assert wal.stat().st_size < 6 * 2**20


def test_each_commit_is_synced_to_a_write_ahead_log(path: Path) -> None:
    """No test can cut the power: this is what SQLite promises it for."""
    database = opened(path).database
    assert database.rows("PRAGMA synchronous") == [(2,)]  # FULL
    assert database.rows("PRAGMA journal_mode") == [("wal",)]


def replaced_whole(folder: Path) -> None:
    """As by somebody who puts a backup in place."""
    shutil.copytree(folder, folder.with_name("copy"))
    folder.rename(folder.with_name("before"))
    folder.with_name("copy").rename(folder)


def log_removed(folder: Path) -> None:
    (folder / "edge-ae.db-wal").unlink()


@pytest.mark.parametrize("happens", [replaced_whole, log_removed])
def test_file_that_was_replaced_under_us_is_noticed_and_the_one_in_its_place_is_written(
    tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    store = filled(folder / "edge-ae.db")
    happens(folder)
    changes = Changes({"late": AssetState("t", STATE)}, node={"name": "n"})
    assert not store.commit(changes)
    assert store.fault is not None
    assert "removed or replaced" in store.fault
    assert store.commit(changes)
    saved = opened(folder / "edge-ae.db").load()  # of another process, as it were, after a kill of this one
    assert saved is not None
    assert saved.assets.keys() == {f"asset-{n}" for n in range(ASSETS)} | {"late"}
