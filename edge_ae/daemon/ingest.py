"""Messages -> readings in the fleet, by the feeds that take their topic. What cannot be used is counted by reason and logged."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.formats.decoder import Decoder
from edge_ae.errors import BadPayload
from edge_ae.mqtt.link import Message

log = logging.getLogger(__name__)

ROUTES = 10_000
"""Topics whose feeds are remembered."""

LOGGED_EACH = 3
"""Payloads refused for one reason that are logged one by one; then a line a minute."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A stream: how its payloads are read, how its assets are watched, and the QoS that it is subscribed to with."""

    decoder: Decoder
    watch: Watch
    qos: int = 1


class RowRecorder(Protocol):
    """Keeps rows for the next training."""

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class Ingest:
    """`own`: topics that begin so are ours, and no reading's.

    `used`, `refused`: payloads. `origins`: asset -> the topic filter of the feed that brought it. `touched`: assets that have
    had readings since the caller cleared it.
    """

    def __init__(self, feeds: Sequence[Feed], fleet: Fleet, own: str, recorder: RowRecorder | None = None) -> None:
        self.used = 0
        self.refused: Counter[str] = Counter()
        self.touched: set[str] = set()
        self._own = own
        self._recorder = recorder
        self._logged: Counter[str] = Counter()
        self.adopt(feeds, fleet, {})

    def adopt(self, feeds: Sequence[Feed], fleet: Fleet, origins: Mapping[str, str]) -> None:
        """Take messages by other feeds, into another fleet."""
        self.feeds, self.fleet, self.origins = tuple(feeds), fleet, dict(origins)
        self._routes: dict[str, tuple[Feed, ...]] = {}

    def watch_of(self, asset: str) -> Watch:
        """How an asset of the fleet is watched."""
        return next(feed.watch for feed in self.feeds if feed.decoder.filter == self.origins[asset])

    def take(self, message: Message) -> bool:
        """Use a message. False: no feed takes its topic."""
        feeds = self._routes.get(message.topic)
        if feeds is None:
            feeds = self._route(message.topic)
        for feed in feeds:
            try:
                self._push(feed, message)
            except BadPayload as fault:
                self.refuse(fault, message.topic)
        return len(feeds) > 0

    def _push(self, feed: Feed, message: Message) -> None:
        many = feed.decoder.decode(message.topic, message.payload, message.arrival_ns, retained=message.retain)
        self.used += 1
        for readings in many:
            self.fleet.push(readings, feed.watch)
            if readings.asset in self.fleet.detectors:  # not one too many
                self._note(readings, feed)

    def _note(self, readings: Readings, feed: Feed) -> None:
        asset = readings.asset
        self.touched.add(asset)
        if asset not in self.origins:
            self.origins[asset] = feed.decoder.filter
        if self._recorder is not None:
            self._recorder.push(asset, readings.t_ns, readings.values)

    def _route(self, topic: str) -> tuple[Feed, ...]:
        """The feeds of a topic; none of what we publish ourselves, even where a filter such as `#` asks for it."""
        own = topic.startswith(self._own)
        feeds = () if own else tuple(feed for feed in self.feeds if feed.decoder.matches(topic))
        if len(self._routes) >= ROUTES:
            self._routes.clear()
        self._routes[topic] = feeds
        return feeds

    def refuse(self, fault: BadPayload, topic: str) -> None:
        """Count a payload that is not used; the first few of a reason are logged."""
        self.refused[fault.reason] += 1
        if self.refused[fault.reason] <= LOGGED_EACH:
            self._logged[fault.reason] += 1
            log.warning("%s: payload not used (%s): %s", topic, fault.reason, fault)

    def log_summary(self) -> None:
        """One line for each reason that was met more often than it was logged."""
        for reason, count in self.refused.items():
            more = count - self._logged[reason]
            if more > 0:
                self._logged[reason] = count
                log.warning("%d more payloads not used (%s)", more, reason)

    def close(self) -> None:
        """Bring recorded rows to disk."""
        if self._recorder is not None:
            self._recorder.close()
