"""A full house: as many assets as a daemon takes, each with a message of all channels a second, and an alert every second."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.bench import latency
from tests.bench.footprint import MB, Light, Spent
from tests.bench.parts import Ear, Node, Publisher
from tests.bench.throughput import Scene


@dataclass(frozen=True)
class House:
    """What it costs, and the latency of its alerts in ms."""

    light: Light
    rss_mb: float
    ms: NDArray[np.float64]


def house(scene: Scene, name: str, assets: int, rows: int, hz: float = 1.0) -> House:
    """So many assets for so many rows each, after a warm-up as fast as it goes."""
    alerts, limits = {"flood_limit": latency.UNLIMITED}, {"assets": assets}
    node = Node(scene.folder, name, scene.port, scene.plant.model, alerts=alerts, limits=limits)
    what, first = latency.day(scene, node, rows, assets), latency.WARM_ROWS * assets + 1
    with Ear(scene.port, *node.says) as ear, node.run(ear) as process, Publisher(scene.port, what) as publisher:
        publisher.send(0, first)
        node.answered(ear, first - 1)
        before = Spent.of(process)
        publisher.send(first, what.count, assets * hz)
        spent = Spent.of(process).since(before)
        rss = process.memory_info().rss / MB
        node.answered(ear, what.count - 1)
        node.stats(ear, used=what.count - 2, scores_left_out=True)
        heard = list(ear.heard)
    return House(spent, rss, latency.latencies_ms(scene, what, heard, assets))
