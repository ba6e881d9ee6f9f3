"""Events on disk until the broker has them: an append-only log of lines, each with its checksum in front.

    5f0c83a1 {"event":["<id>",<seq>,<t_ns>,<at_ns>,"<topic>","<payload>"]}
    91b2e0d7 {"done":["<id>",<seq>]}

An event is written and synced before it is published and stays pending until it is confirmed. What has been confirmed is
kept for a while: that makes `append` idempotent, so that a replay after a crash tells nothing twice, and it can be
sent again to a broker that lost its memory. A torn tail is what a power cut leaves; it is cut off. Where the disk
fails the outbox goes on in memory, says so in `fault`, and writes itself whole once there is room.
"""

import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from edge_ae.store.atomic import reason_of, write_whole

Key = tuple[str, int]

START: Key = ("", 0)  # before every event

MEMORY = 1_000  # confirmed events that are kept
REWRITE_FACTOR = 4  # the file is written anew when it is this much longer than what it holds,
REWRITE_FROM_BYTES = 256 * 1024  # and at least so long
EVENT = [str, int, int, int, str, str]  # what a line of the file holds of one


@dataclass(frozen=True, slots=True)
class Entry:
    """An event on its way. (id, seq) is its identity; `t_ns` its event time; `at_ns` when it was put in."""

    id: str
    seq: int
    t_ns: int
    at_ns: int
    topic: str
    payload: bytes

    @property
    def key(self) -> Key:
        return self.id, self.seq


