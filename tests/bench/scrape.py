"""How long a scrape of the metrics takes: of a daemon that watches, beside a server whose registry is empty."""

import time
import urllib.request
from statistics import median

from prometheus_client import CollectorRegistry, make_wsgi_app

from edge_ae.bridges.metrics_server import MetricsServer
from tests.bench import packets
from tests.bench.parts import Ear, Node, Publisher
from tests.bench.throughput import Scene
from tests.conftest import free_port, wait_for

ASSETS = 50
SCRAPES = 50
LENGTH = 64  # rows that fill a window, and more


def page_ms(scene: Scene, name: str) -> float:
    """Of a daemon that has scored windows of all its assets."""
    port = free_port()
    node = Node(scene.folder, name, scene.port, scene.plant.model, metrics={"port": port})
    payloads = scene.plant.payloads(LENGTH)
    made = [
        packets.publish(node.topic(f"pump-{asset}"), payload, 1, number)
        for number, (payload, asset) in enumerate((payload, asset) for payload in payloads for asset in range(ASSETS))
    ]
    what = packets.write(scene.folder / f"{name}.packets", made)
    with Ear(scene.port, *node.says) as ear, node.run(ear), Publisher(scene.port, what) as publisher:
        publisher.send(0, what.count)
        node.stats(ear, used=what.count)
        wait_for(lambda: scraped(port).count(b"\nedge_ae_score{") == ASSETS, "the assets on the page")
        return typical_ms(port)


def empty_ms() -> float:
    """Of the same server with nothing on its page."""
    server = MetricsServer("127.0.0.1", free_port(), make_wsgi_app(CollectorRegistry()))
    found = typical_ms(server.port)
    server.close()
    return found


def typical_ms(port: int) -> float:
    taken = []
    for _ in range(SCRAPES):
        began = time.perf_counter()
        scraped(port)
        taken.append(time.perf_counter() - began)
    return 1000 * median(taken)


def scraped(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return bytes(answer.read())
