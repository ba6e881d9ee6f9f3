"""What a node knows, over any restart: the state of its assets, its outbox, its alerts with people's feedback on
them, and the highest ratio of each hour.

    load() ─► Saved                        at the start, or once a file that could not be opened can be
    commit(Changes) ─► one transaction     states, messages and alerts together: neither is ahead of the other

States are JSON, packed by zlib, whose checksum shows a damaged one. Where the disk fails, all goes on in memory, `fault` says
so, and the next commit that succeeds brings everything to disk.
"""

import logging
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from edge_ae.core.lesson_events import Lesson
from edge_ae.core.signatures import AlertSignatures
from edge_ae.store.database import Database
from edge_ae.store.lesson_table import LessonTable, write_lessons
from edge_ae.store.outbox import Outbox
from edge_ae.store.peak_table import PeakTable

log = logging.getLogger(__name__)

FILE = "edge-ae.db"
NOTICES_FILE = "notices.json"
"""What `notice_file` keeps beside it."""
ALERTS_KEPT = 10_000
FEEDBACK_KEPT = 10_000
SUPPRESSED = b'"suppressed":true'
"""In the JSON of an alert that the owner's rules withheld; a text within it has its quotes escaped."""
MAX_STATE_BYTES = 256 * 2**20
"""Of JSON: what unpacks to more is not ours."""
STATE_STEP_BYTES, SMALL_STEP_BYTES = 2048, 128
"""A packed state is a multiple of this long: one that is small, which stands between others in a page, of the second."""
SMALL_BYTES = 512
ZLIB_LEVEL = 1
"""Half the size of the JSON; more effort gains a few per cent."""
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, struct.error)
"""What a state of another version's shape raises when it is taken up."""


@dataclass(frozen=True, slots=True)
class AssetState:
    """`topic_filter`: of the stream that brought the asset. `state`: what `Detector.snapshot` gave."""

    topic_filter: str
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert as it was published last. Times in ns of event time; `cleared_ns` None: active.

    `announced`: subscribers know of it. `t_ns`: event time of this step in its life. `payload`: its JSON. `looks`: what it has
    looked like so far, for lessons; it is kept apart.
    """

    id: str
    asset: str
    raised_ns: int
    cleared_ns: int | None
    peak_ratio: float
    announced: bool
    t_ns: int
    payload: bytes
    looks: AlertSignatures | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What a restart finds. `node`: the parts that belong to no asset, by name."""

    assets: Mapping[str, AssetState]
    node: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person found out about an alert. `at_ns`: wall time. `name`: what it was; empty: nobody has said."""

    at_ns: int
    asset: str
    id: str
    label: str
    note: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What has become of the node since the last commit. `removed`: assets that are watched no more. `outdated`: parts of the node
    that are to be forgotten. `feedback`: new.
    """

    assets: Mapping[str, AssetState] = field(default_factory=dict)
    removed: Iterable[str] = ()
    node: Mapping[str, Any] = field(default_factory=dict)
    outdated: Iterable[str] = ()
    feedback: Iterable[Feedback] = ()


