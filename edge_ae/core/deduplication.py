"""Input that is acknowledged later -> what is owed to the broker, and what to know again when it comes twice.

A QoS 1 message is acknowledged once both checkpoint files cover it, so that either may be lost and the broker still has
what is needed to go on from the other. Until then the broker may deliver it again, to us or to us after a crash;
a duplicate, told by the DUP flag, the packet id and a checksum, has been used already and is only acknowledged.

    since the last checkpoint ── checkpoint ──► covered once ── checkpoint ──► acknowledged, remembered once more
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from struct import iter_unpack, pack
from typing import Any

Owed = tuple[int, int]  # connection, packet id


class Seen:
    """QoS 1 input between its use and its acknowledgement."""

    def __init__(self) -> None:
        self.repeated = 0  # duplicates that were known
        self._uncovered: list[Owed] = []
        self._covered: list[Owed] = []  # by one checkpoint
        self._known: list[dict[int, int]] = [{}, {}, {}]  # packet id -> checksum, newest checkpoint's first

    @property
    def uncovered(self) -> int:
        return len(self._uncovered)

    @property
    def owed(self) -> int:
        return len(self._uncovered) + len(self._covered)

    def is_known(self, connection: int, mid: int, dup: bool, topic: str, payload: bytes) -> bool:
        """Note a message. True: it has been used before, and is not to be used again."""
        self._uncovered.append((connection, mid))
        checksum = zlib.crc32(payload, zlib.crc32(topic.encode()))
        if dup and self._checksum(mid) == checksum:
            self.repeated += 1
            return True
        self._known[0][mid] = checksum
        return False

    def _checksum(self, mid: int) -> int | None:
        return next((known[mid] for known in self._known if mid in known), None)

    def settle(self) -> list[Owed]:
        """A checkpoint is on disk: what is to be acknowledged now."""
        due, self._covered, self._uncovered = self._covered, self._uncovered, []
        if self._known[0]:
            self._known = [{}, *self._known[:-1]]
        return due

    def reconnected(self, connection: int, present: bool) -> None:
        """What earlier connections brought cannot be acknowledged any more: it comes again. `present` False: the broker
        has a new session, which delivers nothing again, and its packet ids start anew.
        """
        self._uncovered = [owed for owed in self._uncovered if owed[0] == connection]
        self._covered = [owed for owed in self._covered if owed[0] == connection]
        if not present:
            self._known = [{}, {}, {}]

    def snapshot(self) -> dict[str, Any]:
        newest, older, oldest = self._known
        packed = b"".join(pack("<HI", mid, checksum) for mid, checksum in (oldest | older | newest).items())
        return {"known": b64encode(packed).decode(), "repeated": self.repeated}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._known = [{}, dict(iter_unpack("<HI", b64decode(state["known"]))), {}]
        self.repeated = state["repeated"]
