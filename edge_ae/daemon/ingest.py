"""Messages -> readings in the fleet, by the feeds that take their topic. What cannot be used is handed to `Refusals`."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.formats.decoder import Decoder
from edge_ae.daemon.model_source import ModelSource
from edge_ae.daemon.refusals import Refusals
from edge_ae.errors import BadPayload
from edge_ae.mqtt.link import Message

ROUTES = 10_000
"""Topics whose feeds are remembered."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A stream: how its payloads are read, how its assets are watched, and the QoS that it is subscribed to with.

    `models`: the folder that the model is from; None: the settings name a file.
    """

    decoder: Decoder
    watch: Watch
    qos: int = 1
    models: ModelSource | None = None


class RowRecorder(Protocol):
    """Keeps rows for the next training."""

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class Ingest:
    """`own`: topics that begin so are ours, and no reading's.

    `used`: payloads. `origins`: asset -> the topic filter of the feed that brought it. `touched`: assets that have
    had readings since the caller cleared it.
    """

    def __init__(self, feeds: Sequence[Feed], fleet: Fleet, own: str, recorder: RowRecorder | None = None) -> None:
        self.used = 0
        self.refusals = Refusals()
        self.touched: set[str] = set()
        self._own = own
        self._recorder = recorder
        self.adopt(feeds, fleet, {})

    def adopt(self, feeds: Sequence[Feed], fleet: Fleet, origins: Mapping[str, str]) -> None:
        """Take messages by other feeds, into another fleet."""
        self.feeds, self.fleet, self.origins = tuple(feeds), fleet, dict(origins)
        self._routes: dict[str, tuple[Feed, ...]] = {}

    def watch_of(self, asset: str) -> Watch:
        """How an asset of the fleet is watched."""
        return next(feed.watch for feed in self.feeds if feed.decoder.filter == self.origins[asset])

    def take(self, message: Message) -> Collection[str] | None:
        """Use a message. Returns the assets that it brought readings of; None: no feed takes its topic."""
        feeds = self._routes.get(message.topic)
        if feeds is None:
            feeds = self._route(message.topic)
        if len(feeds) == 1:
            return self._use(feeds[0], message)
        return {asset for feed in feeds for asset in self._use(feed, message)} if feeds else None

    def _use(self, feed: Feed, message: Message) -> Collection[str]:
        try:
            many = feed.decoder.decode(message.topic, message.payload, message.arrival_ns, retained=message.retain)
        except BadPayload as fault:
            self.refusals.refuse(message.topic, fault, message.arrival_ns)
            return ()
        self.used += 1
        for readings in many:
            self.fleet.push(readings, feed.watch)
            if readings.asset in self.fleet.detectors:  # not one too many
                self._note(readings, feed)
        return {readings.asset for readings in many}

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

    def log_omissions(self) -> None:
        """Log what decoders have left out of payloads since the last call."""
        for feed in self.feeds:
            self.refusals.omit(feed.decoder.new_omissions(), time.time_ns())

    def close(self) -> None:
        """Bring recorded rows to disk."""
        if self._recorder is not None:
            self._recorder.close()
