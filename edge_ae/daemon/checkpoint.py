"""Checkpoints: the state of the node to disk, and then, to the broker, the acknowledgement of the input that it covers.

    load ─► adopt ─► the fleet as it was ─ messages ─► write ─► acknowledge

Where the disk fails, input stays unacknowledged as long as the broker can send more: a crash until then loses nothing. Then it
is acknowledged all the same, for going on without a net beats going blind. A state that cannot be read is never written over:
the watch goes on without it, and takes it up once it can be read.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from itertools import islice
from typing import Any

from edge_ae.core.deduplication import Deduplicator
from edge_ae.core.detector import Watch
from edge_ae.core.fleet import Fleet
from edge_ae.core.learned_time import LEARNED, LearnedTime
from edge_ae.core.shadow import handed_over
from edge_ae.core.timestamps import SECOND, seconds_ns
from edge_ae.core.topics import topic_fault
from edge_ae.daemon.ack_policy import AckPolicy
from edge_ae.daemon.bridge import Bridges
from edge_ae.daemon.ingest import BESIDE, Feed, Ingest
from edge_ae.daemon.options import DaemonOptions
from edge_ae.daemon.publisher import Publisher
from edge_ae.daemon.rollout import ModelRollout
from edge_ae.mqtt.link import Link, Message, Session
from edge_ae.store.node_store import UNFIT, AssetState, Changes, NodeStore, Saved

log = logging.getLogger(__name__)

SINCE = "input since "
"""Parts of the node that begin so: the messages which each checkpoint of some assets covers, since the last one of all."""

PART_ASSETS = 32
"""In one commit, where a checkpoint is written in parts. A commit takes as long as some more assets, and wears the disk as much."""


class Checkpoints:
    """Keeps what `ingest` and `publisher` know in `store`. `counts`: acknowledged_unsaved.

    `subscriptions`: topic filters that the broker's session may hold.
    """

    def __init__(
        self,
        options: DaemonOptions,
        store: NodeStore,
        link: Link,
        ingest: Ingest,
        rollout: ModelRollout,
        publisher: Publisher,
        bridges: Bridges,
        now_ns: int,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.deduplicator = Deduplicator(options.receive_maximum)
        self.keeps_state = options.checkpoint_s > 0
        self.subscriptions: set[str] = set()
        self._options = options
        self._store = store
        self._link = link
        self._ingest = ingest
        self.rollout = rollout
        self._publisher = publisher
        self._bridges = bridges
        self._policy = AckPolicy(seconds_ns(options.checkpoint_s), options.receive_maximum, now_ns)
        self._changed = False
        self._in_parts = False  # A part of a checkpoint is written, and more of it is to come.
        self._connection = 0  # The number of the present connection, or of the last one.
        self._void = 0  # What came on the connections up to this one is delivered again.
        self._removed: set[str] = set()  # Assets that the store is to forget.
        self._since: list[str] = []  # The names of what it has of checkpoints of some assets.

    # -- input ---------------------------------------------------------------------------------------------

    def received(self, now_ns: int) -> None:
        """Messages have come."""
        self._policy.received(now_ns)
        self._changed = True

    def receive(self, message: Message) -> bool:
        """Take note of a message. False: it is not to be used: it has been used before, or it comes once more."""
        if message.qos == 0:
            return True
        if message.connection <= self._void:
            self.deduplicator.duplicates += 1
            return False
        return not self.deduplicator.is_duplicate(
            message.connection, message.mid, message.dup, message.topic, message.payload
        )

    def used(self, message: Message, assets: Collection[str]) -> None:
        """Take note of the assets that the message received last has changed."""
        if message.qos > 0:
            self.deduplicator.used(assets)

    def reconnected(self, session: Session) -> None:
        """Earlier connections have nothing to be acknowledged any more."""
        self._connection = session.number
        self.deduplicator.reconnected(session.number, session.present)

    # -- writing -------------------------------------------------------------------------------------------

    def age_s(self, now_ns: int) -> int:
        """Since the last checkpoint, or the last attempt at one."""
        return (now_ns - self._policy.tried_ns) // SECOND

    def keep(self, now_ns: int) -> None:
        """Once a turn: write a checkpoint where one is due."""
        waiting = self.deduplicator.unacknowledged
        if not self.keeps_state:
            self._acknowledge(now_ns)
            return
        if self._link.connected and self._policy.stalled(now_ns, waiting):
            if not self.write(now_ns):  # one is enough to see whether the broker was waiting
                self.counts["acknowledged_unsaved"] += 1
                self._link.ack(self.deduplicator.settle_oldest())
        elif self._in_parts or self._policy.due(
            now_ns, waiting, changed=self._changed, failing=self._store.fault is not None
        ):
            self._write_part(now_ns, waiting)
        if self._store.fault is not None and self._policy.exhausted(self.deduplicator.unacknowledged):
            self._acknowledge_unsaved(now_ns)

    def _write_part(self, now_ns: int, waiting: int) -> None:
        """Write a part of a checkpoint of many assets, one a turn, so that no alert waits for all of it; the last one, and one for
        which there is no time to take turns, is a checkpoint of all that is new still. Only with that anything is acknowledged."""
        part = frozenset(islice(self._ingest.touched, PART_ASSETS))
        covered = self.deduplicator.covered_by(part)
        if len(self._ingest.touched) <= PART_ASSETS or covered is None or self._policy.pressed(waiting):
            self.write(now_ns)
            return
        self._policy.tried(now_ns)
        self._in_parts = self._commit(part, covered)

    def write(self, now_ns: int) -> bool:
        """Write a checkpoint now; no window may be due. False: the disk fails, and nothing is acknowledged."""
        self._in_parts = False
        self._policy.tried(now_ns)
        self.deduplicator.forget(now_ns)
        if not self._commit(self._ingest.touched, None):
            return False
        self._changed = False
        self._acknowledge(now_ns)
        return True

    def write_assets(self, names: Iterable[str], now_ns: int) -> bool:
        """Write a checkpoint of these assets alone, as far as that can be done: an alert does not wait for all the others.

        What is new of those is not on disk then. Nothing is acknowledged, for acknowledgements keep the order of the messages.
        """
        assets = frozenset(names)
        covered = None if self._ingest.touched <= assets else self.deduplicator.covered_by(assets)
        if covered is None:
            self._ingest.touched |= assets
            return self.write(now_ns)
        return self._commit(assets, covered)

    def _commit(self, names: Set[str], covered: Sequence[int] | None) -> bool:
        """The state of some assets to disk. `covered`: the messages that brought what is new of them; None: all."""
        self._take_hours(names)
        changes = self._changes(names, self._input(covered)) if self.keeps_state else Changes()
        if not self._store.commit(changes):
            return False
        self._since = [name for name in self._since if name not in changes.outdated]
        self._since += filter(_since, changes.node)
        if covered is not None:
            self.deduplicator.cover(names)
        self._ingest.touched -= names
        self._removed.clear()
        return True

    def _input(self, covered: Sequence[int] | None) -> dict[str, Any]:
        """What the store is to know of the input. Of a checkpoint of some assets that is written beside what it has, for that may be long."""
        if covered is None:
            return {"input": self.deduplicator.snapshot()}
        if self.deduplicator.is_new:
            return {"input": self.deduplicator.covered(covered)}
        if not covered:
            return {}
        last = _since(self._since[-1]) if self._since else 0
        return {f"{SINCE}{last + 1}": self.deduplicator.covered(covered)}

    def _take_hours(self, names: Set[str]) -> None:
        """Hours that are over go to the store, which has them until they are on disk."""
        detectors = self._ingest.fleet.detectors
        for name in names & detectors.keys():
            self._store.peaks.add(name, detectors[name].peaks.take_over())

    def _changes(self, names: Set[str], received: Mapping[str, Any]) -> Changes:
        """What has become of the node since the last checkpoint. `received`: what there is to know of the input."""
        origins = self._ingest.origins
        assert self.rollout.due == 0
        touched = names & self._ingest.assets
        assets = {name: AssetState(origins[name], self._ingest.snapshot_of(name)) for name in touched}
        node = {
            "base": self._options.base,
            "name": self._options.node,
            **received,
            "flood": self._publisher.flood.snapshot(),
            "subscribed": sorted(self.subscriptions),
            "models": self.rollout.snapshot(),
            "retained": sorted(self._bridges.kept),
        }
        return Changes(assets, sorted(self._removed), node, tuple(self._since) if "input" in received else ())

    def _acknowledge_unsaved(self, now_ns: int) -> None:
        self.counts["acknowledged_unsaved"] += self.deduplicator.unacknowledged
        self._acknowledge(now_ns)

    def _acknowledge(self, now_ns: int) -> None:
        self._link.ack(self.deduplicator.settle(now_ns))

    def retry(self, now_ns: int) -> None:
        """Where the disk failed: read what could not be read, and write everything, for it may be another disk."""
        unread = not self._store.loaded
        if unread:
            self._load_late()
        if unread or self._store.fault is not None:
            self._ingest.touched.update(self._ingest.assets)
            self._store.write_all()
            self.write(now_ns)

    # -- reading -------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Take up what the last run left; where it cannot be read, watch without it until it can be."""
        saved = self._store.load()
        if saved is None:
            self.adopt(self._ingest.feeds, {})
        else:
            self._take_up(saved)

    def _take_up(self, saved: Saved) -> None:
        _restore("retained", saved.node, self._bridges.restore)
        self._since = sorted(filter(_since, saved.node), key=_since)
        if self._has_moved(saved):
            self.adopt(self._ingest.feeds, {})
            return
        self._load_node(saved.node)
        self.adopt(self._ingest.feeds, saved.assets)
        log.info("state of %d assets restored", len(self._ingest.assets))

    def _has_moved(self, saved: Saved) -> bool:
        """Whether the state is that of another node or base: then nothing of it is left standing on the topics of that."""
        node = saved.node
        prefix = f"{node.get('base', self._options.base)}/{node.get('name', self._options.node)}"
        if prefix == self._options.prefix:
            return False
        log.warning("state: it is that of %s, whose alerts are ended there; the watch begins anew", prefix)
        self._publisher.leave(prefix, sorted(saved.assets), time.time_ns())
        self._removed |= saved.assets.keys()
        return True

    def _load_node(self, node: Mapping[str, Any]) -> None:
        _restore("input", node, self.deduplicator.restore)
        for name in self._since:
            _restore(name, node, self.deduplicator.restore_covered)
        _restore("flood", node, self._publisher.flood.restore)
        _restore("subscribed", node, self._add_subscriptions)
        _restore("models", node, self.rollout.resume)

    def _add_subscriptions(self, filters: Iterable[str]) -> None:
        self.subscriptions |= {name for name in filters if topic_fault(name) is None}

    def _load_late(self) -> None:
        """The store can be read at last: go on from what it holds, as after a restart.

        What has come since was not acknowledged, unless the broker had to be answered; it is asked for once more, in its order.
        """
        saved = self._store.load(keep=self._publisher.has_published)
        if saved is None:
            return
        log.info("the state can be read again: %d assets are in it", len(saved.assets))
        self._void = self._connection
        self.deduplicator.reconnected(self._void + 1, present=False)
        self._take_up(saved)
        self._link.reconnect()

    def reload(self, feeds: Sequence[Feed]) -> None:
        """Watch by other feeds from now on; no window may be due."""
        if feeds is not self._ingest.feeds:
            self.rollout.restore(feeds, self.rollout.snapshot())
        self.adopt(feeds, self._snapshot())

    def _snapshot(self) -> dict[str, AssetState]:
        origins = self._ingest.origins
        assert self.rollout.due == 0
        return {name: AssetState(origins[name], self._ingest.snapshot_of(name)) for name in self._ingest.assets}

    def adopt(self, feeds: Sequence[Feed], assets: Mapping[str, AssetState]) -> None:
        """Watch with these feeds; assets keep their state as far as their feed is still there."""
        watches = {feed.decoder.filter: feed.watches for feed in reversed(feeds)}
        kept = {name: asset for name, asset in assets.items() if asset.topic_filter in watches}
        fleet = Fleet(self._options.node, self._options.max_assets, follows_drift=True)
        for name, asset in kept.items():
            watch = watches[asset.topic_filter].watch_of(name)
            if watch is not None:
                _add(fleet, name, watch, asset.state)
                fleet.detectors[name].lessons.set(self._store.lessons.of(name))
        learned = {
            name: _learned(name, asset.state)
            for name, asset in kept.items()
            if watches[asset.topic_filter].goals is not None
        }
        kept = {name: asset for name, asset in kept.items() if name in fleet.detectors or name in learned}
        self._ingest.adopt(feeds, fleet, {name: asset.topic_filter for name, asset in kept.items()}, learned)
        for name in kept:
            self._run_beside(name, kept[name].state)
        self.rollout.doubt()
        self._ingest.touched.update(kept)
        self._removed |= assets.keys() - kept.keys()
        self._publisher.adopt(fleet, sorted(assets.keys() - kept.keys()), time.time_ns())

    def _run_beside(self, name: str, state: Mapping[str, Any]) -> None:
        """The model beside goes on from where it was, or begins with the rows of the one in use."""
        watch, detector = self._ingest.watches_of(name).beside_of(name), self._ingest.fleet.detectors.get(name)
        if watch is None or detector is None:
            return
        was_beside = state.get(BESIDE, {}).get("detector", {}).get("model") == watch.model.spec.sha256
        try:
            self._ingest.shadows.begin(detector, watch, state[BESIDE] if was_beside else None)
        except UNFIT as fault:
            log.error("state: that of the model beside %s does not fit this version (%r) and begins anew", name, fault)
            self._ingest.shadows.begin(detector, watch)


