"""What a state file holds, for a person who looks for a fault. The file is copied first: to open one in use makes files beside it,
which would be root's where root looks, and the daemon's own user could not write them.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

MOST_BYTES = 512 * 2**20  # A state takes some megabytes; what is larger is not copied to where there may be less room.
COUNTS = (
    "SELECT count(*) FROM asset",
    "SELECT count(*) FROM alert",
    "SELECT count(*) FROM event WHERE acknowledged = 0",
)


@dataclass(frozen=True, slots=True)
class StateFacts:
    """A state file: its size, the assets and alerts in it, the events that the broker has not taken; and what is wrong with it."""

    size_bytes: int
    assets: int = 0
    alerts: int = 0
    pending: int = 0
    fault: str | None = None
    damaged: bool = False


def examine(path: Path) -> StateFacts | None:
    """The facts of the file at `path`, which is left as it is; None: there is no file yet."""
    size = 0
    try:
        files = [file for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()]
        size = sum(file.stat().st_size for file in files)
        if path not in files or size > MOST_BYTES:
            return None if path not in files else StateFacts(size, fault=f"{size // 2**20} MB, too large to look into")
        with TemporaryDirectory() as folder:
            for file in files:
                copyfile(file, Path(folder) / file.name)
            return _facts(Path(folder) / path.name, size)
    except OSError as error:
        return StateFacts(size, fault=f"cannot be read: {error.strerror}")


def _facts(copy: Path, size_bytes: int) -> StateFacts:
    try:
        with closing(sqlite3.connect(copy)) as connection:
            assets, alerts, pending = (_count(connection, query) for query in COUNTS)
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            fault = None if verdict == "ok" else f"is damaged: {verdict}"
            return StateFacts(size_bytes, assets, alerts, pending, fault, damaged=fault is not None)
    except sqlite3.Error as error:
        return StateFacts(size_bytes, fault=f"is damaged: {error}", damaged=True)


def _count(connection: sqlite3.Connection, query: str) -> int:
    (found,) = connection.execute(query).fetchone()
    return int(found)
