"""One SQLite file in which a node keeps what a restart must know. This module opens, mends and writes it; what stands in it
is the affair of `node_store` and `outbox`.

    commit(write) ─► BEGIN, write(connection), COMMIT ─► on disk, whole or not at all

Write-ahead log, and a sync with each commit: what is committed has survived a power cut when `commit` returns. A file that is
damaged is read as far as it goes into a new one and set aside; one that cannot be opened is left alone until it can.
"""

import contextlib
import errno
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_ae.errors import BadState
from edge_ae.store.atomic import PRIVATE

log = logging.getLogger(__name__)

SCHEMA_VERSION = 3
HOUR_TABLE = """
CREATE TABLE IF NOT EXISTS hour (
    asset TEXT NOT NULL, hour INTEGER NOT NULL, peak_ratio REAL NOT NULL, interval_ns INTEGER NOT NULL,
    UNIQUE (asset, hour));
"""  # since version 2
SCHEMA = """
CREATE TABLE asset (
    name TEXT PRIMARY KEY, topic_filter TEXT NOT NULL, state BLOB NOT NULL);
CREATE TABLE event (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL, seq INTEGER NOT NULL, t_ns INTEGER NOT NULL, at_ns INTEGER NOT NULL,
    topic TEXT NOT NULL, payload BLOB NOT NULL, retain INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
    checksum INTEGER NOT NULL, UNIQUE (id, seq));
CREATE TABLE alert (
    id TEXT PRIMARY KEY, asset TEXT NOT NULL, raised_ns INTEGER NOT NULL, cleared_ns INTEGER, peak_ratio REAL NOT NULL,
    announced INTEGER NOT NULL, t_ns INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE INDEX alert_of_asset ON alert (asset, raised_ns);
CREATE INDEX alert_by_time ON alert (raised_ns);
CREATE TABLE feedback (
    position INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, asset TEXT NOT NULL, id TEXT NOT NULL, label TEXT NOT NULL,
    note TEXT NOT NULL);
CREATE TABLE node (
    name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
TEACHING = """
ALTER TABLE feedback ADD COLUMN name TEXT NOT NULL DEFAULT '';
CREATE TABLE signature (
    id TEXT PRIMARY KEY, raised_ns INTEGER NOT NULL, looks BLOB NOT NULL);
CREATE TABLE lesson (
    asset TEXT NOT NULL, id TEXT NOT NULL, lesson BLOB NOT NULL, UNIQUE (asset, id));
"""  # since version 3
TABLES = ("asset", "event", "alert", "feedback", "node", "hour", "signature", "lesson")
LACKING = {0: SCHEMA + HOUR_TABLE + TEACHING, 1: HOUR_TABLE + TEACHING, 2: TEACHING}
"""What a file of an earlier version lacks; 0: a new one."""
BUSY_S = 1.0  # A reader, such as a backup, may hold the file for so long.
PAGE_BYTES = 1024  # A commit writes whole pages: of small ones it writes less, and a state takes several anyway.
LOG_PAGES = 4_000  # The write-ahead log is written back to the file after so many pages.
LOG_BYTES = 4 * 2**20  # The log is cut back to this once it has been written back.

Write = Callable[[sqlite3.Connection], object]
Files = tuple[tuple[int, int] | None, ...]


class Database:
    """The file at `path`; None keeps all in memory. One thread owns it.

    `fault`: why the file cannot be used at present, as a sentence. `counts`: commits, write_failures, damaged.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.fault: str | None = None
        self._connection: sqlite3.Connection | None = None
        self._files: Files = ()  # Those that the connection writes to.

    def open(self) -> bool:
        """Open the file, made or mended where it has to be. False: it cannot be opened now, and is left as it is."""
        if self._connection is not None:
            return True
        try:
            self._connection = self._opened()
            self._files = _files(self.path)
        except (sqlite3.Error, OSError) as error:
            self._fail("opened", error)
            return False
        self.fault = None
        return True

    def commit(self, write: Write) -> bool:
        """Carry out `write` in one transaction, on disk when this returns True. False: nothing of it was kept.

        After a fault the file is opened anew: it may be another one by then, on a disk that was replaced.
        """
        if not self.open():
            return False
        connection = self._connection
        assert connection is not None
        try:
            self._check_place()
            connection.execute("BEGIN IMMEDIATE")
            write(connection)
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._fail("written", error)
            return False
        self.counts["commits"] += 1
        self.fault = None
        return True

    def _check_place(self) -> None:
        """A file that was removed or replaced under us would take all that is written to it along. Raises OSError."""
        if _files(self.path) != self._files:
            raise OSError(errno.ESTALE, "it was removed or replaced by another")

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """What a query gives; nothing where the file cannot be read: then `fault` is set."""
        if self._connection is None:
            return []
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._fail("read", error)
            return []

    def close(self) -> None:
        """Give the file back; `open` and `commit` open it anew."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- opening -------------------------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        if self.path is None:
            return _connect(":memory:")
        if self.path.exists():
            self.path.open("rb").close()  # SQLite says only "unable to open"; the system says why
        try:
            return _sound(self.path)
        except sqlite3.OperationalError:
            raise  # no access, no room, a disk that fails: the file itself may be in order
        except (sqlite3.DatabaseError, BadState) as damage:
            self.counts["damaged"] += 1
            return self._mended(self.path, damage)

    def _mended(self, path: Path, damage: Exception) -> sqlite3.Connection:
        aside = _move_aside(path, "damaged")
        kept = _salvage(aside, path)
        log.error("state: %s: %s; it is set aside as %s, and %d rows of it go on", path.name, damage, aside.name, kept)
        return _sound(path)

    def _fail(self, what: str, error: Exception) -> None:
        """The disk's fault is counted; a wrong use of the database is ours, and ends the process."""
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
            raise error
        self.counts["write_failures"] += 1
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self.fault = f"the state {self.path} cannot be {what}: {reason}"
        if self.path is not None:
            self.close()  # This also undoes what was begun; whatever comes next opens the file anew.


