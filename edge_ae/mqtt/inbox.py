"""Messages on their way from the network's thread to their owner's, in chunks.

Bounded: where it is full, QoS 0 is dropped, and QoS 1 waits in the socket, for the broker still has it.
"""

import threading
from queue import Empty, SimpleQueue
from typing import NamedTuple


class Message(NamedTuple):
    """A message as it came.

    `arrival_ns`: wall time at which the network thread read it. `topic`: any text. `mid`: the packet's id, by which it is
    acknowledged on the connection of that number; 0 with QoS 0. `dup`: the broker has sent it before. `retain`: the broker
    kept it, nobody knows for how long. `response_topic`: where an answer may be published, never a topic that cannot be or
    one of our own. `correlation`: goes back with the answer.
    """

    arrival_ns: int
    topic: str
    payload: bytes
    qos: int
    mid: int
    dup: bool
    connection: int
    retain: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None


class Inbox:
    """`limit` messages, and what a chunk holds. One thread puts in, another takes out; `wake` and `close` are for any."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queue: SimpleQueue[list[Message]] = SimpleQueue()
        self._chunk: list[Message] = []
        self._offered = 0  # written by the one thread only
        self._taken = 0  # by the other
        self._room = threading.Event()
        self._closed = False

    # -- for the thread that puts in -----------------------------------------------------------------------------------

    def has_room(self, qos: int) -> bool:
        """Whether a message may be put in. Waits for room where the message can wait."""
        return self._offered - self._taken < self._limit or (qos > 0 and self._wait_for_room())

    def _wait_for_room(self) -> bool:
        while not self._closed:
            self.hand_over()
            self._room.clear()
            if self._offered - self._taken < self._limit:
                return True
            self._room.wait(0.1)
        return False

    def put(self, message: Message) -> None:
        """Add a message to the chunk; `has_room` comes first."""
        self._offered += 1
        self._chunk.append(message)

    @property
    def chunk(self) -> int:
        """Messages not yet handed over."""
        return len(self._chunk)

    def hand_over(self) -> None:
        """Give the chunk, if there is one, to the thread that takes out."""
        if self._chunk:
            self._queue.put(self._chunk)
            self._chunk = []

    # -- for the thread that takes out ---------------------------------------------------------------------------------

    def take(self, max_items: int, timeout_s: float) -> list[Message]:
        """The messages that are here, `max_items` and a chunk at most; waits for the first, or for `wake`."""
        taken: list[Message] = []
        try:
            taken += self._queue.get(timeout=timeout_s)
            while len(taken) < max_items:
                taken += self._queue.get_nowait()
        except Empty:
            pass
        self._taken += len(taken)
        self._room.set()
        return taken

    @property
    def waiting(self) -> int:
        """Messages that were put in and not yet taken out."""
        return self._offered - self._taken

    # -- for any -------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """End the present or next wait of `take`; may be called by a signal handler."""
        self._queue.put([])

    def close(self) -> None:
        """Nobody takes out any more: who waits for room waits no longer."""
        self._closed = True
        self._room.set()
