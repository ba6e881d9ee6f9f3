"""A tool's connection that listens: clean session, QoS 0, and subscriptions that stand again after a reconnect."""

from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, Full, Queue

from edge_ae.mqtt.inbox import Message
from edge_ae.mqtt.options import Broker
from edge_ae.mqtt.publish_topic import topic_name_fault
from edge_ae.mqtt.simple_client import close, connect

WAITING = 10_000
"""Messages that came and were not taken yet; what comes beyond is counted."""


class TopicListener:
    """`dropped`: messages that came faster than they were taken. Raises BadConfig where there is no broker."""

    def __init__(self, broker: Broker) -> None:
        self.dropped = 0
        self._filters: set[str] = set()
        self._waiting: Queue[Message] = Queue(WAITING)
        self._client = connect(broker)
        self._client.on_publication = self._offer
        self._client.on_connect = lambda *_: self._ask(self._filters)

    def subscribe(self, filters: Iterable[str]) -> None:
        """Listen to these, too."""
        new = set(filters) - self._filters
        self._filters |= new
        self._ask(new)

    def unsubscribe(self, filters: Iterable[str]) -> None:
        """Listen to these no longer."""
        gone = set(filters) & self._filters
        self._filters -= gone
        if gone:
            self._client.unsubscribe(sorted(gone))

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> object | None:
        """Send a message; None: it could not be sent."""
        return None if topic_name_fault(topic) is not None else self._client.publish(topic, payload, qos, retain)

    def take(self, timeout_s: float) -> list[Message]:
        """The messages that are here; waits for the first."""
        taken: list[Message] = []
        with suppress(Empty):
            taken.append(self._waiting.get(timeout=timeout_s))
            while len(taken) < WAITING:
                taken.append(self._waiting.get_nowait())
        return taken

    def close(self) -> None:
        """Disconnect; the broker keeps nothing for us."""
        close(self._client)

    def _ask(self, filters: Iterable[str]) -> None:
        wanted = [(name, 0) for name in sorted(filters)]
        if wanted:
            self._client.subscribe(wanted)

    def _offer(self, message: Message) -> None:
        try:
            self._waiting.put_nowait(message)
        except Full:
            self.dropped += 1
