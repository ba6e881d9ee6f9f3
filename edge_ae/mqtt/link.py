"""The link to the broker: paho-mqtt on a thread of its own that only offers and never decides.

    broker ──► network thread ──► inbox ──► take()        the owner's thread
           ◄── network thread ◄── paho's queue ◄── publish(), ack()

What belongs to an earlier connection is void: its acknowledgements are not sent, its unfinished publications are the
outbox's affair. Knows nothing of what messages mean. Nothing that the world sends raises here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from paho.mqtt.enums import MQTTErrorCode

from edge_ae.mqtt.connection import OVERHEAD_BYTES, Connection, Filters, Session, UserProperties, publish_properties
from edge_ae.mqtt.inbox import Inbox, Message
from edge_ae.mqtt.network import Network
from edge_ae.mqtt.options import LinkOptions
from edge_ae.mqtt.publish_topic import topic_name_fault

__all__ = ["Link", "LinkOptions", "Message", "Session"]

PAIR_BYTES = 5  # what a user property has beside its name and value
ACKS_AT_ONCE = 1_000  # of tens of thousands that may come together, none of which is kept as an object for long
MAX_OUTGOING = 2_000  # publications under way; a broker that does not read gets no more


class Link:
    """The connection that is always being kept up. Methods are for one thread, its owner; `wake` is for any.

    `counts`: what did not arrive, was not sent, or was refused, by reason.
    """

    def __init__(self, options: LinkOptions, inbox_limit: int = 10_000) -> None:
        """Raises BadConfig where certificates cannot be used."""
        self.counts: Counter[str] = Counter()
        self._inbox = Inbox(inbox_limit)
        self._network = Network(options, self._inbox, self.counts)
        self._current: Connection | None = None  # the one that is published on

    # -- the connection ------------------------------------------------------------------------------------

    def start(self, filters: Filters) -> None:
        """Connect and stay connected; `filters`: (topic filter, QoS), subscribed to on every connection."""
        self._network.filters = tuple(filters)
        self._network.start()

    def stop(self, *, keep_session: bool = True) -> None:
        """Send what is under way, publish `offline` and disconnect. The broker keeps input for us, or forgets us."""
        self._inbox.close()
        self._network.stop(keep_session)

    def reconnect(self) -> None:
        """End the present connection and make another: the broker delivers again what was not acknowledged."""
        live = self._network.live
        if live is not None:
            live.ending, live.abandoned = "it is made anew", True
            self._network.wake()

    def opened(self) -> Session | None:
        """The connection that has become ready since the last call; what is published from now on goes there."""
        session, live = self._network.ready, self._network.live
        if session is None or live is None or session.number != live.number or live is self._current:
            return None
        self._current = live
        return session

    @property
    def connected(self) -> bool:
        """Whether what is published now can reach the broker."""
        return self._current is not None and self._current is self._network.live

    # -- subscriptions --------------------------------------------------------------------------------------

    @property
    def subscribed(self) -> bool:
        """Whether the broker has answered all that was subscribed to."""
        live = self._network.live
        return live is not None and not live.unanswered

    def resubscribe(self, filters: Filters) -> None:
        """Subscribe to `filters` instead of those before; messages already here stay."""
        gone = {name for name, _ in self._network.filters} - {name for name, _ in filters}
        self._network.filters = tuple(filters)
        live = self._network.live
        if live is not None:
            self.unsubscribe(gone)
            self._network.subscribe(live)
            self._network.wake()

    def unsubscribe(self, filters: Iterable[str]) -> bool:
        """Give up filters that the broker still has from before, such as those of an earlier run.

        Those that are subscribed to now stay. False: there is no connection to do it on.
        """
        live, kept = self._network.live, {name for name, _ in self._network.filters}
        if live is None:
            return False
        gone = sorted(set(filters) - kept)
        if gone:
            live.client.unsubscribe(gone)
            self._network.wake()
        return True

    # -- messages -------------------------------------------------------------------------------------------

    def take(self, max_items: int, timeout_s: float) -> list[Message]:
        """The messages that are here, `max_items` and a chunk at most; waits for the first, or for `wake`."""
        if self._network.fault is not None:
            raise self._network.fault
        return self._inbox.take(max_items, timeout_s)

    @property
    def waiting(self) -> int:
        """Messages that came and were not yet taken."""
        return self._inbox.waiting

    def wake(self) -> None:
        """End the present or next wait of `take`; may be called by a signal handler."""
        self._inbox.wake()

    def ack(self, messages: Iterable[tuple[int, int]]) -> None:
        """Acknowledge input, given as (connection, mid); what came over an earlier connection will come again."""
        live = self._network.live
        if live is None:
            return
        mids = (mid for connection, mid in messages if connection == live.number)
        while some := list(islice(mids, ACKS_AT_ONCE)):
            with self._network.writing:
                live.client.acknowledge(some)
        self._network.wake()

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        *,
        expiry_s: int | None = None,
        correlation: bytes | None = None,
        user: UserProperties = (),
        json: bool = True,
    ) -> int | None:
        """Hand a message to the network thread; `user`: properties of it, with MQTT 5; `json`: it says that it is JSON.

        Returns what `acked` will give once it has arrived; None: not sent.
        """
        connection = self._current
        if connection is None or connection is not self._network.live:
            return None
        beside = len(correlation or b"") + sum(PAIR_BYTES + len((name + value).encode()) for name, value in user)
        refusal = _why_not_sent(connection, topic, len(payload) + beside)
        if refusal is not None:
            self.counts[refusal] += 1
            return None
        properties = publish_properties(expiry_s, correlation, user) if json and self._network.protocol.is_5 else None
        info = connection.client.publish(topic, payload, qos, retain, properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return None
        connection.published += 1
        self._network.wake()
        return connection.token(info.mid)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is published inside goes to the broker in one piece: a process that is killed has sent all of it, or nothing."""
        with self._network.writing:
            yield

    def acked(self) -> list[int]:
        """What the broker has confirmed of QoS 1 since the last call, as `publish` named it."""
        arrived, current = self._network.acked, self._current
        tokens = [arrived.popleft() for _ in range(len(arrived))]
        return [token for token in tokens if current is not None and current.made(token)]


def _why_not_sent(connection: Connection, topic: str, size: int) -> str | None:
    """The name of the counter, where paho would raise or the broker end the connection."""
    if connection.under_way >= MAX_OUTGOING:
        return "outgoing_full"
    if topic_name_fault(topic) is not None:
        return "bad_outgoing_topic"
    longest = connection.max_bytes
    too_large = longest is not None and len(topic.encode()) + size + OVERHEAD_BYTES > longest
    return "outgoing_too_large" if too_large else None
