"""Edge nodes are asked for their births, each once in a while."""

from functools import partial

from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.rebirths import PAUSE_NS, Rebirths
from edge_ae.errors import BadPayload
from edge_ae.mqtt.link import Link
from edge_ae.mqtt.options import Broker as BrokerOptions
from edge_ae.mqtt.options import LinkOptions
from tests.conftest import Broker, Subscriber, wait_for
from tests.core.formats.sparkplug_bytes import T_MS, metric, payload

TOPIC = "spBv1.0/plant/+/edge/{asset}"


def missed() -> Decoder:
    """A decoder that has seen data and no birth."""
    decoder = Decoder(Stream(TOPIC, "sparkplug"), None)
    try:
        decoder.decode("spBv1.0/plant/DDATA/edge/pump", payload(metric(alias=1, typed=False)), T_MS * 1_000_000)
    except BadPayload:
        return decoder
    raise AssertionError


def test_node_is_asked_at_once_and_again_only_after_the_pause() -> None:
    sent: list[str] = []

    def publish(topic: str, _payload: bytes) -> int:
        sent.append(topic)
        return len(sent)

    rebirths = Rebirths(publish)
    for now_ns in (0, SECOND, PAUSE_NS - 1, PAUSE_NS):
        rebirths.ask([missed(), missed()], now_ns)
    assert sent == ["spBv1.0/plant/NCMD/edge"] * 2


def test_request_that_could_not_be_sent_is_made_again() -> None:
    tries: list[str] = []

    def refuse(topic: str, _payload: bytes) -> None:
        tries.append(topic)

    rebirths = Rebirths(refuse)
    for now_ns in (0, SECOND):
        rebirths.ask([missed()], now_ns)
    assert len(tries) == 2


def test_request_on_the_wire_is_neither_retained_nor_called_json(broker: Broker) -> None:
    node = Subscriber(broker.port, "spBv1.0/plant/NCMD/edge", "edge")
    link = Link(
        LinkOptions(BrokerOptions("127.0.0.1", broker.port), client_id="host", status_topic="edge-ae/n1/status")
    )
    link.start([])
    wait_for(link.opened, "the connection")
    Rebirths(partial(link.publish, json=False)).ask([missed()], 0)
    request = wait_for(lambda: node.messages and node.messages[0], "the request")
    link.stop()
    node.close()
    assert (request.qos, request.retain, request.properties.json()) == (0, False, {})
