"""One connection to the broker: a client made ready for it, what is known of it, and what a message carries.

Of what is done with a connection it knows nothing.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_ae.mqtt.options import LinkOptions
from edge_ae.mqtt.paho_client import V5, V311, PlainClient, client_class
from edge_ae.mqtt.tls import context

CONNECT_TIMEOUT_S = 5.0
MAX_IN_FLIGHT = 2_000  # QoS 1 publications that paho lets wait for their confirmation
OVERHEAD_BYTES = 64  # what a PUBLISH of ours has beside topic, payload, correlation data and user properties, at most
SILENT_REFUSALS = 2  # handshakes broken off without an answer, until the other protocol version is tried

Filters = Sequence[tuple[str, int]]  # topic filter, QoS
UserProperties = Sequence[tuple[str, str]]  # name, value


@dataclass(frozen=True, slots=True)
class Session:
    """A connection that is ready. `present`: the broker had kept our session. `version`: "5" or "3.1.1"."""

    number: int
    present: bool
    version: str


class Connection:
    """One client, from its CONNECT to its end. The network thread writes it, but for what is the owner's."""

    def __init__(self, number: int, client: PlainClient) -> None:
        self.number = number
        self.client = client
        self.refusal: str | None = None  # the broker's reason not to accept us
        self.accepted_s: float | None = None
        self.present = False
        self.max_bytes: int | None = None  # of a packet, where the broker names a limit
        self.ending: str | None = None  # the reason to end the connection, the broker's or the owner's
        self.abandoned = False  # The owner's: the connection is to end, and another to be made.
        self.taken_over: bool | None = None  # by another client with our id; None: the broker gave no reason
        self.unanswered: deque[Filters] = deque()  # subscriptions; the owner adds, answers come in the same order
        self.published = 0  # the owner's, but for the connection's first and last message
        self.finished = 0  # of these

    def token(self, mid: int) -> int:
        """What stands for a publication of this connection, unique over all connections."""
        return self.number << 16 | mid

    def made(self, token: int) -> bool:
        """Whether a token is of this connection."""
        return token >> 16 == self.number

    @property
    def under_way(self) -> int:
        """Packets of ours that the broker has not confirmed yet."""
        return self.published - self.finished


class VersionChoice:
    """Which MQTT to speak. A broker without version 5 says so, or just hangs up: then 3.1.1 is tried, and then 5 again."""

    def __init__(self, protocol: str) -> None:
        self.version = V311 if protocol == "3.1.1" else V5
        self._known = protocol != "auto"
        self._silent_refusals = 0

    @property
    def is_5(self) -> bool:
        """Whether the version is 5."""
        return self.version is V5

    def accepted(self) -> None:
        """The broker speaks the version: it is not changed any more."""
        self._known = True

    def refused(self, refusal: str | None) -> None:
        """`refusal` None: the broker hung up without a word."""
        if self._known:
            return
        self._silent_refusals = self._silent_refusals + 1 if refusal is None else 0
        if self._silent_refusals >= SILENT_REFUSALS or (refusal is not None and "protocol" in refusal.lower()):
            self._silent_refusals = 0
            self.version = V311 if self.is_5 else V5


def new_client(options: LinkOptions, version: MQTTProtocolVersion, number: int) -> PlainClient:
    """A client that is ready to connect, for the connection of that number. Raises BadConfig where certificates cannot be used."""
    client = client_class()(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        protocol=version,
        manual_ack=True,
        reconnect_on_failure=False,
        clean_session=None if version is V5 else options.clean,
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.max_inflight_messages_set(MAX_IN_FLIGHT)
    broker = options.broker
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls:
        client.use_tls(context(broker.ca, broker.cert, broker.key))
    client.number = number
    will, delay = options.will_of(number), _properties(PacketTypes.WILLMESSAGE)
    delay.WillDelayInterval = will.delay_s
    client.will_set(will.topic, will.payload, 1, will.retain, delay if version is V5 else None)
    return client


def connect_arguments(options: LinkOptions, version: MQTTProtocolVersion) -> dict[str, Any]:
    """What `connect` is called with: whether the session is kept, and that what may be under way is bounded."""
    broker = options.broker
    arguments: dict[str, Any] = {"host": broker.host, "port": broker.port, "keepalive": options.keepalive_s}
    if version is not V5:
        return arguments
    properties = _properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 0 if options.clean else options.session_expiry_s
    properties.ReceiveMaximum = options.receive_maximum
    return arguments | {"clean_start": options.clean, "properties": properties}


def end_of_session() -> Any:
    """What a DISCONNECT carries after which the broker keeps nothing for us."""
    properties = _properties(PacketTypes.DISCONNECT)
    properties.SessionExpiryInterval = 0
    return properties


def publish_properties(expiry_s: int | None, correlation: bytes | None, user: UserProperties = ()) -> Any:
    """What a PUBLISH of ours carries beside topic and payload."""
    if correlation is None and not user:
        return _common_properties(expiry_s)
    properties = _common_properties.__wrapped__(expiry_s)  # what differs each time is kept in no cache
    if correlation is not None:
        properties.CorrelationData = correlation
    for pair in user:
        properties.UserProperty = pair  # paho adds it to those that are there
    return properties


@lru_cache(maxsize=64)
def _common_properties(expiry_s: int | None) -> Any:
    properties = _properties(PacketTypes.PUBLISH)
    properties.PayloadFormatIndicator = 1
    properties.ContentType = "application/json"
    properties.UserProperty = ("schema", "1")
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    return properties


def _properties(packet_type: int) -> Any:
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # paho leaves it untyped
