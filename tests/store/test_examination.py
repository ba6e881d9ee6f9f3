"""A state file is looked into without a trace: a daemon may be using it."""

import sqlite3
from pathlib import Path

from edge_ae.store.database import SCHEMA, Database
from edge_ae.store.examination import StateFacts, examine


def state_file(folder: Path) -> Path:
    path = folder / "edge-ae.db"
    database = Database(path)
    assert database.open()
    database.commit(
        lambda connection: connection.executemany(
            "INSERT INTO event (id, seq, t_ns, at_ns, topic, payload, retain, acknowledged, checksum)"
            " VALUES (?, 1, 0, 0, 't', x'00', 0, ?, 0)",
            [("a", 0), ("b", 0), ("c", 1)],
        )
    )
    database.close()
    return path


def test_what_is_pending_is_counted_and_nothing_is_written_beside_the_file(tmp_path: Path) -> None:
    path = state_file(tmp_path)
    holder = sqlite3.connect(path)  # as a daemon that runs
    holder.execute("INSERT INTO asset VALUES ('pump-1', 't', x'00')")
    holder.commit()
    before = sorted((file.name, file.stat().st_mtime_ns) for file in tmp_path.iterdir())
    facts = examine(path)
    assert facts is not None
    assert (facts.assets, facts.alerts, facts.pending, facts.fault) == (1, 0, 2, None), "also what is in the log alone"
    assert sorted((file.name, file.stat().st_mtime_ns) for file in tmp_path.iterdir()) == before
    holder.close()


def test_a_file_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    assert examine(tmp_path / "edge-ae.db") is None


def test_damage_is_said(tmp_path: Path) -> None:
    path = tmp_path / "edge-ae.db"
    path.write_bytes(b"no database at all, but longer than a header" * 50)
    assert examine(path) == StateFacts(2200, fault="is damaged: file is not a database", damaged=True)
    assert SCHEMA.startswith("\nCREATE TABLE asset")
