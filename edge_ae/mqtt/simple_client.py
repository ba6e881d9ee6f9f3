"""A connection for tools that people run and end: clean session, no will, MQTT 5 and else 3.1.1.

The daemon's connection is `link.Link`; this one may simply fail, with one sentence.
"""

import threading
from collections.abc import Callable, Sequence

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from edge_ae.errors import BadConfig
from edge_ae.mqtt.options import Broker
from edge_ae.mqtt.paho_client import V5, V311, PlainClient
from edge_ae.mqtt.tls import TlsFault, context

Offer = Callable[[str, bytes], None]

HANDSHAKE_S = 5.0
VERSIONS = {"auto": (V5, V311), "5": (V5,), "3.1.1": (V311,)}
OTHER_VERSION = "it does not speak this version of MQTT"
HUNG_UP = "it hangs up without a word; does it ask for tls there, or for another version of MQTT?"


def connect(broker: Broker, filters: Sequence[str] = (), offer: Offer = lambda _topic, _payload: None) -> PlainClient:
    """A connected client with its thread running, which comes back by itself. Raises BadConfig with one sentence.

    `offer` is called on that thread with each message that `filters` bring.
    """
    refusal = ""
    for version in VERSIONS[broker.protocol]:
        client = _client(broker, version)
        refusal = _handshake(client, broker, filters, offer)
        if refusal == "":
            return client
        client.loop_stop()
        if refusal not in (OTHER_VERSION, HUNG_UP):
            break
    raise BadConfig(f"mqtt: the broker at {broker} refused: {refusal}")


def close(client: mqtt.Client) -> None:
    """Disconnect, and end the client's thread."""
    client.disconnect()
    client.loop_stop()


def _client(broker: Broker, version: MQTTProtocolVersion) -> PlainClient:
    client = PlainClient(CallbackAPIVersion.VERSION2, protocol=version)
    client.max_inflight_messages_set(100)
    client.connect_timeout = HANDSHAKE_S
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls:
        client.use_tls(context(broker.ca, broker.cert, broker.key))
    return client


def _handshake(client: PlainClient, broker: Broker, filters: Sequence[str], offer: Offer) -> str:
    """Connects and subscribes. Returns why not; empty: all is well."""
    answered = threading.Event()
    refusals = [HUNG_UP]

    def on_connect(_c: mqtt.Client, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        if filters and not reason.is_failure:
            client.subscribe([(name, 1) for name in filters])
            return
        refusals[0] = _refusal(reason) if reason.is_failure else ""
        answered.set()

    def on_subscribe(_c: mqtt.Client, _u: object, _mid: int, reasons: Sequence[ReasonCode], _p: object) -> None:
        refused = [name for name, reason in zip(filters, reasons, strict=False) if reason.is_failure]
        refusals[0] = f"we may not read {', '.join(refused)}; allow it in its ACL" if refused else ""
        answered.set()

    client.on_connect, client.on_subscribe = on_connect, on_subscribe
    client.on_connect_fail = client.on_disconnect = lambda *_: answered.set()
    client.on_publication = lambda message: offer(message.topic, message.payload)
    try:
        client.connect(broker.host, broker.port)
    except OSError as error:
        fix = "" if isinstance(error, TlsFault) else "; is it running, and are host, port and tls right?"
        raise BadConfig(f"mqtt: the broker at {broker} cannot be reached: {error.strerror or error}{fix}") from None
    client.loop_start()
    if not answered.wait(HANDSHAKE_S):
        return "it does not answer as an MQTT broker does"
    return str(client.tls_fault) if client.tls_fault is not None else refusals[0]


def _refusal(reason: ReasonCode) -> str:
    return OTHER_VERSION if "protocol version" in str(reason).lower() else f"{reason}; check username and password_file"
