"""What people have taught, and what each alert looked like: two tables, and what the next commit brings there.

The texts are made and read by `core.lesson_events`; here they are bytes. Lessons are in memory too, for the file may be another one
after a fault of the disk; signatures are of the newest alerts alone, and what is lost of them can be taught anew.
"""

import logging
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import orjson

from edge_ae.core.lesson_events import Lesson, lesson_of, signatures_of
from edge_ae.core.signatures import AlertSignatures
from edge_ae.store.database import Database

log = logging.getLogger(__name__)

SIGNATURES_KEPT = 1_000
"""Of alerts, the newest: feedback on an older one teaches nothing at once."""

MAX_BYTES = 2**20
"""Of JSON: what unpacks to more is not ours."""

DAMAGED = (LookupError, TypeError, ValueError, AttributeError, zlib.error)


class LessonTable:
    """`database`: whose counts it adds to what is found damaged."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lessons: dict[str, dict[str, Lesson]] = {}
        self._looks: dict[str, tuple[int, bytes]] = {}  # Of alerts; not on disk yet.
        self._rewrite = False

    def load(self) -> None:
        """Read the lessons of all assets."""
        self._lessons = {}
        for asset, identity, packed in self._database.rows("SELECT asset, id, lesson FROM lesson"):
            try:
                self._lessons.setdefault(str(asset), {})[str(identity)] = restored_lesson(packed)
            except DAMAGED:
                self._database.counts["damaged"] += 1
                log.warning("state: the lesson %s of %s is damaged, and is not in force", identity, asset)

    def of(self, asset: str) -> Mapping[str, Lesson]:
        """The lessons of an asset, by their ids."""
        return self._lessons.get(asset, {})

    def looks_of(self, identity: str) -> AlertSignatures | None:
        """What an alert looked like; None: it is not remembered."""
        pending = self._looks.get(identity)
        rows = [] if pending else self._database.rows("SELECT looks FROM signature WHERE id = ?", identity)
        try:
            return None if not pending and not rows else signatures_of(_unpacked(pending[1] if pending else rows[0][0]))
        except DAMAGED:
            self._database.counts["damaged"] += 1
            return None

    def remember(self, identity: str, raised_ns: int, looks: AlertSignatures) -> None:
        """What an alert has looked like so far; on disk with the next commit."""
        self._looks[identity] = raised_ns, _packed(looks)
        while len(self._looks) > SIGNATURES_KEPT:  # a disk that fails for long
            del self._looks[next(iter(self._looks))]

    # -- writing -------------------------------------------------------------------------------------------

    def write(self, connection: sqlite3.Connection, removed: Iterable[str]) -> None:
        """Bring what is pending to disk, and forget the assets that are `removed`."""
        connection.executemany("DELETE FROM lesson WHERE asset = ?", [(asset,) for asset in removed])
        if self._rewrite:
            for asset in self._lessons.keys() - {*removed}:
                write_lessons(connection, asset, self._lessons[asset])
        if not self._looks:
            return
        connection.executemany(
            "INSERT OR REPLACE INTO signature (id, raised_ns, looks) VALUES (?, ?, ?)",
            [(identity, raised_ns, packed) for identity, (raised_ns, packed) in self._looks.items()],
        )
        connection.execute(
            "DELETE FROM signature WHERE raised_ns <= "
            "(SELECT raised_ns FROM signature ORDER BY raised_ns DESC LIMIT 1 OFFSET ?)",
            (SIGNATURES_KEPT,),
        )

    def written(self, removed: Iterable[str]) -> None:
        """What was pending is on disk."""
        for asset in removed:
            self._lessons.pop(asset, None)
        self._looks.clear()
        self._rewrite = False

    def kept(self, asset: str, lessons: Mapping[str, Lesson]) -> None:
        """`write_lessons` has brought these to disk."""
        self._lessons[asset] = dict(lessons)

    def write_all(self) -> None:
        """The next commit is to bring all lessons: the file may be another one."""
        self._rewrite = True

    def clear(self) -> None:
        """What was pending is to be forgotten."""
        self._looks.clear()


def write_lessons(connection: sqlite3.Connection, asset: str, lessons: Mapping[str, Lesson]) -> None:
    """These and no others are the asset's from now on."""
    connection.execute("DELETE FROM lesson WHERE asset = ?", (asset,))
    rows = [(asset, identity, _packed(one)) for identity, one in lessons.items()]
    connection.executemany("INSERT INTO lesson (asset, id, lesson) VALUES (?, ?, ?)", rows)


def restored_lesson(packed: Any) -> Lesson:
    """Of a row of the table. Raises one of DAMAGED for what is none."""
    return lesson_of(_unpacked(packed))


def _packed(value: AlertSignatures | Lesson) -> bytes:
    return zlib.compress(orjson.dumps(asdict(value)))


def _unpacked(packed: Any) -> Any:
    unpacker = zlib.decompressobj()
    found = orjson.loads(unpacker.decompress(packed, MAX_BYTES))
    if not unpacker.eof:
        raise ValueError("cut off, or not ours")
    return found
