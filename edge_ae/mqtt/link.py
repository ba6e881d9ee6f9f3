"""The link to the broker: paho-mqtt on a thread of its own that only offers and never decides.

    broker ──► network thread ──► inbox ──► take()        the owner's thread
           ◄── network thread ◄── paho's queue ◄── publish(), ack()

Every connection has a client of its own and a number; what belongs to an earlier connection is void: its
acknowledgements are not sent, its unfinished publications are the outbox's affair. Knows nothing of what messages mean.
"""

import logging
import os
import random
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from edge_ae.mqtt.connection import (
    V5,
    V311,
    Client,
    Connection,
    Session,
    connect_arguments,
    end_of_session,
    new_client,
    publish_properties,
)
from edge_ae.mqtt.inbox import Inbox, Message
from edge_ae.mqtt.options import LinkOptions

__all__ = ["Link", "LinkOptions", "Message", "Session"]

log = logging.getLogger(__name__)

CHUNK = 64  # messages read before the owner is woken and the socket is written to
HANDSHAKE_S = 10.0
STOP_S = 2.0
RETRY_FIRST_S, RETRY_LONGEST_S = 0.25, 4.0  # a broker that is back is found within 5 s
MAX_OUTGOING = 2_000  # publications under way; a broker that does not read gets no more
SILENT_REFUSALS = 2  # handshakes broken off without an answer, until the other protocol version is tried


