"""The network thread: connects and stays connected, offers what comes, writes what is to go out. It never decides.

Every connection has a client of its own and a number. Nothing that the world sends raises here; what does is a fault of
our own, kept for the owner. Of the owner it knows nothing: that side is `link.Link`.
"""

import logging
import os
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from traceback import walk_tb
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_ae.mqtt.connection import (
    Connection,
    Filters,
    Session,
    VersionChoice,
    connect_arguments,
    end_of_session,
    new_client,
)
from edge_ae.mqtt.inbox import Inbox, Message
from edge_ae.mqtt.options import LinkOptions
from edge_ae.mqtt.paho_client import PlainClient
from edge_ae.mqtt.publish_topic import response_topic_fault
from edge_ae.mqtt.retry import Ending, Retry

log = logging.getLogger(__name__)

CHUNK = 64  # messages read before the owner is woken and the socket is written to
HANDSHAKE_S = 10.0
STOP_S = 2.0
SESSION_TAKEN_OVER = 0x8E  # DISCONNECT's reason code (section 3.14.2.1 of the standard)


class Network:
    """Fields without an underscore are what both threads see; each is written by one of them.

    `filters`: the owner's, of all connections. `live`: the connection that the broker has accepted; `ready`: it is subscribed,
    too. `acked`: tokens of the QoS 1 publications that the broker has. `fault`: ours, which ended the thread. `writing`: held
    while packets are handed to the socket, or several are added that go together.
    """

    def __init__(self, options: LinkOptions, inbox: Inbox, counts: Counter[str]) -> None:
        """Raises BadConfig where certificates cannot be used."""
        self.inbox = inbox
        self.counts = counts
        self.protocol = VersionChoice(options.broker.protocol)
        self.filters: Filters = ()
        self.live: Connection | None = None
        self.ready: Session | None = None
        self.acked: deque[int] = deque()
        self.fault: BaseException | None = None
        self.writing = threading.Lock()
        self._options = options
        self._retry = Retry()
        self._logged = ""
        self._stopping = threading.Event()
        self._keep_session = True
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._woken = False
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        new_client(options, self.protocol.version, 0)  # certificates that cannot be read are found now

    # -- for the owner -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect and stay connected; `filters` stand already."""
        self._thread.start()

    def stop(self, keep_session: bool) -> None:
        """Publish the will, and wait for the thread's end."""
        self._keep_session = keep_session
        self._stopping.set()
        self.wake()
        self._thread.join(STOP_S + 1.0)

    def wake(self) -> None:
        """There is something to write."""
        if not self._woken:
            self._woken = True
            os.write(self._wake_w, b"x")

    def subscribe(self, connection: Connection) -> None:
        """To `filters`; called by the owner's thread, and by this one as a connection begins."""
        if self.filters:
            connection.unanswered.append(self.filters)
            connection.client.subscribe(list(self.filters))

    # -- one connection after the other --------------------------------------------------------------------

    def _run(self) -> None:
        number = 0
        try:
            while not self._stopping.is_set():
                number += 1
                connection = self._connection = Connection(number, self._new_client(number))
                why = self._converse(connection)
                if self._stopping.is_set():
                    break
                self._pause(connection, why)
        except BaseException as fault:  # ours: the owner raises it and ends the process
            self.fault = fault
            self.inbox.wake()

    def _new_client(self, number: int) -> PlainClient:
        client = new_client(self._options, self.protocol.version, number)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publication = self._on_publication
        client.on_refused = self._on_refused
        client.on_publish = self._on_publish
        client.on_socket_register_write = lambda *_: None  # so that `publish` leaves writing to this thread
        return client

    def _converse(self, connection: Connection) -> str:
        """Connect, and serve the connection until it ends. Returns why it ended."""
        client, where = connection.client, self._options.broker
        try:
            client.connect(**connect_arguments(self._options, self.protocol.version))
        except OSError as error:
            return f"the broker at {where} cannot be reached: {error.strerror or error}"
        deadline = time.monotonic() + HANDSHAKE_S
        while self._serve(client) and not (self._stopping.is_set() or connection.abandoned):
            if connection.accepted_s is None and (connection.refusal is not None or time.monotonic() > deadline):
                break
        self._close(client)
        if connection.accepted_s is not None:
            reason = "" if connection.ending is None else f": {connection.ending}"
            return f"the connection to the broker at {where} was lost{reason}"
        refusal = str(client.tls_fault) if client.tls_fault is not None else connection.refusal
        self.protocol.refused(refusal)
        silence = "no answer" if where.tls else "no answer; does it ask for TLS there?"
        return f"the broker at {where} refuses the connection: {refusal or silence}"

    def _pause(self, connection: Connection, why: str) -> None:
        """Log why the connection ended, and wait before the next one."""
        accepted_s = connection.accepted_s
        lasted_s = None if accepted_s is None else time.monotonic() - accepted_s
        wait_s = self._retry.ended(Ending(lasted_s, connection.taken_over))
        if not self._retry.rival:
            self._log_change(why)
        else:
            self.counts["session_taken_over"] += 1
            self._log_rival(certain=connection.taken_over is True)
        self._stopping.wait(wait_s)

    def _log_rival(self, certain: bool) -> None:
        if _is_logged(self._retry.rivalries):
            log.warning(
                '%sanother client uses the client id "%s" at the broker at %s, which ends our connection each time; '
                "give each device its own: set mqtt.client_id or node",
                "" if certain else "it seems that ",
                self._options.client_id,
                self._options.broker,
            )

    def _serve(self, client: PlainClient) -> bool:
        """Wait for something to do and do it; False once the connection is gone."""
        sock: Any = client.socket()
        if sock is None:
            return False
        buffered = client.has_unread
        writing = [sock] if client.want_write() else []
        readable, _, _ = select.select([sock, self._wake_r], writing, [], 0.0 if buffered else 1.0)
        if self._wake_r in readable:
            os.read(self._wake_r, 4096)
            # Before the queue is looked at, so that what is added from here on wakes this thread again.
            self._woken = False
        if (sock in readable or buffered) and not self._read(client):
            return False
        if client.want_write() and not self._write(client):
            return False
        return client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _write(self, client: PlainClient) -> bool:
        with self.writing:
            return client.loop_write() == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _read(self, client: mqtt.Client) -> bool:
        """Read until a packet was no message, which is so when the socket is empty, or a chunk is full."""
        result = MQTTErrorCode.MQTT_ERR_SUCCESS
        while result == MQTTErrorCode.MQTT_ERR_SUCCESS and self.inbox.chunk < CHUNK:
            before = self.inbox.chunk
            try:
                result = client.loop_read()
            except Exception as error:
                if _is_ours(error):
                    raise
                self.counts["bad_packet"] += 1  # paho cannot read it: what comes after it cannot be read either
                return False
            if self.inbox.chunk == before:
                break
        self.inbox.hand_over()
        return result == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _close(self, client: PlainClient) -> None:
        self.live = self.ready = None
        if self._stopping.is_set() and client.is_connected():
            self._leave(client)
        sock: Any = client.socket()
        if sock is not None:
            sock.close()
        self.inbox.wake()

    def _leave(self, client: PlainClient) -> None:
        """This thread published `online`, so it publishes `offline`, or what else is the will, whatever the owner knew of the connection."""
        connection, deadline = self._connection, time.monotonic() + STOP_S
        will = self._options.will_of(connection.number)
        connection.published += 1
        client.publish(will.topic, will.payload, 1, will.retain)
        if not self._keep_session and self.filters:  # the only way in 3.1.1; in 5, nothing that comes breaks the line
            connection.published += 1
            client.on_unsubscribe = self._on_unsubscribe
            client.unsubscribe([name for name, _ in self.filters])
        while connection.under_way > 0 and time.monotonic() < deadline and self._serve(client):
            pass
        forget = not self._keep_session and self.protocol.is_5
        client.disconnect(properties=end_of_session() if forget else None)
        while client.want_write() and time.monotonic() < deadline and client.socket() is not None:
            client.loop_write()
            time.sleep(0.001)

    def _log_change(self, text: str) -> None:
        """Changes of state only: a broker that is gone for a day is one line, not a thousand."""
        if text != self._logged:
            self._logged = text
            log.info("%s%s", self._options.label, text)

    # -- paho's callbacks ----------------------------------------------------------------------------------

    def _on_connect(
        self,
        client: mqtt.Client,
        _data: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        details: Properties | None,
    ) -> None:
        connection = self._connection
        if reason.is_failure:
            connection.refusal = str(reason)
            return
        connection.accepted_s, connection.present = time.monotonic(), flags.session_present
        connection.max_bytes = getattr(details, "MaximumPacketSize", None)
        self.protocol.accepted()
        if self._options.will is None:
            connection.published += 1
            client.publish(self._options.status_topic, b"online", 1, True)
        self.subscribe(connection)
        self.live = connection
        if not self.filters:
            self._open(connection)

    def _on_disconnect(
        self, _client: mqtt.Client, _data: Any, flags: mqtt.DisconnectFlags, reason: ReasonCode, _details: Any
    ) -> None:
        # paho 2.1 reads no reason from a packet that has nothing else, and gives 0, which no broker sends.
        if flags.is_disconnect_packet_from_server and reason.value != 0:
            self._connection.ending = str(reason)
            self._connection.taken_over = reason.value == SESSION_TAKEN_OVER

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, reasons: Sequence[ReasonCode], _details: Any
    ) -> None:
        filters = self._connection.unanswered.popleft() if self._connection.unanswered else ()
        for (name, _), reason in zip(filters, reasons, strict=False):
            if reason.is_failure:
                self.counts["subscription_refused"] += 1
                log.warning("the broker refuses the subscription to %s (%s); allow it in its ACL", name, reason)
        self._open(self._connection)
        self.inbox.wake()

    def _open(self, connection: Connection) -> None:
        if self.ready is not None:
            return
        version = "5" if self.protocol.is_5 else "3.1.1"
        self.ready = Session(connection.number, connection.present, version)
        kept = "session resumed" if connection.present else "new session"
        if _is_logged(self._retry.rivalries):
            self._log_change(f"connected to the broker at {self._options.broker}, MQTT {version}, {kept}")
        self.inbox.wake()

    def _on_publication(self, message: Message) -> None:
        response = message.response_topic
        if response is not None and response_topic_fault(response, self._options.branch) is not None:
            self.counts["bad_response_topic"] += 1
            message = message._replace(response_topic=None)
        if self.inbox.has_room(message.qos):
            self.inbox.put(message)
        else:
            self.counts["inbox_full"] += 1

    def _on_refused(self, reason: str) -> None:
        self.counts[reason] += 1

    def _on_publish(self, _client: mqtt.Client, _data: Any, mid: int, reason: ReasonCode, _details: Any) -> None:
        self._connection.finished += 1
        if reason.is_failure:
            self.counts["publish_refused"] += 1
            self._log_change(f"the broker refuses a publication: {reason}")
            return
        self.acked.append(self._connection.token(mid))
        self.inbox.wake()

    def _on_unsubscribe(self, *_: Any) -> None:
        self._connection.finished += 1


def _is_logged(times: int) -> bool:
    """Whether what happens again and again is logged this time: the first, the second, the fourth, the eighth..."""
    return times & (times - 1) == 0


def _is_ours(error: BaseException) -> bool:
    """Whether we raised it, in a callback or in what we override, and not paho over bytes that it cannot read."""
    frames = [frame.f_globals["__name__"] for frame, _ in walk_tb(error.__traceback__)]
    return frames[-1].startswith("edge_ae.") or frames.count(__name__) > 1  # the first is that of `_read` itself