@contextlib.contextmanager
def read_beside(path: Path, what: str) -> Iterator[sqlite3.Connection]:
    """To be read from while a daemon may be writing it. Raises BadState with a clause on `what`, which was looked for in it."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise BadState(f"{what} in it cannot be read ({error})") from None


def _files(path: Path | None) -> Files:
    """Which files lie at the path of a database and at that of its log. Raises OSError."""
    return () if path is None else (_identity(path), _identity(path.with_name(path.name + "-wal")))


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None where there is no file."""
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def _connect(name: str | Path) -> sqlite3.Connection:
    """A connection whose transactions are ours to begin, with the tables made where there are none."""
    connection = sqlite3.connect(name, timeout=BUSY_S, isolation_level=None)
    connection.text_factory = _text
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version in LACKING:
            connection.executescript(
                f"BEGIN IMMEDIATE; {LACKING[version]} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
            )
    except BaseException:
        connection.close()
        raise
    return connection


def _text(data: bytes) -> str:
    """What a damaged page holds need not be text; who reads it finds that it is not what was written."""
    return data.decode(errors="replace")


def _sound(path: Path) -> sqlite3.Connection:
    """The file's connection, once it is known to be whole and ours. Raises sqlite3.Error or BadState."""
    path.touch(mode=PRIVATE)  # its owner's alone, before SQLite makes it and what lies beside it
    connection = _connect(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            raise BadState(f"has schema version {version}, this program reads {SCHEMA_VERSION}")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise BadState(f"is damaged ({verdict.splitlines()[-1]})")
        with contextlib.closing(_connect(":memory:")) as ours:
            if _tables(connection) != _tables(ours):
                raise BadState("has other tables than a state of edge-ae")
    except BaseException:
        connection.close()
        raise
    return connection


def _tables(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Names and statements of what was created."""
    return set(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def _move_aside(path: Path, why: str) -> Path:
    """Rename the file and what SQLite keeps beside it; an earlier one of that name goes."""
    aside = path.with_name(f"{path.name}.{why}")
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).replace(aside.with_name(aside.name + end))
    return aside


def _salvage(damaged: Path, path: Path) -> int:
    """Copy what can be read of a damaged file into a new one, row by row, from both ends. Returns how many rows."""
    kept = 0
    path.touch(mode=PRIVATE)
    with contextlib.closing(_connect(path)) as new, contextlib.closing(sqlite3.connect(damaged)) as old:
        old.text_factory = _text
        new.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            for order in ("ASC", "DESC"):
                kept += _copy(old, new, table, order)
        new.execute("COMMIT")
    return kept


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str, order: str) -> int:
    before = new.total_changes
    for names, row in _readable(old, f"SELECT * FROM {table} ORDER BY rowid {order}"):
        with contextlib.suppress(sqlite3.Error):  # a row of another shape is none of ours
            new.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(row))})", row)
    return new.total_changes - before


def _readable(old: sqlite3.Connection, query: str) -> Iterator[tuple[list[str], tuple[object, ...]]]:
    """The rows, each with the names of its columns: a file of an earlier version has fewer."""
    with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
        found = old.execute(query)
        names = [f'"{column[0]}"' for column in found.description]
        for row in found:
            yield names, row