def _add(fleet: Fleet, name: str, watch: Watch, state: Mapping[str, Any]) -> None:
    """Watch an asset from where its state was saved; one that had no model then, from its beginning."""
    detector = fleet.add(name, watch)
    try:
        if state.keys() != {LEARNED}:
            detector.restore(handed_over(state, state.get(BESIDE), detector.spec.sha256))
    except UNFIT as fault:  # crashing would end in the same place at every start
        log.error("state: that of %s does not fit this version (%r) and begins anew", name, fault)
        fleet.add(name, watch)


def _learned(name: str, state: Mapping[str, Any]) -> LearnedTime:
    """What was learned of an asset; nothing, where models of it were made elsewhere before."""
    time_ = LearnedTime()
    try:
        if LEARNED in state:
            time_.restore(state[LEARNED])
    except UNFIT as fault:
        log.error("state: what was learned of %s does not fit this version (%r) and begins anew", name, fault)
        return LearnedTime()
    return time_


def _since(name: str) -> int:
    """Of a part of the node: which it is of those that begin with SINCE; 0: none of them."""
    number = name.removeprefix(SINCE)
    return int(number) if number != name and number.isdecimal() else 0


def _restore(name: str, node: Mapping[str, Any], restore: Callable[[Any], None]) -> None:
    """A part of the node's state, where it was kept."""
    try:
        if name in node:
            restore(node[name])
    except UNFIT as fault:
        log.error("state: that of %s does not fit this version (%r) and begins anew", name, fault)
