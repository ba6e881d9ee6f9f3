"""A client of paho's, made ready for one connection: who we are, the will, certificates, and what a message carries.

Knows paho and the options; of what is done with a connection it knows nothing.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_ae.mqtt.options import Broker, LinkOptions
from edge_ae.mqtt.tls import TlsClient, context

READ_BYTES = 64 * 1024  # from the socket at once
CONNECT_TIMEOUT_S = 5.0
WILL_DELAY_S = 10  # a restart shorter than this goes unseen
V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
MAX_IN_FLIGHT = 2_000  # QoS 1 publications that paho lets wait for their confirmation


OnPlain = Callable[[bytes, bytes, int, int, bool, bool], None]  # topic, payload, QoS, packet id, DUP, RETAIN


class Client(TlsClient):
    """paho reads a packet's first bytes one by one, a system call each, and makes a dozen objects of each message.

    Here bytes come from memory, and a message of QoS 0 or 1 without properties goes straight to `on_plain`: half of
    paho's price. Both names overridden are paho's own: should a later version call them otherwise, it works as ever.
    """

    on_plain: OnPlain | None = None
    unread = b""
    position = 0

    def _sock_recv(self, bufsize: int) -> bytes:
        if self.position >= len(self.unread):
            self.unread, self.position = super()._sock_recv(READ_BYTES), 0
        start = self.position
        self.position = min(start + bufsize, len(self.unread))
        return self.unread[start : self.position]

    def _handle_publish(self) -> MQTTErrorCode:
        command, packet = self._in_packet["command"], self._in_packet["packet"]
        qos = command >> 1 & 3
        topic_end = 2 + int.from_bytes(packet[:2])
        start = topic_end + 2 * qos
        if self._protocol is V5:
            start += 1
        if self.on_plain is None or qos > 1 or start > len(packet) or (self._protocol is V5 and packet[start - 1] != 0):
            return super()._handle_publish()
        mid = int.from_bytes(packet[topic_end : topic_end + 2]) if qos == 1 else 0
        self.on_plain(bytes(packet[2:topic_end]), bytes(packet[start:]), qos, mid, command & 8 > 0, command & 1 > 0)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    @property
    def has_unread(self) -> bool:
        sock: Any = self.socket()
        return self.position < len(self.unread) or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)


@dataclass(frozen=True, slots=True)
class Session:
    """A connection that is ready: `present` tells whether the broker knew us, `version` is "5" or "3.1.1"."""

    number: int
    present: bool
    version: str


class Connection:
    """One client, from its CONNECT to its end."""

    def __init__(self, number: int, client: Client) -> None:
        self.number = number
        self.client = client
        self.present = False
        self.refusal: str | None = None
        self.accepted = False
        self.subscriptions = 0  # written by the owner's thread, by the other one only as it comes and goes,
        self.published = 0  # likewise
        self.subscribed = 0  # written by the network thread only
        self.finished = 0  # written by the network thread only


def new_client(options: LinkOptions, version: MQTTProtocolVersion) -> Client:
    """Raises BadConfig where certificates cannot be used."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        protocol=version,
        manual_ack=True,
        reconnect_on_failure=False,
        clean_session=None if version is V5 else False,
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.max_inflight_messages_set(MAX_IN_FLIGHT)
    _secure(client, options.broker)
    will = _properties(PacketTypes.WILLMESSAGE)
    will.WillDelayInterval = WILL_DELAY_S
    client.will_set(options.status_topic, b"offline", 1, True, will if version is V5 else None)
    return client


def _secure(client: Client, broker: Broker) -> None:
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls:
        client.tls_set_context(context(broker.ca, broker.cert, broker.key))


def connect_arguments(options: LinkOptions, version: MQTTProtocolVersion) -> dict[str, Any]:
    """What `Client.connect` is called with: the session is kept, and what may be under way is bounded."""
    broker = options.broker
    arguments: dict[str, Any] = {"host": broker.host, "port": broker.port, "keepalive": options.keepalive_s}
    if version is not V5:
        return arguments
    properties = _properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = options.session_expiry_s
    properties.ReceiveMaximum = options.receive_maximum
    return arguments | {"clean_start": False, "properties": properties}


def end_of_session() -> Any:
    """What a DISCONNECT carries after which the broker keeps nothing for us."""
    properties = _properties(PacketTypes.DISCONNECT)
    properties.SessionExpiryInterval = 0
    return properties


@lru_cache(maxsize=64)
def publish_properties(expiry_s: int | None, correlation: bytes | None) -> Any:
    properties = _properties(PacketTypes.PUBLISH)
    properties.PayloadFormatIndicator = 1
    properties.ContentType = "application/json"
    properties.UserProperty = ("schema", "1")
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if correlation is not None:
        properties.CorrelationData = correlation
    return properties


def _properties(packet_type: int) -> Any:
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # paho leaves it untyped