class NodeStore:
    """`path` None keeps all in memory. `bytes_written`: of states, packed. `loaded`: what the file held is known; before
    that nothing is written to it.
    """

    def __init__(self, path: Path | None, max_messages: int = 10_000, max_bytes: int = 64 * 2**20) -> None:
        self.database = Database(path)
        self.outbox = Outbox(self.database, max_messages, max_bytes)
        self.peaks = PeakTable(self.database)
        self.lessons = LessonTable(self.database)
        self.bytes_written = 0
        self.loaded = False
        self._alerts: dict[str, AlertRecord] = {}  # Not in the database yet.
        self._active: dict[str, AlertRecord] = {}  # Those whose end has not been recorded.

    @property
    def fault(self) -> str | None:
        """Why nothing can be kept at present, as a sentence."""
        return self.database.fault

    @property
    def durable(self) -> bool:
        """Whether anything of this is there after a restart."""
        return self.database.path is not None

    # -- reading -------------------------------------------------------------------------------------------

    def load(self, *, keep: bool = False) -> Saved | None:
        """None: there is nothing, or it cannot be read now: then `loaded` is False, and `fault` is set.

        `keep`: messages and alerts that were taken in before stay, behind those that are read.
        """
        if not self.database.open():
            return None
        if not keep:
            self.outbox.clear()
            self._alerts.clear()
            self._active.clear()
            self.peaks.clear()
            self.lessons.clear()
        self.outbox.load()
        self.lessons.load()
        self._active = {one.id: one for one in self._stored_active() if one.id not in self._alerts} | self._active
        assets = {name: AssetState(topic, state) for name, topic, state in self._asset_rows()}
        node = {str(name): value for name, value in self._unpacked("SELECT name, value FROM node")}
        self.loaded = self.database.fault is None
        return Saved(assets, node) if self.loaded and node else None

    def _asset_rows(self) -> Iterator[tuple[str, str, Any]]:
        topics = {row[0]: row[1] for row in self.database.rows("SELECT name, topic_filter FROM asset")}
        for name, state in self._unpacked("SELECT name, state FROM asset"):
            yield str(name), str(topics[name]), state

    def _unpacked(self, query: str) -> Iterator[tuple[object, Any]]:
        for name, packed in self.database.rows(query):
            try:
                yield name, unpack(packed)
            except (ValueError, TypeError, zlib.error):
                self.database.counts["damaged"] += 1
                log.warning("state: what is kept of %s is damaged; that begins anew", name)

    def active_alerts(self) -> list[AlertRecord]:
        """Those whose end has not been recorded."""
        return list(self._active.values())

    def _stored_active(self) -> list[AlertRecord]:
        rows = self.database.rows(
            "SELECT id, asset, raised_ns, cleared_ns, peak_ratio, announced, t_ns, payload FROM alert "
            "WHERE cleared_ns IS NULL ORDER BY raised_ns"
        )
        return [record for record in map(_record, rows) if record is not None]

    def alerts_since(self, asset: str, since_ns: int, below_ratio: float) -> int:
        """How many alerts of an asset were raised after `since_ns` (event time), peaked below a ratio and were not suppressed."""
        rows = self.database.rows(
            "SELECT id FROM alert WHERE asset = ? AND raised_ns > ? AND peak_ratio < ? AND instr(payload, ?) = 0",
            asset,
            since_ns,
            below_ratio,
            SUPPRESSED,
        )
        stored = {str(identity) for (identity,) in rows} - self._alerts.keys()
        new = [r for r in self._alerts.values() if r.asset == asset and r.raised_ns > since_ns]
        return len(stored) + sum(r.peak_ratio < below_ratio and SUPPRESSED not in r.payload for r in new)

    def newest_alert(self, asset: str) -> str | None:
        """The id of the alert of an asset that was raised last; None: none is remembered."""
        new = [record for record in self._alerts.values() if record.asset == asset]
        if new:
            return max(new, key=lambda record: record.raised_ns).id
        rows = self.database.rows("SELECT id FROM alert WHERE asset = ? ORDER BY raised_ns DESC LIMIT 1", asset)
        return str(rows[0][0]) if rows else None

    def announced_alerts(self) -> dict[str, bool]:
        """The alerts that subscribers know of, in the order of their raising, each with whether it has ended."""
        rows = self.database.rows("SELECT id, cleared_ns IS NOT NULL FROM alert WHERE announced ORDER BY raised_ns")
        new = {one.id: one.cleared_ns is not None for one in self._alerts.values() if one.announced}
        return {str(identity): bool(ended) for identity, ended in rows} | new

    def is_active(self, identity: str) -> bool:
        """Whether the end of an alert has not been recorded."""
        return identity in self._active

    def alert_body(self, identity: str) -> bytes | None:
        """The JSON of an alert as it was published last; None: it is not remembered."""
        if identity in self._alerts:
            return self._alerts[identity].payload
        rows = self.database.rows("SELECT payload FROM alert WHERE id = ?", identity)
        return bytes(rows[0][0]) if rows and isinstance(rows[0][0], bytes) else None

    def alerts(self, asset: str, since_ns: int, before_ns: int, limit: int) -> list[AlertRecord]:
        """The alerts of an asset that were raised from one event time on and before another, the newest first."""
        rows = self.database.rows(
            "SELECT id, asset, raised_ns, cleared_ns, peak_ratio, announced, t_ns, payload FROM alert "
            "WHERE asset = ? AND raised_ns >= ? AND raised_ns < ? ORDER BY raised_ns DESC LIMIT ?",
            asset,
            since_ns,
            before_ns,
            limit,
        )
        found = {record.id: record for record in map(_record, rows) if record is not None}
        found |= {r.id: r for r in self._alerts.values() if r.asset == asset and since_ns <= r.raised_ns < before_ns}
        return sorted(found.values(), key=lambda record: record.raised_ns, reverse=True)[:limit]

    def feedback_on(self, asset: str) -> dict[str, tuple[str, str, str]]:
        """The newest feedback on each alert of an asset: label, note and name."""
        rows = self.database.rows("SELECT id, label, note, name FROM feedback WHERE asset = ? ORDER BY position", asset)
        return {str(identity): (str(label), str(note), str(name)) for identity, label, note, name in rows}

    # -- writing -------------------------------------------------------------------------------------------

    def record(self, alert: AlertRecord) -> None:
        """Take in a step of an alert's life; on disk with the next commit."""
        if alert.looks is not None:
            self.lessons.remember(alert.id, alert.raised_ns, alert.looks)
        self._alerts[alert.id] = alert = replace(alert, looks=None)
        if alert.cleared_ns is None:
            self._active[alert.id] = alert
        else:
            self._active.pop(alert.id, None)
        while len(self._alerts) > ALERTS_KEPT:  # a disk that fails for long
            del self._alerts[next(iter(self._alerts))]

    def write_all(self) -> None:
        """The next commit is to bring all that is pending or active: the file may be another one."""
        self.outbox.write_all()
        self.lessons.write_all()
        self._alerts = self._active | self._alerts

    @property
    def changed(self) -> bool:
        """Whether messages or alerts are in memory alone."""
        return self.outbox.changed or len(self._alerts) > 0

    def commit(self, changes: Changes) -> bool:
        """All that has changed, on disk when this returns True. False: nothing of it; `fault` says why."""
        if not self.loaded:
            return False
        packed = {name: pack(asset.state) for name, asset in changes.assets.items()}
        node = {name: pack(value) for name, value in changes.node.items()}

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM asset WHERE name = ?", [(name,) for name in changes.removed])
            connection.executemany(
                "INSERT INTO asset VALUES (?, ?, ?) ON CONFLICT (name) "
                "DO UPDATE SET topic_filter = excluded.topic_filter, state = excluded.state",
                [(name, asset.topic_filter, packed[name]) for name, asset in changes.assets.items()],
            )
            connection.executemany("DELETE FROM node WHERE name = ?", [(name,) for name in changes.outdated])
            connection.executemany(
                "INSERT INTO node VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", node.items()
            )
            self.outbox.write(connection)
            self._write_alerts(connection)
            self.peaks.write(connection, changes.removed)
            self.lessons.write(connection, changes.removed)
            _write_feedback(connection, changes.feedback)

        if not self.database.commit(write):
            return False
        self.outbox.written()
        self.peaks.clear()
        self.lessons.written(changes.removed)
        self._alerts.clear()
        self.bytes_written += sum(map(len, (*packed.values(), *node.values())))
        return True

    def _write_alerts(self, connection: sqlite3.Connection) -> None:
        if not self._alerts:
            return
        connection.executemany(
            "INSERT OR REPLACE INTO alert (id, asset, raised_ns, cleared_ns, peak_ratio, announced, t_ns, payload) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (a.id, a.asset, a.raised_ns, a.cleared_ns, a.peak_ratio, a.announced, a.t_ns, a.payload)
                for a in self._alerts.values()
            ],
        )
        connection.execute(
            "DELETE FROM alert WHERE cleared_ns IS NOT NULL AND raised_ns <= "
            "(SELECT raised_ns FROM alert ORDER BY raised_ns DESC LIMIT 1 OFFSET ?)",
            (ALERTS_KEPT,),
        )

    def add_feedback(self, feedback: Feedback, lessons: Mapping[str, Lesson] | None = None) -> bool:
        """Keep it, on disk when this returns True. False: it is not kept; `fault` says why.

        `lessons`: those that the asset has from now on, in the same transaction; None: as before.
        """
        return self._keep_lessons(feedback.asset, lessons, [feedback])

    def keep_lessons(self, asset: str, lessons: Mapping[str, Lesson]) -> bool:
        """These an asset has from now on, on disk when this returns True. False: it has those that it had; `fault` says why."""
        return self._keep_lessons(asset, lessons, [])

    def _keep_lessons(self, asset: str, lessons: Mapping[str, Lesson] | None, feedback: Sequence[Feedback]) -> bool:
        def write(connection: sqlite3.Connection) -> None:
            _write_feedback(connection, feedback)
            if lessons is not None:
                write_lessons(connection, asset, lessons)

        if not self.loaded or not self.database.commit(write):
            return False
        if lessons is not None:
            self.lessons.kept(asset, lessons)
        return True

    def close(self) -> None:
        """Close the file; nothing is committed."""
        self.database.close()


