"""What the loop asks of a bridge to another system, and the bridges of a daemon as one. Neither knows the other: `wiring` does.

    topics that a bridge subscribed to ─► received        events, once their checkpoint is written ─► happened
    a new connection ─► connected                          once a second ─► tick

What a bridge keeps retained with the broker, it names by `retained`. The names are part of the checkpoint, so that what no
bridge keeps any more is removed: that of an asset which is watched no more, or of a bridge that was switched off.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, Protocol

from edge_ae.core.alert_events import Happening
from edge_ae.core.detector import Detector
from edge_ae.core.topics import topic_fault, topic_regex
from edge_ae.mqtt.link import Message

Detectors = Mapping[str, Detector]
Stats = Callable[[], Mapping[str, Any]]


class Bridge(Protocol):
    """Called by the loop's thread, and never to block it. What the world does wrong is caught and counted inside; what
    is raised is our fault, and ends the process.
    """

    @property
    def filters(self) -> Sequence[tuple[str, int]]:
        """Topic filters that it wants the messages of, with their QoS."""

    def retained(self, assets: Iterable[str], /) -> Set[str]:
        """The topics that it keeps retained messages on while these assets are watched."""

    def connected(self, detectors: Detectors, /) -> None:
        """A new connection: what it keeps with the broker is to be made true."""

    def received(self, topic: str, payload: bytes, retained: bool, /) -> None:
        """A message on one of its topics. `retained`: the broker had it before we subscribed."""

    def happened(self, happenings: Sequence[Happening], /) -> None:
        """What came of a step, in the order in which it was made."""

    def tick(self, detectors: Detectors, stats: Stats, now_ns: int, /) -> None:
        """Once a second. `stats` makes the body of the topic `stats`, and is called only where it is wanted; `now_ns`: monotonic."""

    def withdrawn(self, asset: str, /) -> None:
        """An asset is watched no more."""

    def close(self) -> None:
        """The daemon stops; the connection is there still, if there was one."""


class Bridges:
    """All of them. `kept`: the topics that hold, or may hold, a retained message of a bridge, of this run or an earlier one."""

    def __init__(self, bridges: Sequence[Bridge] = ()) -> None:
        self.kept: frozenset[str] = frozenset()
        self._all = tuple(bridges)
        self._wanted_by = [(topic_regex(topic), bridge) for bridge in self._all for topic, _ in bridge.filters]
        self._assets: frozenset[str] = frozenset()
        self._adopted = False

    def __bool__(self) -> bool:
        return len(self._all) > 0

    @property
    def filters(self) -> dict[str, int]:
        """What to subscribe to for them."""
        return {topic: qos for bridge in self._all for topic, qos in bridge.filters}

    def restore(self, kept: Iterable[str]) -> None:
        """Take up the `kept` of an earlier run."""
        self.kept |= {topic for topic in kept if topic_fault(topic) is None}
        self._adopted = False

    def settle(self, detectors: Detectors) -> tuple[frozenset[str], frozenset[str]]:
        """Bring `kept` up to the assets that are watched. Returns the topics that are new, and those to be emptied."""
        if self._adopted and detectors.keys() == self._assets:
            return frozenset(), frozenset()
        self._adopted, gone = True, self._assets - detectors.keys()
        self._assets, before = frozenset(detectors), self.kept
        for asset in sorted(gone):
            for bridge in self._all:
                bridge.withdrawn(asset)
        self.kept = frozenset().union(*(bridge.retained(self._assets) for bridge in self._all))
        return self.kept - before, before - self.kept

    def received(self, message: Message) -> bool:
        """False: none of them wants it."""
        takers = [bridge for pattern, bridge in self._wanted_by if pattern.fullmatch(message.topic)]
        for bridge in takers:
            bridge.received(message.topic, message.payload, message.retain)
        return len(takers) > 0

    def connected(self, detectors: Detectors) -> None:
        for bridge in self._all:
            bridge.connected(detectors)

    def happened(self, happenings: Sequence[Happening]) -> None:
        if happenings:
            for bridge in self._all:
                bridge.happened(happenings)

    def tick(self, detectors: Detectors, stats: Stats, now_ns: int) -> None:
        for bridge in self._all:
            bridge.tick(detectors, stats, now_ns)

    def close(self) -> None:
        for bridge in self._all:
            bridge.close()
