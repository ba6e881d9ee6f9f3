"""What a row costs from its payload to its verdict, in one process without a broker: with one asset, and with many."""

import time
from itertools import islice
from statistics import median

from edge_ae.core.detector import Watch
from edge_ae.core.fleet import Fleet
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.ingest import Feed, Ingest, SameWatch
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.mqtt.link import Message
from tests.bench.plant import Plant

FEW, MANY = 1, 1000  # assets
SHORT, LONG = 16, 64  # rows of a window
FAMILY = "cva"  # of windows that are compared: quickly trained
TURN = 64  # messages in a turn of the loop
WEEK_NS = 7 * 86_400 * SECOND


def row_us(plant: Plant, assets: int, rows: int) -> float:
    """Processor time of a row, the median of ten parts of `rows` rows of all assets together, once their windows are full."""
    model = OnnxModel.load(plant.model)
    watch = Watch(model, AlertRules(WEEK_NS))
    fleet = Fleet("n1", assets)
    ingest = Ingest(
        [Feed(Decoder(Stream("plant/{asset}", time="ts"), model.spec.names), SameWatch(watch))], fleet, "own/"
    )
    warm, each = (model.spec.length + 1) * assets, max(rows // 10, TURN)
    arrival_ns = plant.times(1)[0] + WEEK_NS * 52
    payloads = plant.payloads_of(assets, -(-(warm + 10 * each) // assets))
    messages = (Message(arrival_ns, f"plant/pump-{n}", payload, 0, 0, False, 1) for n, payload in payloads)
    _take(ingest, fleet, list(islice(messages, warm)))
    return median(_take(ingest, fleet, list(islice(messages, each))) for _ in range(10)) / each


def _take(ingest: Ingest, fleet: Fleet, messages: list[Message]) -> float:
    begun = time.process_time()
    for first in range(0, len(messages), TURN):
        for message in messages[first : first + TURN]:
            ingest.take(message)
        fleet.step()
    return (time.process_time() - begun) * 1e6
