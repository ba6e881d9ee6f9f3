"""Arrival to alert: from publishing the message that closes the raising row, to the event at another subscriber.

A thousand messages a second, of a hundred assets; each in turn, again and again, leaves normal for some rows. Which
message raised an alert follows from the alert itself: it is the asset's next after the row of `ts_raised`.
"""

from collections.abc import Iterator

import numpy as np
import orjson
from edge_ae_train.synthetic.simulator import DEFAULT_START_NS
from numpy.typing import NDArray

from edge_ae.core.timestamps import parse_time_ns
from tests.bench import packets
from tests.bench.packets import Packets
from tests.bench.parts import Ear, Node, Publisher
from tests.bench.throughput import Scene

RATE = 1000  # messages a second
ASSETS = 100
WARM_ROWS = 40  # of each asset: more than a window
FAULT_EACH_ROWS = 100
FAULT_ROWS = 5
FAULT_FACTOR = 1.5  # of every value: far from normal
UNLIMITED = 1_000_000  # every alert is told by itself
MS = 1e6


def arrival_to_alert(scene: Scene, name: str, rows: int) -> NDArray[np.float64]:
    """The latency of every alert in ms, in `rows` of each asset after a warm-up."""
    node = Node(scene.folder, name, scene.port, scene.plant.model, alerts={"flood_limit": UNLIMITED})
    what, first = day(scene, node, rows, ASSETS), WARM_ROWS * ASSETS + 1
    with Ear(scene.port, *node.says) as ear, node.run(ear), Publisher(scene.port, what) as publisher:
        publisher.send(0, first)
        node.answered(ear, first - 1)
        publisher.send(first, what.count, RATE)
        node.answered(ear, what.count - 1)
        node.stats(ear, used=what.count - 2)
        heard = list(ear.heard)
    return latencies_ms(scene, what, heard, ASSETS)


def latencies_ms(scene: Scene, what: Packets, heard: list[tuple[int, str, bytes]], assets: int) -> NDArray[np.float64]:
    """Of every new alert that was heard, from the message that raised it."""
    sent, first = np.load(packets.sent_of(what.path)), WARM_ROWS * assets + 1
    return np.array([(at_ns - sent[number - first]) / MS for at_ns, number in raised(scene, heard, assets)])


def day(scene: Scene, node: Node, rows: int, assets: int) -> Packets:
    """The rows of all assets in turn; a probe after the warm-up, and one at the end."""
    made: list[bytes] = []
    times = scene.plant.times(WARM_ROWS + rows)
    for row, (t_ns, values) in enumerate(zip(times, scene.plant.rows(len(times)), strict=True)):
        if row == WARM_ROWS:
            made.append(node.probe("pump-0", len(made), 1))
        normal, faulty = (packets.payload(scene.plant.names, t_ns, values * f) for f in (1.0, FAULT_FACTOR))
        for asset in range(assets):
            said = faulty if is_faulty(row, asset, assets) else normal
            made.append(packets.publish(node.topic(f"pump-{asset}"), said, 1, len(made)))
    made.append(node.probe("pump-0", len(made), 1))
    return packets.write(scene.folder / f"{node.name}.packets", made)


def is_faulty(row: int, asset: int, assets: int) -> bool:
    """Never more than a few at a time, however many there are."""
    every = max(FAULT_EACH_ROWS, assets)
    return row > WARM_ROWS and (row + asset * every // assets) % every < FAULT_ROWS


def raised(scene: Scene, heard: list[tuple[int, str, bytes]], assets: int) -> Iterator[tuple[int, int]]:
    """When each new alert was heard, and the number of the message that raised it."""
    for at_ns, topic, payload in heard:
        if topic.endswith("/event") and (event := orjson.loads(payload))["type"] == "new":
            row = round((parse_time_ns(event["ts_raised"]) - DEFAULT_START_NS) / scene.plant.period_ns)
            asset = int(event["asset"].removeprefix("pump-"))
            yield at_ns, (row + 1) * assets + asset + 1  # one for the probe
