"""A daemon with a model whose score is the largest absolute value of the newest row: what comes out can be worked out by hand.

python node_process.py '{"port": 1883, "state_dir": "/tmp/x"}'
"""

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_ae.bridges.homeassistant import HomeAssistant
from edge_ae.bridges.thin_edge import ThinEdge
from edge_ae.core.detector import Watch
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.model_spec import Channel, Explanation, Floats, ModelSpec, Tail
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.bridge import Bridge
from edge_ae.daemon.ingest import Feed, SameWatch
from edge_ae.daemon.loop import Daemon
from edge_ae.daemon.options import DaemonOptions
from edge_ae.errors import BadConfig
from edge_ae.mqtt.link import Link
from edge_ae.mqtt.options import Broker, LinkOptions
from edge_ae.store.node_store import FILE, NodeStore

PERIOD_NS = SECOND // 10
BOUNDARY = 10.0


class PeakModel:
    """Score = max |newest row|; everything above 10 is an alert."""

    def __init__(self, sha256: str = "0" * 64) -> None:
        self.spec = ModelSpec(
            name="peak",
            sha256=sha256,
            family="test",
            channels=(Channel("a", "bar"), Channel("b")),
            period_ns=PERIOD_NS,
            length=4,
            hop=1,
            tail=Tail(level=BOUNDARY, scale=1e-9, shape=0.0, rate=1.0),
            typical=1.0,
        )

    def score(self, windows: Floats) -> Floats:
        return np.nan_to_num(np.abs(windows[:, -1])).max(axis=1)  # type: ignore[no-any-return]

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        return [Explanation(np.nan_to_num(np.abs(window[-1])), np.zeros_like(window), window[-1]) for window in windows]


def watch(**rules: Any) -> Watch:
    return Watch(PeakModel(), AlertRules(interval_ns=7 * 86_400 * SECOND, **rules))


def feed(topic: str = "plant/{asset}/telemetry", time: str | None = "ts", qos: int = 1, **rules: Any) -> Feed:
    watched = watch(**rules)
    return Feed(Decoder(Stream(topic, time=time), watched.model.spec.names), SameWatch(watched), qos)


def reload_feeds(path: Path) -> list[Feed]:
    """What SIGHUP takes up: a JSON list of `feed`'s arguments."""
    try:
        return [feed(**arguments) for arguments in json.loads(path.read_bytes())]
    except ValueError as error:
        raise BadConfig(f"{path}: {error}") from error


def daemon(settings: dict[str, Any]) -> Daemon:
    directory = Path(settings["state_dir"])
    link = Link(
        LinkOptions(
            Broker("127.0.0.1", settings["port"], protocol=settings.get("protocol", "auto")),
            client_id="edge-ae-n1",
            status_topic="edge-ae/n1/status",
            receive_maximum=settings.get("receive_maximum", 1000),
            keepalive_s=settings.get("keepalive_s", 30),
        ),
        settings.get("inbox", 10_000),
    )
    options = DaemonOptions("n1", **settings.get("options", {}))
    return Daemon(
        options,
        [feed(**arguments) for arguments in settings.get("feeds", [{}])],
        link,
        NodeStore(directory / FILE),
        reload=lambda: reload_feeds(directory / "feeds.json"),
        bridges=bridges(settings, link),
    )


def bridges(settings: dict[str, Any], link: Link) -> list[Bridge]:
    thin_edge = [ThinEdge(link.publish)] if settings.get("thin_edge") else []
    home = (
        [HomeAssistant("n1", "edge-ae/n1", "homeassistant", 1.0, link.publish)] if settings.get("homeassistant") else []
    )
    return [*thin_edge, *home]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
    logging.info("starting %d", os.getpid())
    daemon(json.loads(sys.argv[1])).run()
