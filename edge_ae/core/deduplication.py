"""QoS 1 input between its use and its acknowledgement, and what to know again when it comes twice.

A message is acknowledged once a checkpoint covers it. Until then, and as long as an acknowledgement may be on its way, the broker
may deliver it again, to us or to us after a crash. Such a duplicate, known by the DUP flag, the packet id and a checksum, has
been used already and is only acknowledged.

A checkpoint may be of some assets alone. It covers the messages that brought nothing of any other, and adds these to what the last
one of all assets kept; the rest a crash brings back. Acknowledgements wait for the next one of all assets: they are to be sent in
the order in which the messages came (MQTT 5, 4.6).

Tens of thousands of messages may be under way: of each, a number or two are kept, and no object.
"""

import zlib
from array import array
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
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


class _Arrivals:
    """Messages in the order in which they came, each as packet id << 16 | checksum."""

    def __init__(self, entries: Iterable[int] = ()) -> None:
        self.entries = array("I", entries)
        self._checksums: dict[int, int] | None = None  # By packet id; made once a broker delivers again, which is rare.

    def add(self, entry: int) -> None:
        self.entries.append(entry)
        if self._checksums is not None:
            self._checksums[entry >> 16] = entry & 0xFFFF

    def checksum_of(self, mid: int) -> int | None:
        """Of the newest message with this id."""
        if self._checksums is None:
            self._checksums = {entry >> 16: entry & 0xFFFF for entry in self.entries}
        return self._checksums.get(mid)


class Deduplicator:
    """`limit`: messages that the broker lets wait for acknowledgement, so that no more than these can come again."""

    def __init__(self, limit: int) -> None:
        self.duplicates = 0
        self._limit = limit
        self._unacknowledged = array("Q")  # Connection << 16 | packet id.
        self._newest = 0  # The entry of the message that came last.
        # Assets -> entries of messages of them that no checkpoint covers.
        self._uncovered: dict[frozenset[str], array[int]] = {}
        self._recent, self._older = _Arrivals(), _Arrivals()
        self._turned_ns = 0
        self._is_new = True  # The session is, and what was kept before it is void.

    @property
    def unacknowledged(self) -> int:
        """How many messages wait for `settle`."""
        return len(self._unacknowledged)

    def is_duplicate(self, connection: int, mid: int, dup: bool, topic: str, payload: bytes) -> bool:
        """Take note of a message, which is to be acknowledged. True: it has been used before, and is not to be used again."""
        self._unacknowledged.append(connection << 16 | mid)
        checksum = zlib.crc32(payload, zlib.crc32(topic.encode())) & CHECKSUM_BITS
        if dup and self._checksum_of(mid) == checksum:
            self.duplicates += 1
            return True
        self._newest = mid << 16 | checksum
        self._recent.add(self._newest)
        return False

    def _checksum_of(self, mid: int) -> int | None:
        recent = self._recent.checksum_of(mid)
        return self._older.checksum_of(mid) if recent is None else recent

    def used(self, assets: Collection[str]) -> None:
        """The message that came last is no duplicate, and has brought readings of these assets."""
        if assets:
            self._uncovered.setdefault(frozenset(assets), array("I")).append(self._newest)

    # -- a checkpoint of some assets -----------------------------------------------------------------------

    def covered_by(self, assets: Set[str]) -> Sequence[int] | None:
        """The messages that a checkpoint of these assets covers: those that brought readings of them. None: one of them brought
        another asset's too, so that neither can be saved without the other."""
        concerned = [of for of in self._uncovered if not assets.isdisjoint(of)]
        if not all(of <= assets for of in concerned):
            return None
        return [entry for of in concerned for entry in self._uncovered[of]]

    def cover(self, assets: Set[str]) -> None:
        """A checkpoint of these assets, or of them among others, is on disk."""
        self._uncovered = {of: entries for of, entries in self._uncovered.items() if not of <= assets}
        self._is_new = False

    # -- acknowledgement -----------------------------------------------------------------------------------

    def settle(self, now_ns: int) -> Iterator[Receipt]:
        """A checkpoint covers all that has come: what is to be acknowledged now."""
        receipts, self._unacknowledged = self._unacknowledged, array("Q")
        self._uncovered, self._is_new = {}, False
        if now_ns - self._turned_ns >= REMEMBERED_NS or len(self._recent.entries) >= self._limit:
            self._older, self._recent, self._turned_ns = self._recent, _Arrivals(), now_ns
        return map(_receipt, receipts)

    def settle_oldest(self) -> Iterator[Receipt]:
        """Acknowledge one message that no checkpoint covers."""
        receipts, self._unacknowledged = self._unacknowledged[:1], self._unacknowledged[1:]
        return map(_receipt, receipts)

    def forget(self, now_ns: int) -> None:
        """Let go of what was acknowledged long ago."""
        if now_ns - self._turned_ns >= REMEMBERED_NS:
            self._older = _Arrivals()

    def reconnected(self, connection: int, present: bool) -> None:
        """What earlier connections brought cannot be acknowledged any more: it comes again. `present` False: the broker
        has a new session, which delivers nothing again, and its packet ids start anew.
        """
        self._unacknowledged = array("Q", [one for one in self._unacknowledged if one >> 16 == connection])
        if not present:
            self._recent, self._older, self._uncovered, self._is_new = _Arrivals(), _Arrivals(), {}, True

    # -- over a restart ------------------------------------------------------------------------------------

    @property
    def is_new(self) -> bool:
        """Whether what a restart must know is no more than what has been covered since: see `covered`."""
        return self._is_new

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know with a checkpoint of all assets, as plain values."""
        return self.covered((self._older.entries + self._recent.entries)[-self._limit :])

    def covered(self, entries: Sequence[int]) -> dict[str, Any]:
        """What it must know beside that of the messages that a checkpoint of some assets covers."""
        every: NDArray[np.uint32] = np.array(entries, np.uint32)
        mids = (every >> 16).astype(np.uint16)
        # Packet ids follow one another: their differences take no room.
        return {
            "mids": _text(np.diff(mids, prepend=np.uint16(0))),
            "checksums": _text(every.astype(np.uint16)),
            "duplicates": self.duplicates,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        if "known" in state:  # as versions before 0.3 kept it, the newest first
            pairs = reversed(list(iter_unpack(ENTRY, b64decode(state["known"]))))
            self._recent = _Arrivals(mid << 16 | checksum for mid, checksum in pairs)
        else:
            self._recent = _Arrivals(_entries(state))
        self._older, self._is_new = _Arrivals(), False
        self.duplicates = state["duplicates"]

    def restore_covered(self, state: Mapping[str, Any]) -> None:
        """And, behind it, what was kept of each checkpoint of some assets since, in their order."""
        for entry in _entries(state):
            self._recent.add(entry)


def _receipt(number: int) -> Receipt:
    return number >> 16, number & 0xFFFF


def _entries(state: Mapping[str, Any]) -> list[int]:
    mids, checksums = _array(state["mids"]).cumsum(dtype=np.uint16), _array(state["checksums"])
    if len(mids) != len(checksums):
        raise ValueError("there are more packet ids than checksums, or fewer")
    found: list[int] = (mids.astype(np.uint32) << 16 | checksums).tolist()
    return found


def _text(numbers: NDArray[np.uint16]) -> str:
    return b64encode(numbers.astype("<u2").tobytes()).decode()


def _array(text: str) -> NDArray[np.uint16]:
    return np.frombuffer(b64decode(text), "<u2")
