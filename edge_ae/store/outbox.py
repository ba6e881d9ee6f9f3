"""Messages on their way to the broker, and the newest of those that it has acknowledged.

    append ─► pending ─ publish ─► acknowledge ─► kept for a while, to be sent again to a broker that lost its memory

What is pending is held in memory too; `write` brings to the database what has changed since it last did, as a part of the
transaction that also covers the state which the messages came of. Appending is idempotent: (id, seq) is known again.
"""

import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from edge_ae.store.database import Database

Key = tuple[str, int]

START: Key = ("", 0)
"""Before every message: what a broker has that was given none."""

KEPT = 1_000
"""Acknowledged messages that are kept."""

COLUMNS = "id, seq, t_ns, at_ns, topic, payload, retain, checksum"
TYPES = (str, int, int, int, str, bytes, int, int)


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message that must reach the broker.

    `id`, `seq`: its identity. `t_ns`: event time that it speaks of. `at_ns`: wall time at which it was made.
    `retain`: the broker is to keep it; none of that topic is sent after `Outbox.cancel`.
    """

    id: str
    seq: int
    t_ns: int
    at_ns: int
    topic: str
    payload: bytes
    retain: bool = False

    @property
    def key(self) -> Key:
        """What identifies it."""
        return self.id, self.seq

    @property
    def checksum(self) -> int:
        """CRC-32 of all fields, by which a damaged row is known."""
        fields = (self.id, self.seq, self.t_ns, self.at_ns, self.topic, self.retain)
        return zlib.crc32(self.payload, zlib.crc32(repr(fields).encode()))


class Outbox:
    """`max_messages`, `max_bytes`: of what is pending; beyond them the oldest is dropped. `counts`: dropped, damaged."""

    def __init__(self, database: Database, max_messages: int = 10_000, max_bytes: int = 64 * 2**20) -> None:
        self.counts: Counter[str] = Counter()
        self._database = database
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._pending: dict[Key, OutgoingMessage] = {}
        self._bytes = 0
        self._new: dict[Key, OutgoingMessage] = {}  # Not in the database yet.
        self._gone: dict[Key, OutgoingMessage] = {}  # Acknowledged or dropped since the last write.
        self._last_acknowledged = START
        self._retained: set[str] = set()  # Topics of the messages to be retained, pending or acknowledged.
        self._forgetting = False  # Whether those that are acknowledged go with the next write.
        self._cancelled: set[str] = set()  # Those of them that are to be forgotten with the next write.

    def __len__(self) -> int:
        """How many the broker does not have yet."""
        return len(self._pending)

    def load(self) -> None:
        """Take up what the database holds, before what has been appended since."""
        stored, acknowledged = self._stored("acknowledged = 0"), self._stored("acknowledged = 1")
        known = {message.key for message in acknowledged}
        self._pending = {message.key: message for message in stored} | self._pending
        self._new = {key: message for key, message in self._new.items() if key not in known}
        for key in known & self._pending.keys():
            del self._pending[key]
        self._bytes = sum(len(message.payload) for message in self._pending.values())
        self._retained |= {message.topic for message in (*stored, *acknowledged) if message.retain}
        if acknowledged and self._last_acknowledged == START:
            self._last_acknowledged = acknowledged[-1].key
        self._bound()

    def clear(self) -> None:
        """Let go of what is in memory; what is in the database comes back with `load`."""
        for kept in (self._pending, self._new, self._gone):
            kept.clear()
        self._bytes, self._last_acknowledged = 0, START

    def append(self, messages: Iterable[OutgoingMessage]) -> int:
        """Take messages in; returns how many of them were not known. They are on disk after the next `write`."""
        fresh = [message for message in messages if not self.knows(message.key)]
        for message in fresh:
            self._pending[message.key] = self._new[message.key] = message
            self._bytes += len(message.payload)
            if message.retain:
                self._retained.add(message.topic)
                self._cancelled.discard(message.topic)
        self._bound()
        return len(fresh)

    def knows(self, key: Key) -> bool:
        """Whether a message was appended already, and is not forgotten."""
        if key in self._pending or key in self._gone:
            return True
        return len(self._database.rows("SELECT 1 FROM event WHERE id = ? AND seq = ?", *key)) > 0

    def pending(self, most: int) -> list[OutgoingMessage]:
        """The oldest that are not acknowledged, in order, `most` of them."""
        return list(islice(self._pending.values(), most))

    def acknowledge(self, keys: Iterable[Key]) -> None:
        """The broker has these."""
        for key in keys:
            message = self._pop(key)
            if message is not None:
                self._last_acknowledged = key
                self._gone[key] = message

    def acknowledge_up_to(self, last: Key) -> int:
        """The broker has all that is pending up to `last`, if that is pending. Returns how many those are."""
        keys = list(self._pending)
        reached = keys[: keys.index(last) + 1] if last in self._pending else []
        self.acknowledge(reached)
        return len(reached)

    def cancel(self, topics: Iterable[str]) -> None:
        """Messages to be retained on these topics are not to be sent any more, nor sent again."""
        cancelled = self._retained & set(topics)
        if not cancelled:
            return
        self._retained -= cancelled
        self._cancelled |= cancelled
        for kept in (self._pending, self._gone):
            for message in [one for one in kept.values() if one.retain and one.topic in cancelled]:
                del kept[message.key]
                self._new.pop(message.key, None)

    def forget_acknowledged(self) -> None:
        """What the broker has is never sent again, whatever it forgets."""
        self._forgetting = True
        self._gone.clear()

    @property
    def last_acknowledged(self) -> Key:
        """START where nothing was."""
        return self._last_acknowledged

    # -- a broker that forgot ------------------------------------------------------------------------------

    def send_again(self, span_ns: int, now_ns: int) -> int:
        """The broker lost its memory: what was made within `span_ns` of the newest is pending once more. Returns how many.

        Of the newest, for the broker may have been away for long. And all after the first of them, however old they say
        they are: the clock may have been set, and an end is not to be parted from its beginning.
        """
        kept = self._acknowledged()
        if not kept:
            return 0
        since_ns = min(now_ns, kept[-1].at_ns) - span_ns
        first = next((i for i, message in enumerate(kept) if message.at_ns >= since_ns), len(kept))
        return self._again(kept[first:])

    def send_again_between(self, mark: Key, last: Key) -> int:
        """What was acknowledged after `mark`, up to `last`, is pending once more: the broker forgot it. Returns how many."""
        kept = self._acknowledged()
        keys = [START, *(message.key for message in kept)]
        if mark not in keys or last not in keys:
            return 0
        return self._again(kept[keys.index(mark) : keys.index(last)])

    def _acknowledged(self) -> list[OutgoingMessage]:
        """In the order in which they were taken in."""
        if self._forgetting:
            return []
        stored = {message.key: message for message in self._stored("acknowledged = 1")}
        return [one for one in (stored | self._gone).values() if not (one.retain and one.topic in self._cancelled)]

    def _again(self, messages: Sequence[OutgoingMessage]) -> int:
        again = {message.key: message for message in messages}
        self._pending = again | self._pending
        self._bytes += sum(len(message.payload) for message in again.values())
        for key in again:
            self._gone.pop(key, None)
        self._new = again | self._new
        return len(again)

    # -- bounds --------------------------------------------------------------------------------------------

    def _bound(self) -> None:
        while len(self._pending) > self._max_messages or self._bytes > self._max_bytes:
            key = next(iter(self._pending))
            message = self._pop(key)
            assert message is not None
            self._gone[key] = message
            self.counts["dropped"] += 1
        for waiting, most in ((self._gone, KEPT), (self._new, self._max_messages)):  # a disk that fails for long
            while len(waiting) > most:
                del waiting[next(iter(waiting))]

    def _pop(self, key: Key) -> OutgoingMessage | None:
        message = self._pending.pop(key, None)
        if message is not None:
            self._bytes -= len(message.payload)
        return message

    # -- the database --------------------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether there is something to write that a crash must not lose. That a message is acknowledged may be."""
        return len(self._new) > 0 or len(self._cancelled) > 0

    def write(self, connection: sqlite3.Connection) -> None:
        """Bring to the database what has changed; call `written` once the transaction has been committed."""
        if self._forgetting:
            connection.execute("DELETE FROM event WHERE acknowledged = 1")
        connection.executemany("DELETE FROM event WHERE retain = 1 AND topic = ?", [(one,) for one in self._cancelled])
        connection.executemany(
            f"INSERT INTO event ({COLUMNS}, acknowledged) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0) "
            "ON CONFLICT (id, seq) DO UPDATE SET acknowledged = 0",
            [_row(message) for message in self._new.values()],
        )
        if not self._gone:
            return
        connection.executemany("UPDATE event SET acknowledged = 1 WHERE id = ? AND seq = ?", [*self._gone])
        connection.execute(
            "DELETE FROM event WHERE acknowledged = 1 AND position <= "
            "(SELECT position FROM event WHERE acknowledged = 1 ORDER BY position DESC LIMIT 1 OFFSET ?)",
            (KEPT,),
        )

    def write_all(self) -> None:
        """The next `write` is to bring everything that is pending: the database may be another one."""
        self._new = dict(self._pending)

    def written(self) -> None:
        """The transaction of `write` has been committed."""
        self._new.clear()
        self._gone.clear()
        self._cancelled.clear()
        self._forgetting = False

    def _stored(self, condition: str) -> list[OutgoingMessage]:
        found = []
        for row in self._database.rows(f"SELECT {COLUMNS} FROM event WHERE {condition} ORDER BY position"):
            message = _message(row)
            if message is None:
                self.counts["damaged"] += 1
            else:
                found.append(message)
        return found


def _row(message: OutgoingMessage) -> tuple[object, ...]:
    fields = (message.id, message.seq, message.t_ns, message.at_ns, message.topic, message.payload)
    return (*fields, message.retain, message.checksum)


def _message(row: tuple[object, ...]) -> OutgoingMessage | None:
    """None for a row that is not what was written."""
    if tuple(map(type, row)) != TYPES:
        return None
    *fields, retain, checksum = row
    message = OutgoingMessage(*fields, bool(retain))  # type: ignore[arg-type, call-arg]  # they were compared
    return message if message.checksum == checksum else None
