"""QoS 1 input between its use and its acknowledgement, and what to know again when it comes twice.

A message is acknowledged once a checkpoint covers it. Until then, and as long as an acknowledgement may be on its way, the broker
may deliver it again, to us or to us after a crash. Such a duplicate, known by the DUP flag, the packet id and a checksum, has
been used already and is only acknowledged.

A checkpoint may be of some assets alone. It covers the messages that brought nothing of any other; what it keeps knows nothing of
the rest, which a crash brings back. Acknowledgements wait for the next one of all assets: they are to be sent in the order in
which the messages came (MQTT 5, 4.6).
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Set
from struct import iter_unpack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.timestamps import SECOND

Receipt = tuple[int, int]
"""What an acknowledgement names: the number of the connection, and the packet id."""

CHECKSUM_BITS = 0xFFFF
"""Of a message. A broker gives a packet id to another message only after it was acknowledged, so that few bits tell them apart."""

ENTRY = "<HH"
"""What versions before 0.3 kept of a message: its packet id, and its checksum."""

REMEMBERED_NS = 10 * SECOND
"""An acknowledgement that was sent longer ago than this has arrived, or its connection is gone."""


class Deduplicator:
    """`limit`: messages that the broker lets wait for acknowledgement, so that no more than these can come again."""

    def __init__(self, limit: int) -> None:
        self.duplicates = 0
        self._limit = limit
        self._unacknowledged: list[Receipt] = []
        self._uncovered: dict[Receipt, Collection[str]] = {}  # Used since the last checkpoint -> the assets concerned.
        self._recent: dict[int, int] = {}  # Packet id -> checksum.
        self._older: dict[int, int] = {}
        self._turned_ns = 0

    @property
    def unacknowledged(self) -> int:
        """How many messages wait for `settle`."""
        return len(self._unacknowledged)

    def is_duplicate(self, connection: int, mid: int, dup: bool, topic: str, payload: bytes) -> bool:
        """Take note of a message, which is to be acknowledged. True: it has been used before, and is not to be used again."""
        receipt = connection, mid
        self._unacknowledged.append(receipt)
        checksum = zlib.crc32(payload, zlib.crc32(topic.encode())) & CHECKSUM_BITS
        if dup and self._recent.get(mid, self._older.get(mid)) == checksum:
            self.duplicates += 1
            return True
        self._recent[mid] = checksum
        self._uncovered[receipt] = ()
        return False

    def used(self, connection: int, mid: int, assets: Collection[str]) -> None:
        """A message that is no duplicate has brought readings of these assets."""
        self._uncovered[connection, mid] = assets

    def covered_by(self, assets: Set[str]) -> Set[Receipt] | None:
        """The messages that brought readings of these assets. None: one of them brought another asset's too, so that neither can
        be saved without the other."""
        concerned = {one: of for one, of in self._uncovered.items() if not assets.isdisjoint(of)}
        return concerned.keys() if all(assets >= set(of) for of in concerned.values()) else None

    def settle(self, now_ns: int) -> list[Receipt]:
        """A checkpoint covers all that has come: what is to be acknowledged now."""
        receipts, self._unacknowledged, self._uncovered = self._unacknowledged, [], {}
        if now_ns - self._turned_ns >= REMEMBERED_NS or len(self._recent) >= self._limit:
            self._older, self._recent, self._turned_ns = self._recent, {}, now_ns
        return receipts

    def cover(self, receipts: Set[Receipt]) -> None:
        """A checkpoint covers these messages."""
        for one in receipts:
            self._uncovered.pop(one, None)

    def settle_oldest(self) -> list[Receipt]:
        """Acknowledge one message that no checkpoint covers."""
        receipts, self._unacknowledged = self._unacknowledged[:1], self._unacknowledged[1:]
        self.cover(set(receipts))
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
            self._recent, self._older, self._uncovered = {}, {}, {}

    def snapshot(self, covered: Set[Receipt] | None = None) -> dict[str, Any]:
        """What a restart must know, as plain values. `covered`: the messages that the checkpoint covers; None: all."""
        left_out = set() if covered is None else {mid for _, mid in self._uncovered.keys() - covered}
        known = {mid: checksum for mid, checksum in self._older.items() if mid not in self._recent} | self._recent
        kept = {mid: checksum for mid, checksum in known.items() if mid not in left_out}
        mids, checksums = (np.array(list(part)[-self._limit :], np.uint16) for part in (kept, kept.values()))
        # Packet ids follow one another: their differences take no room.
        return {
            "mids": _text(np.diff(mids, prepend=np.uint16(0))),
            "checksums": _text(checksums),
            "duplicates": self.duplicates,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        if "known" in state:  # as versions before 0.3 kept it, the newest first
            self._recent = dict(reversed(list(iter_unpack(ENTRY, b64decode(state["known"])))))
        else:
            mids, checksums = _array(state["mids"]).cumsum(dtype=np.uint16), _array(state["checksums"])
            self._recent = dict(zip(mids.tolist(), checksums.tolist(), strict=True))
        self._older = {}
        self.duplicates = state["duplicates"]


def _text(numbers: NDArray[np.uint16]) -> str:
    return b64encode(numbers.astype("<u2").tobytes()).decode()


def _array(text: str) -> NDArray[np.uint16]:
    return np.frombuffer(b64decode(text), "<u2")
