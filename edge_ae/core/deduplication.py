"""QoS 1 input between its use and its acknowledgement, and what to know again when it comes twice.

A message is acknowledged once a checkpoint covers it. Until then, and as long as an acknowledgement may be on its way, the broker
may deliver it again, to us or to us after a crash. Such a duplicate, known by the DUP flag, the packet id and a checksum, has
been used already and is only acknowledged.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from itertools import islice
from struct import iter_unpack, pack
from typing import Any

from edge_ae.core.timestamps import SECOND

Receipt = tuple[int, int]
"""What an acknowledgement names: the number of the connection, and the packet id."""

CHECKSUM_BITS = 0xFFFF
"""Of a message. A broker gives a packet id to another message only after it was acknowledged, so that few bits tell them apart."""

ENTRY = "<HH"
"""What is kept of a message: its packet id, and its checksum."""

REMEMBERED_NS = 10 * SECOND
"""An acknowledgement that was sent longer ago than this has arrived, or its connection is gone."""


class Deduplicator:
    """`limit`: messages that the broker lets wait for acknowledgement, so that no more than these can come again."""

    def __init__(self, limit: int) -> None:
        self.duplicates = 0
        self._limit = limit
        self._unacknowledged: list[Receipt] = []
        self._recent: dict[int, int] = {}  # Packet id -> checksum.
        self._older: dict[int, int] = {}
        self._turned_ns = 0

    @property
    def unacknowledged(self) -> int:
        """How many messages wait for `settle`."""
        return len(self._unacknowledged)

    def is_duplicate(self, connection: int, mid: int, dup: bool, topic: str, payload: bytes) -> bool:
        """Take note of a message, which is to be acknowledged. True: it has been used before, and is not to be used again."""
        self._unacknowledged.append((connection, mid))
        checksum = zlib.crc32(payload, zlib.crc32(topic.encode())) & CHECKSUM_BITS
        if dup and self._recent.get(mid, self._older.get(mid)) == checksum:
            self.duplicates += 1
            return True
        self._recent[mid] = checksum
        return False

    def settle(self, now_ns: int) -> list[Receipt]:
        """A checkpoint covers all that has come: what is to be acknowledged now."""
        receipts, self._unacknowledged = self._unacknowledged, []
        if now_ns - self._turned_ns >= REMEMBERED_NS or len(self._recent) >= self._limit:
            self._older, self._recent, self._turned_ns = self._recent, {}, now_ns
        return receipts

    def settle_oldest(self) -> list[Receipt]:
        """Acknowledge one message that no checkpoint covers."""
        receipts, self._unacknowledged = self._unacknowledged[:1], self._unacknowledged[1:]
        return receipts

    def forget(self, now_ns: int) -> None:
        """Let go of what was acknowledged long ago."""
        if now_ns - self._turned_ns >= REMEMBERED_NS:
            self._older = {}

    def reconnected(self, connection: int, present: bool) -> None:
        """What earlier connections brought cannot be acknowledged any more: it comes again. `present` False: the broker
        has a new session, which delivers nothing again, and its packet ids start anew.
        """
        self._unacknowledged = [receipt for receipt in self._unacknowledged if receipt[0] == connection]
        if not present:
            self._recent, self._older = {}, {}

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        known = [*dict.fromkeys((*reversed(self._recent), *reversed(self._older)))]
        newest = islice(known, self._limit)
        packed = b"".join(pack(ENTRY, mid, self._recent.get(mid, self._older.get(mid))) for mid in newest)
        return {"known": b64encode(packed).decode(), "duplicates": self.duplicates}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        newest_first = list(iter_unpack(ENTRY, b64decode(state["known"])))
        self._recent, self._older = dict(reversed(newest_first)), {}
        self.duplicates = state["duplicates"]