class Outbox:
    """`path` None keeps it in memory. `counts`: dropped, damaged_lines, write_failures."""

    def __init__(self, path: Path | None, max_messages: int = 10_000, max_bytes: int = 16 * 2**20) -> None:
        self.counts: Counter[str] = Counter()
        self.fault: str | None = None
        self._path = path
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._pending: dict[Key, Entry] = {}
        self._done: dict[Key, Entry] = {}
        self._bytes = 0
        self._file_bytes = 0
        self._fd: int | None = None
        self._load()

    # -- events --------------------------------------------------------------------------------------------

    def append(self, entries: Iterable[Entry]) -> list[Entry]:
        """Take events in, on disk when this returns. Gives back those that were not known."""
        fresh = []
        for entry in entries:
            if not self.knows(entry.key):
                self._pending[entry.key] = entry
                self._bytes += len(entry.payload)
                fresh.append(entry)
        if fresh:
            self._write([_event_line(entry) for entry in fresh], sync=True)
            self._bound()
        return fresh

    def knows(self, key: Key) -> bool:
        return key in self._pending or key in self._done

    def pending(self, most: int) -> list[Entry]:
        """The oldest events that are not confirmed, in order, `most` of them."""
        return list(islice(self._pending.values(), most))

    def done(self, keys: Iterable[Key]) -> None:
        """The broker has confirmed these. Not synced: at worst they are sent once more."""
        lines = []
        for key in keys:
            entry = self._pending.pop(key, None)
            if entry is not None:
                self._done[key] = entry
                lines.append(_line({"done": key}))
        if lines:
            self._write(lines, sync=False)
            self._bound()

    def send_again(self, span_ns: int, now_ns: int) -> int:
        """The broker lost its memory: events that were put in within `span_ns` of the newest are pending once more. How many.

        Of the newest, for the broker may have been away for long. And all after the first of them, however old they say
        they are: the clock may have been set, and an end is not to be parted from its beginning.
        """
        keys = list(self._done)
        if not keys:
            return 0
        since_ns = min(now_ns, self._done[keys[-1]].at_ns) - span_ns
        first = next((i for i, entry in enumerate(self._done.values()) if entry.at_ns >= since_ns), len(keys))
        return self._again(keys[first:])

    @property
    def last_confirmed(self) -> Key:
        """START where nothing is."""
        return next(reversed(self._done), START)

    def send_again_between(self, mark: Key, last: Key) -> int:
        """What was confirmed after `mark`, up to `last`, is pending once more: the broker forgot it. Returns how many."""
        keys = [START, *self._done]
        if mark not in keys or last not in keys:
            return 0
        return self._again(keys[keys.index(mark) + 1 : keys.index(last) + 1])

    def _again(self, keys: Iterable[Key]) -> int:
        again = {key: self._done[key] for key in keys}
        for key in again:
            del self._done[key]
        self._pending = again | self._pending
        if again:
            self._rewrite()
        return len(again)

    def history(self) -> Iterator[Entry]:
        """Every event that is known, oldest first as far as it was confirmed in order."""
        yield from self._done.values()
        yield from self._pending.values()

    def __len__(self) -> int:
        """Events that the broker does not have yet."""
        return len(self._pending)

    def _bound(self) -> None:
        while len(self._done) > MEMORY or (self._done and self._bytes > self._max_bytes):
            self._forget_oldest()
        lines = []
        while len(self._pending) > self._max_messages or self._bytes > self._max_bytes:
            entry = self._pending.pop(next(iter(self._pending)))
            self._bytes -= len(entry.payload)
            self.counts["dropped"] += 1
            lines.append(_line({"done": entry.key}))
        if lines:
            self._write(lines, sync=False)

    def _forget_oldest(self) -> None:
        """The first confirmed event, and those before it under its id that were sent again after it: what is left of an
        alert must not be its beginning without its end.
        """
        identity, seq = next(iter(self._done))
        for key in [key for key in self._done if key[0] == identity and key[1] <= seq]:
            self._bytes -= len(self._done.pop(key).payload)

    # -- the file ------------------------------------------------------------------------------------------

    def retry(self) -> None:
        """Where the disk failed: write everything, if it can be written now."""
        if self.fault is not None:
            self._rewrite()

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _load(self) -> None:
        if self._path is None:
            return
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            self._fail(error)
            return
        for line in data.splitlines():
            self._replay(line)
        damaged = self.counts["damaged_lines"] > 0 or (data != b"" and not data.endswith(b"\n"))
        self._file_bytes = len(data)
        self._bound()
        if damaged or not data:
            self._rewrite()

    def _replay(self, line: bytes) -> None:
        try:
            record = orjson.loads(line[9:])
            if int(line[:8], 16) != zlib.crc32(line[9:]):
                raise ValueError("checksum")
            if "event" in record:
                self._replay_event(*record["event"])
            else:
                identity, seq = record["done"]
                entry = self._pending.pop((identity, seq), None)
                if entry is not None:
                    self._done[identity, seq] = entry
        except (ValueError, KeyError, TypeError):
            self.counts["damaged_lines"] += 1

    def _replay_event(self, identity: str, seq: int, t_ns: int, at_ns: int, topic: str, payload: str) -> None:
        if [type(part) for part in (identity, seq, t_ns, at_ns, topic, payload)] != EVENT:
            raise ValueError("types")
        entry = Entry(identity, seq, t_ns, at_ns, topic, payload.encode())
        if not self.knows(entry.key):
            self._pending[entry.key] = entry
            self._bytes += len(entry.payload)

    def _write(self, lines: Sequence[bytes], *, sync: bool) -> None:
        if self._path is None or self.fault is not None:
            return
        data = b"".join(lines)
        try:
            if self._fd is None:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            written = os.write(self._fd, data)
            if written < len(data):
                raise OSError(28, "No space left on device")
            if sync:
                os.fsync(self._fd)
        except OSError as error:
            self._fail(error)
            return
        self._file_bytes += len(data)
        if self._file_bytes > max(REWRITE_FROM_BYTES, REWRITE_FACTOR * self._bytes):
            self._rewrite()

    def _rewrite(self) -> None:
        if self._path is None:
            return
        lines = [_event_line(entry) for entry in self.history()]
        lines += [_line({"done": key}) for key in self._done]
        data = b"".join(lines)
        self.close()  # the descriptor is of the file that is replaced
        try:
            write_whole(self._path, data)
        except OSError as error:
            self._fail(error)
            return
        self.fault = None
        self._file_bytes = len(data)

    def _fail(self, error: OSError) -> None:
        self.counts["write_failures"] += 1
        self.fault = f"the outbox {self._path} is in memory only: {reason_of(error)}"


def _event_line(entry: Entry) -> bytes:
    fields = [entry.id, entry.seq, entry.t_ns, entry.at_ns, entry.topic, entry.payload.decode()]
    return _line({"event": fields})


def _line(record: dict[str, Any]) -> bytes:
    text = orjson.dumps(record)
    return b"%08x %s\n" % (zlib.crc32(text), text)
