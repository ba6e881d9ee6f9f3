"""Messages -> readings in the fleet, by the feeds that take their topic. What cannot be used is counted by reason and said."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_ae.core.detector import Watch
from edge_ae.core.fleet import Fleet
from edge_ae.core.formats.decoder import Decoder
from edge_ae.errors import BadPayload
from edge_ae.mqtt.link import Message

log = logging.getLogger(__name__)

ROUTES = 10_000  # topics remembered
LOGGED_EACH = 3  # payloads refused for one reason that are logged one by one; then a line a minute


@dataclass(frozen=True, slots=True)
class Feed:
    """A stream: what its payloads say, how its assets are watched, and the quality of service it is asked for with."""

    decoder: Decoder
    watch: Watch
    qos: int = 1


class Recorder(Protocol):
    """Keeps rows for the next training."""

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class Intake:
    """`own`: topics that begin so are ours, and no reading's. `used` and `refused` count payloads; `origins`: asset ->
    the topic filter of the feed that brought it.
    """

    def __init__(self, feeds: Sequence[Feed], fleet: Fleet, own: str, recorder: Recorder | None) -> None:
        self.used = 0
        self.refused: Counter[str] = Counter()
        self._own = own
        self._recorder = recorder
        self._said: Counter[str] = Counter()  # payloads refused that have been logged
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
        topic = message.topic
        feeds = self._routes.get(topic)
        if feeds is None:
            feeds = self._route(topic)
        for feed in feeds:
            try:
                many = feed.decoder.decode(topic, message.payload, message.arrival_ns)
                self.used += 1
                for readings in many:
                    self.fleet.push(readings, feed.watch)
                    if readings.asset not in self.fleet.detectors:  # one too many
                        continue
                    if readings.asset not in self.origins:
                        self.origins[readings.asset] = feed.decoder.filter
                    if self._recorder is not None:
                        self._recorder.push(readings.asset, readings.t_ns, readings.values)
            except BadPayload as fault:
                self.refuse(fault, topic)
        return len(feeds) > 0

    def _route(self, topic: str) -> tuple[Feed, ...]:
        """The feeds of a topic; none of what we publish ourselves, even where a filter such as `#` asks for it."""
        own = topic.startswith(self._own)
        feeds = () if own else tuple(feed for feed in self.feeds if feed.decoder.matches(topic))
        if len(self._routes) >= ROUTES:
            self._routes.clear()
        self._routes[topic] = feeds
        return feeds

    def refuse(self, fault: BadPayload, topic: str) -> None:
        self.refused[fault.reason] += 1
        if self.refused[fault.reason] <= LOGGED_EACH:
            self._said[fault.reason] += 1
            log.warning("%s: payload not used (%s): %s", topic, fault.reason, fault)

    def summarise(self) -> None:
        """One line for each reason that was met more often than it was logged."""
        for reason, count in self.refused.items():
            more = count - self._said[reason]
            if more > 0:
                self._said[reason] = count
                log.warning("%d more payloads not used (%s)", more, reason)

    def close(self) -> None:
        if self._recorder is not None:
            self._recorder.close()
