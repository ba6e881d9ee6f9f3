"""How much memory the payloads that are held may take, whatever JSON they are: a small one always finds room, the large share one bound.

    (owner, payload) ─ LargePayloads.admits ─► held, or no room

Three bytes of JSON, an empty list and its comma, become more than sixty once they are read: what counts is an estimate
of that, from above. So nobody who publishes large payloads takes the room of those who publish small ones.
"""

from collections.abc import Hashable

SMALL = 16 * 1024  # bytes of memory; an alert that names its five worst channels takes twelve thousand by this estimate
MAX_LARGE = 16 * 2**20  # bytes of memory, of all that are larger


class LargePayloads:
    """Who holds a large one, and what it takes."""

    def __init__(self, most: int = MAX_LARGE) -> None:
        self._most = most
        self._taken: dict[Hashable, int] = {}
        self.total = 0

    def admits(self, owner: Hashable, payload: bytes) -> bool:
        """Whether it finds room in place of what the owner held; where it does not, the owner holds nothing."""
        self.release(owner)
        size = size_once_read(payload)
        if size <= SMALL:
            return True
        if self.total + size > self._most:
            return False
        self._taken[owner] = size
        self.total += size
        return True

    def release(self, owner: Hashable) -> None:
        """The owner holds it no more."""
        self.total -= self._taken.pop(owner, 0)


def size_once_read(payload: bytes) -> int:
    """What JSON takes in memory once it is read, in bytes, estimated from above at the price of a few searches."""
    wide = 1 if payload.isascii() and b"\\u" not in payload else 4  # one character beyond Latin-1 widens a whole text
    lists, objects = payload.count(b"["), payload.count(b"{")
    fields, values = payload.count(b":"), payload.count(b",")
    return 64 + wide * len(payload) + 120 * lists + 220 * objects + 110 * fields + 64 * values