class Link:
    """The connection that is always being kept up. Methods are for one thread, its owner; `wake` is for any."""

    def __init__(self, options: LinkOptions, inbox_limit: int = 10_000) -> None:
        self.counts: Counter[str] = Counter()
        self._options = options
        self._version = V311 if options.broker.protocol == "3.1.1" else V5
        self._version_known = options.broker.protocol != "auto"
        self._silent_refusals = 0
        self._filters: tuple[tuple[str, int], ...] = ()
        self._inbox = Inbox(max(inbox_limit, 2 * options.receive_maximum))
        self._acked: deque[int] = deque()
        self._live: Connection | None = None  # accepted by the broker
        self._ready: Session | None = None  # and subscribed
        self._current: Connection | None = None  # the one that the owner publishes on
        self._said = ""
        self._fault: BaseException | None = None
        self._stopping = threading.Event()
        self._keep_session = True
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._woken = False
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        new_client(options, self._version)  # certificates that cannot be read are found now

    # -- for the owner -------------------------------------------------------------------------------------

    def start(self, filters: Sequence[tuple[str, int]]) -> None:
        """Connect and stay connected; `filters`: (topic filter, QoS), subscribed to on every connection."""
        self._filters = tuple(filters)
        self._thread.start()

    def resubscribe(self, filters: Sequence[tuple[str, int]]) -> None:
        """Subscribe to `filters` instead of those before; messages already here stay."""
        gone = {name for name, _ in self._filters} - {name for name, _ in filters}
        self._filters = tuple(filters)
        if self._live is None:
            return
        if gone:
            self._live.client.unsubscribe(sorted(gone))
        self._live.subscriptions += 1
        self._subscribe(self._live.client)
        self._wake_network()

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """End subscriptions that an earlier run has left in the broker's session."""
        if self._live is not None and filters:
            self._live.client.unsubscribe(list(filters))
            self._wake_network()

    def take(self, max_items: int, timeout_s: float) -> list[Message]:
        """The messages that are here, `max_items` and a chunk at most; waits for the first, or for `wake`."""
        if self._fault is not None:
            raise self._fault
        return self._inbox.take(max_items, timeout_s)

    def wake(self) -> None:
        """End the present or next wait of `take`; may be called by a signal handler."""
        self._inbox.wake()

    def opened(self) -> Session | None:
        """The connection that has become ready since the last call; what is published from now on goes there."""
        session, live = self._ready, self._live
        if session is None or live is None or session.number != live.number or live is self._current:
            return None
        self._current = live
        return session

    @property
    def connected(self) -> bool:
        """Whether what is published now can reach the broker."""
        return self._current is not None and self._current is self._live

    @property
    def subscribed(self) -> bool:
        """Whether the broker has answered all that was subscribed to."""
        live = self._live
        return live is not None and live.subscribed >= live.subscriptions

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        *,
        expiry_s: int | None = None,
        correlation: bytes | None = None,
    ) -> int | None:
        """Hand a message to the network thread. Returns what `acked` will give once it has arrived; None: not sent."""
        connection = self._current
        if connection is None or connection is not self._live:
            return None
        if connection.published - connection.finished >= MAX_OUTGOING:
            self.counts["outgoing_full"] += 1
            return None
        properties = publish_properties(expiry_s, correlation) if self._version is V5 else None
        info = connection.client.publish(topic, payload, qos, retain, properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return None
        connection.published += 1
        self._wake_network()
        return connection.number << 16 | info.mid

    def acked(self) -> list[int]:
        """What the broker has confirmed of QoS 1 since the last call, as `publish` named it."""
        tokens = [self._acked.popleft() for _ in range(len(self._acked))]
        number = 0 if self._current is None else self._current.number
        return [token for token in tokens if token >> 16 == number]

    def ack(self, messages: Iterable[tuple[int, int]]) -> None:
        """Acknowledge input, given as (connection, mid); what came over an earlier connection will come again."""
        live = self._live
        if live is None:
            return
        for connection, mid in messages:
            if connection == live.number:
                live.client.ack(mid, 1)
        self._wake_network()

    def stop(self, *, keep_session: bool = True) -> None:
        """Send what is under way, say `offline` and disconnect. The broker keeps input for us, or forgets us."""
        self._keep_session = keep_session
        self._stopping.set()
        self._inbox.close()
        self._wake_network()
        self._thread.join(STOP_S + 1.0)

    # -- for the network thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        failures = number = 0
        try:
            while not self._stopping.is_set():
                number += 1
                connection = Connection(number, self._new_client(number))
                why = self._converse(connection)
                failures = 0 if connection.accepted else failures + 1
                if self._stopping.is_set():
                    break
                self._say(why)
                self._stopping.wait(_retry_s(failures))
        except BaseException as fault:  # ours: the owner raises it and ends the process
            self._fault = fault
            self.wake()

    def _new_client(self, number: int) -> Client:
        client = new_client(self._options, self._version)
        client.user_data_set(number)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_plain = self._offer
        client.on_publish = self._on_publish
        client.on_socket_register_write = lambda *_: None  # so that `publish` leaves writing to this thread
        return client

    def _converse(self, connection: Connection) -> str:
        """Connect, and serve the connection until it ends. Returns why it ended."""
        client, where = connection.client, self._options.broker
        self._connection = connection
        try:
            client.connect(**connect_arguments(self._options, self._version))
        except OSError as error:
            return f"the broker at {where} cannot be reached: {error.strerror or error}"
        deadline = time.monotonic() + HANDSHAKE_S
        while self._serve(client) and not self._stopping.is_set():
            if not connection.accepted and (connection.refusal is not None or time.monotonic() > deadline):
                break
        self._close(client)
        if connection.accepted:
            return f"the connection to the broker at {where} was lost"
        self._consider_version(connection.refusal)
        silence = "no answer" if self._options.broker.tls else "no answer; does it ask for TLS there?"
        return f"the broker at {where} refuses the connection: {connection.refusal or silence}"

    def _serve(self, client: Client) -> bool:
        """Wait for something to do and do it; False once the connection is gone."""
        sock: Any = client.socket()
        if sock is None:
            return False
        buffered = client.has_unread
        writing = [sock] if client.want_write() else []
        readable, _, _ = select.select([sock, self._wake_r], writing, [], 0.0 if buffered else 1.0)
        if self._wake_r in readable:
            os.read(self._wake_r, 4096)
            self._woken = False  # before looking at the queue: who writes to it from here on wakes us again
        if (sock in readable or buffered) and not self._read(client):
            return False
        if client.want_write() and client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        return client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _read(self, client: mqtt.Client) -> bool:
        """Read until a packet was no message, which is so when the socket is empty, or a chunk is full."""
        result = MQTTErrorCode.MQTT_ERR_SUCCESS
        while result == MQTTErrorCode.MQTT_ERR_SUCCESS and self._inbox.chunk < CHUNK:
            before = self._inbox.chunk
            result = client.loop_read()
            if self._inbox.chunk == before:
                break
        self._inbox.hand_over()
        return result == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _close(self, client: Client) -> None:
        self._live = self._ready = None
        if self._stopping.is_set() and client.is_connected():
            self._leave(client)
        sock: Any = client.socket()
        if sock is not None:
            sock.close()
        self.wake()

    def _leave(self, client: Client) -> None:
        """This thread said `online`, so it says `offline`: whatever the owner knew of the connection."""
        connection, deadline = self._connection, time.monotonic() + STOP_S
        connection.published += 1
        client.publish(self._options.status_topic, b"offline", 1, True)
        if not self._keep_session and self._filters:  # the only way in 3.1.1; in 5, nothing that comes breaks the line
            connection.published += 1
            client.on_unsubscribe = self._on_unsubscribe
            client.unsubscribe([name for name, _ in self._filters])
        while connection.finished < connection.published and time.monotonic() < deadline and self._serve(client):
            pass
        client.disconnect(properties=None if self._keep_session or self._version is not V5 else end_of_session())
        while client.want_write() and time.monotonic() < deadline and client.socket() is not None:
            client.loop_write()
            time.sleep(0.001)

    def _consider_version(self, refusal: str | None) -> None:
        """A broker without MQTT 5 says so, or just hangs up: then 3.1.1 is tried, and 5 again if that fails too."""
        if self._version_known:
            return
        self._silent_refusals = self._silent_refusals + 1 if refusal is None else 0
        if self._silent_refusals >= SILENT_REFUSALS or (refusal is not None and "protocol" in refusal.lower()):
            self._silent_refusals = 0
            self._version = V311 if self._version is V5 else V5

    # -- paho's callbacks, on the network thread -----------------------------------------------------------

    def _on_connect(
        self, client: mqtt.Client, _number: int, flags: mqtt.ConnectFlags, reason: ReasonCode, _details: Any
    ) -> None:
        connection = self._connection
        if reason.is_failure:
            connection.refusal = str(reason)
            return
        connection.accepted, connection.present = True, flags.session_present
        self._version_known = True
        connection.subscriptions = 1 if self._filters else 0
        self._live = connection
        connection.published += 1
        client.publish(self._options.status_topic, b"online", 1, True)
        self._subscribe(client)
        if not self._filters:
            self._open(connection)

    def _subscribe(self, client: mqtt.Client) -> None:
        if self._filters:
            client.subscribe(list(self._filters))

    def _on_subscribe(
        self, _client: mqtt.Client, _number: int, _mid: int, reasons: list[ReasonCode], _details: Any
    ) -> None:
        for (name, _), reason in zip(self._filters, reasons, strict=False):
            if reason.is_failure:
                self.counts["subscription_refused"] += 1
                log.warning("the broker refuses the subscription to %s: %s", name, reason)
        self._connection.subscribed += 1
        self._open(self._connection)
        self.wake()

    def _open(self, connection: Connection) -> None:
        if self._ready is not None:
            return
        version = "5" if self._version is V5 else "3.1.1"
        self._ready = Session(connection.number, connection.present, version)
        kept = "session resumed" if connection.present else "new session"
        self._say(f"connected to the broker at {self._options.broker}, MQTT {version}, {kept}")
        self.wake()

    def _on_message(self, _client: mqtt.Client, _number: int, message: mqtt.MQTTMessage) -> None:
        """A message with properties: a command may say where its answer goes."""
        response = getattr(message.properties, "ResponseTopic", None)
        correlation = None if response is None else getattr(message.properties, "CorrelationData", None)
        try:
            topic = message.topic.encode()
        except UnicodeDecodeError:
            self.counts["bad_topic"] += 1
            return
        flags = message.qos, message.mid, message.dup, message.retain
        self._offer(topic, bytes(message.payload), *flags, response, correlation)

    def _offer(
        self,
        topic: bytes,
        payload: bytes,
        qos: int,
        mid: int,
        dup: bool,
        retain: bool,
        response: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        if not self._inbox.has_room(qos):
            self.counts["inbox_full"] += 1
            return
        try:
            name = topic.decode()
        except UnicodeDecodeError:
            self.counts["bad_topic"] += 1
            return
        number = self._connection.number
        self._inbox.put(Message(time.time_ns(), name, payload, qos, mid, dup, number, retain, response, correlation))

    def _on_publish(self, _client: mqtt.Client, number: int, mid: int, reason: ReasonCode, _details: Any) -> None:
        self._connection.finished += 1
        if reason.is_failure:
            self.counts["publish_refused"] += 1
            self._say(f"the broker refuses a publication: {reason}")
            return
        self._acked.append(number << 16 | mid)
        self.wake()

    def _on_unsubscribe(self, *_: Any) -> None:
        self._connection.finished += 1

    # -- for both ------------------------------------------------------------------------------------------

    def _wake_network(self) -> None:
        if not self._woken:
            self._woken = True
            os.write(self._wake_w, b"x")

    def _say(self, text: str) -> None:
        """Changes of state only: a broker that is gone for a day is one line, not a thousand."""
        if text != self._said:
            self._said = text
            log.info(text)


def _retry_s(failures: int) -> float:
    """Exponential, with jitter, so that a plant's devices do not all come back in the same instant."""
    return min(RETRY_FIRST_S * 2.0 ** min(failures, 10), RETRY_LONGEST_S) * random.uniform(0.5, 1.0)