def _write_feedback(connection: sqlite3.Connection, feedback: Iterable[Feedback]) -> None:
    rows = [(one.at_ns, one.asset, one.id, one.label, one.note, one.name) for one in feedback]
    if rows:
        insert = "INSERT INTO feedback (at_ns, asset, id, label, note, name) VALUES (?, ?, ?, ?, ?, ?)"
        connection.executemany(insert, rows)
        connection.execute(
            "DELETE FROM feedback WHERE position <= (SELECT max(position) FROM feedback) - ?", (FEEDBACK_KEPT,)
        )


def pack(state: Any) -> bytes:
    """Filled up with zeros, so that most states are as long as the one before: then SQLite writes over it in place."""
    packed = zlib.compress(orjson.dumps(state, option=orjson.OPT_SERIALIZE_NUMPY), ZLIB_LEVEL)
    step = SMALL_STEP_BYTES if len(packed) <= SMALL_BYTES else STATE_STEP_BYTES
    return packed.ljust(-(-len(packed) // step) * step, b"\0")


def unpack(packed: Any) -> Any:
    """Raises ValueError, TypeError or zlib.error for what `pack` did not make."""
    unpacker = zlib.decompressobj()
    state = orjson.loads(unpacker.decompress(packed, MAX_STATE_BYTES))
    if not unpacker.eof or unpacker.unused_data.strip(b"\0"):
        raise ValueError("cut off, or not ours")
    return state


def _record(row: tuple[Any, ...]) -> AlertRecord | None:
    """None where the payload is not the JSON that was written."""
    record = AlertRecord(*row)
    try:
        orjson.loads(record.payload)
    except (orjson.JSONDecodeError, TypeError):
        return None
    return record
