"""Messages -> readings in the fleet, by the feeds that take their topic. What cannot be used is handed to `Refusals`."""

import time
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Protocol

from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.formats.decoder import Decoder
from edge_ae.core.health_events import AssetHealth
from edge_ae.core.learned_time import LEARNED, Goals, LearnedTime
from edge_ae.core.shadow import Shadows
from edge_ae.daemon.learning import Learners, learning_of, waiting_health
from edge_ae.daemon.refusals import Refusals
from edge_ae.errors import BadPayload
from edge_ae.model.followed_folder import FollowedFolder
from edge_ae.mqtt.link import Message

BESIDE = "beside"  # in an asset's state: that of the model which runs beside the one in use
ROUTES = 10_000
"""Topics whose feeds are remembered."""


class Watches(Protocol):
    """How the assets of a stream are watched."""

    @property
    def goals(self) -> Goals | None:
        """When models of its assets come; None: they are made elsewhere."""

    def watch_of(self, asset: str, /) -> Watch | None:
        """None: there is no model of it yet."""

    def note_of(self, asset: str, /) -> str | None:
        """What keeps its next model from coming; None: nothing does."""

    def look(self) -> bool:
        """Whether any asset is to be watched otherwise than before the last look. Called every few seconds."""

    @property
    def folders(self) -> Sequence[FollowedFolder]:
        """Those that models of its assets are from."""

    def folder_of(self, asset: str, /) -> FollowedFolder | None:
        """The one that an asset's model is from; None: it is from a file."""

    def beside_of(self, asset: str, /) -> Watch | None:
        """How it is watched by the model that runs beside the one in use; None: there is none."""


@dataclass(frozen=True, slots=True)
class SameWatch:
    """All assets of a stream watched alike, by the model of a file."""

    watch: Watch
    goals: Goals | None = None
    folders: Sequence[FollowedFolder] = ()

    def watch_of(self, _asset: str, /) -> Watch:
        return self.watch

    def note_of(self, _asset: str, /) -> None:
        return None

    def look(self) -> bool:
        return False

    def folder_of(self, _asset: str, /) -> None:
        return None

    def beside_of(self, _asset: str, /) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Feed:
    """A stream: how its payloads are read, how its assets are watched, and the QoS that it is subscribed to with."""

    decoder: Decoder
    watches: Watches
    qos: int = 1


class RowRecorder(Protocol):
    """Keeps rows for the next training, and what is known of stretches of them; `tick`: once a second."""

    @property
    def fault(self) -> str | None: ...

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None: ...

    def mark(self, asset: str, from_ns: int, until_ns: int, why: str) -> None: ...

    def tick(self) -> None: ...

    def close(self) -> None: ...


class Ingest:
    """`own`: topics that begin so are ours, and no reading's.

    `used`: payloads. `recorder`: what is given each row. `origins`: asset -> the topic filter of the feed that brought it.
    `touched`: assets that have had readings since the caller cleared it. `learners`: assets whose models are made here;
    those of them that have none yet are no part of the fleet. `shadows`: assets that another model watches, too.
    """

    def __init__(self, feeds: Sequence[Feed], fleet: Fleet, own: str, recorder: RowRecorder | None = None) -> None:
        self.used = 0
        self.refusals = Refusals()
        self.touched: set[str] = set()
        self._own = own
        self.recorder = recorder
        self.learners = Learners()
        self.adopt(feeds, fleet, {}, {})

    def adopt(
        self, feeds: Sequence[Feed], fleet: Fleet, origins: Mapping[str, str], learned: Mapping[str, LearnedTime]
    ) -> None:
        """Take messages by other feeds, into another fleet. `learned`: what is known of the assets that models are made of.

        An asset that has its first model now takes what has just come of it once more: windows may be due.
        """
        self.feeds, self.fleet, self.origins = tuple(feeds), fleet, dict(origins)
        self.shadows = Shadows(fleet.node, fleet.max_assets)
        self._watches = {feed.decoder.filter: feed.watches for feed in reversed(self.feeds)}
        self._routes: dict[str, tuple[Feed, ...]] = {}
        self.learners.adopt(learned)
        for asset in fleet.detectors:
            for readings in self.learners.take_recent(asset):
                fleet.push(readings, None)

    # -- assets that have no model yet ---------------------------------------------------------------------

    @property
    def assets(self) -> Set[str]:
        """All that are known: those that are watched, and those that have no model yet."""
        return self.fleet.detectors.keys() | self.learners.times.keys()

    @property
    def waiting(self) -> list[str]:
        """The assets that have no model yet, in the order in which they came."""
        return [asset for asset in self.learners.times if asset not in self.fleet.detectors]

    def watches_of(self, asset: str) -> Watches:
        """Of an asset that is known: how those of its stream are watched."""
        return self._watches[self.origins[asset]]

    def snapshot_of(self, asset: str) -> dict[str, Any]:
        """What a restart must know of an asset, as plain values."""
        detector, time_ = self.fleet.detectors.get(asset), self.learners.times.get(asset)
        state = {} if detector is None else detector.snapshot()
        beside = self.shadows.snapshot(asset)
        state |= {} if beside is None else {BESIDE: beside}
        return state if time_ is None else {**state, LEARNED: time_.snapshot()}

    def health_of(self, asset: str) -> AssetHealth:
        """Of an asset that is known."""
        detector, time_ = self.fleet.detectors.get(asset), self.learners.times.get(asset)
        if time_ is None:
            health, beside = self.fleet.detectors[asset].health_now(), self._beside_text(asset)
            return health if beside is None else replace(health, beside=beside)
        watches = self.watches_of(asset)
        goals = watches.goals
        assert goals is not None
        learning = learning_of(time_, goals, watches.note_of(asset), has_model=detector is not None)
        if detector is None:
            return waiting_health(asset, self.fleet.node, learning)
        return replace(detector.health_now(), learning=learning, beside=self._beside_text(asset))

    def _beside_text(self, asset: str) -> str | None:
        """What has come of the model that runs beside."""
        beside = self.shadows.fleet.detectors.get(asset)
        if beside is None:
            return None
        return f"model {beside.spec.sha256[:12]}: {self.shadows.compared([asset]).text('beside', 'in use')}"

    # -- messages ------------------------------------------------------------------------------------------

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
            if self._push(readings, feed):  # not one too many
                self._note(readings, feed)
        return (many[0].asset,) if len(many) == 1 else {readings.asset for readings in many}

    def _push(self, readings: Readings, feed: Feed) -> bool:
        """False: the asset finds no room."""
        asset, learners = readings.asset, self.learners
        self.fleet.push(readings, feed.watches.watch_of(asset))
        self.shadows.push(readings)
        is_watched = asset in self.fleet.detectors
        if asset in learners.times or (feed.watches.goals is not None and (is_watched or self._has_room())):
            learners.push(readings, waits=not is_watched)
            return True
        return is_watched

    def _has_room(self) -> bool:
        """For one more asset that has no model yet."""
        if len(self.assets) < self.fleet.max_assets:
            return True
        self.fleet.counts["too_many_assets"] += 1
        return False

    def _note(self, readings: Readings, feed: Feed) -> None:
        asset = readings.asset
        self.touched.add(asset)
        if asset not in self.origins:
            self.origins[asset] = feed.decoder.filter
        if self.recorder is not None:
            self.recorder.push(asset, readings.t_ns, readings.values)

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
        if self.recorder is not None:
            self.recorder.close()
