"""Discovery of Home Assistant: it learns of a node and its assets by one retained message each, with no YAML written.

    a new connection, another model, Home Assistant comes online ─► due ─► sent, so many a second, the node's first

Entities then live on the daemon's own topics; the bridge publishes nothing else. What it retains goes with its asset: the
daemon empties what `retained` names no more.
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson

from edge_ae.bridges.homeassistant_entities import asset_message, node_message, topic_of
from edge_ae.core.alert_events import Happening
from edge_ae.core.detector import Detector
from edge_ae.core.timestamps import SECOND

Send = Callable[[str, bytes, int, bool], object | None]
"""Topic, payload, QoS, whether it is retained; gives None where it could not be sent."""

PER_TICK = 100
"""Messages in a second, a megabyte: 1,000 assets take 10 s, and leave room for alerts."""

LONGEST_DELAY_S = 5
"""After Home Assistant came online, for not all of its devices are to speak at once."""

EXPIRY_SCORES = 3
"""A ratio expires where so many scores in a row did not come."""

LEAST_EXPIRY_S = 30


class HomeAssistant:
    """Announces a node, whose topics begin with `prefix`, below Home Assistant's own prefix `discovery`."""

    def __init__(
        self,
        node: str,
        prefix: str,
        discovery: str,
        score_interval_s: float,
        send: Send,
        delay_s: Callable[[int, int], int] = random.randint,
    ) -> None:
        self.filters: Sequence[tuple[str, int]] = tuple(
            (f"{name}/status", 0) for name in dict.fromkeys(("homeassistant", discovery))
        )
        self._node, self._prefix, self._discovery = node, prefix, discovery
        self._score_interval_s = score_interval_s
        self._send = send
        self._delay_s = delay_s
        self._wait: int | None = None  # ticks until all is sent again
        self._sent: dict[str | None, str] = {}  # The SHA-256 of the model that an asset was announced with.

    def retained(self, assets: Iterable[str]) -> set[str]:
        """One topic an asset, and the node's."""
        return {topic_of(self._discovery, self._prefix, asset) for asset in (None, *assets)}

    def connected(self, _detectors: Mapping[str, Detector]) -> None:
        """A broker may have lost its memory: everything is sent again."""
        self._sent.clear()

    def received(self, _topic: str, payload: bytes, retained: bool) -> None:
        """Home Assistant says that it has come online."""
        if payload == b"online" and not retained:
            self._wait = self._delay_s(0, LONGEST_DELAY_S)

    def happened(self, _happenings: Sequence[Happening]) -> None:
        """Entities learn of it from the daemon's own topics."""

    def tick(self, detectors: Mapping[str, Detector], _stats: Callable[[], Mapping[str, Any]], _now_ns: int) -> None:
        """Send what is due."""
        if self._wait is not None:
            self._sent, self._wait = ({}, None) if self._wait == 0 else (self._sent, self._wait - 1)
        models: dict[str | None, str] = {None: ""}
        models |= {asset: detector.spec.sha256 for asset, detector in detectors.items()}
        due = (asset for asset, model in models.items() if self._sent.get(asset) != model)
        for asset in list(islice(due, PER_TICK)):
            message = self._node_message() if asset is None else self._asset_message(detectors[asset])
            topic = topic_of(self._discovery, self._prefix, asset)
            if self._send(topic, orjson.dumps(message), 1, True) is not None:
                self._sent[asset] = models[asset]

    def _node_message(self) -> dict[str, Any]:
        return node_message(self._prefix, self._node)

    def _asset_message(self, detector: Detector) -> dict[str, Any]:
        spec = detector.spec
        interval_s = max(spec.hop * spec.period_ns / SECOND, self._score_interval_s)
        expiry_s = max(math.ceil(EXPIRY_SCORES * interval_s), LEAST_EXPIRY_S)
        return asset_message(self._prefix, detector.asset, spec.name, expiry_s)

    def withdrawn(self, asset: str) -> None:
        """It is announced anew where it comes back."""
        self._sent.pop(asset, None)

    def close(self) -> None:
        """What is retained stays; the daemon's `status` makes its entities unavailable."""
