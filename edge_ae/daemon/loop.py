"""The live loop: one thread owns all state, and takes one turn after the other.

    take ─ ingest ─ score and judge ─ outbox ─ checkpoint ─ publish ─ acknowledge

A checkpoint is one transaction: states, events, and the messages that they came of. Events are published after it, and QoS 1 input
is acknowledged after it: after a crash the broker delivers again what the state has not seen, and no event is lost or made
twice. Event time alone moves the core; this module's clocks decide only when to look after things, and for people: when
a shelving ends.
"""

import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import orjson

from edge_ae.core import commands
from edge_ae.core.alert_events import AlertEvent, EventType, Outcome, Withheld
from edge_ae.core.command_rate import CommandRate
from edge_ae.core.fleet import Fleet
from edge_ae.core.timestamps import SECOND, seconds_ns
from edge_ae.daemon import systemd
from edge_ae.daemon.bridge import Bridge, Bridges
from edge_ae.daemon.checkpoint import Checkpoints
from edge_ae.daemon.command_handler import CommandHandler, answer
from edge_ae.daemon.history import History
from edge_ae.daemon.ingest import Feed, Ingest, RowRecorder
from edge_ae.daemon.model_commands import ModelCommands
from edge_ae.daemon.node_commands import NodeCommands, encoded, name_of, named
from edge_ae.daemon.options import DaemonOptions
from edge_ae.daemon.publisher import Publisher
from edge_ae.daemon.rebirths import Rebirths
from edge_ae.daemon.recording_marks import RecordingMarks
from edge_ae.daemon.rollout import ModelRollout, RolloutOptions
from edge_ae.daemon.standing_memory import StandingMemory
from edge_ae.daemon.stats import Parts, Reports, node_stats, status_line
from edge_ae.daemon.views import LiveViews
from edge_ae.errors import BadPayload, EdgeError
from edge_ae.mqtt.link import Link, Message, Session
from edge_ae.store.node_store import NodeStore

log = logging.getLogger(__name__)

BATCH = 256
"""Messages in one turn."""

ANSWER_EXPIRY_S = 60

FORMER_KEPT = 100
"""Topic filters of streams that were taken out of the settings, so many are remembered."""

FLUSH_S = 1.0
"""What stopping waits for acknowledgements."""

LOOK_NS = 5 * SECOND
"""So often it is looked whether there are new models."""

SUMMARY_NS = 60 * SECOND
"""Payloads that were not used are summed up in the log this often."""


Reload = Callable[[], Sequence[Feed]]


class Daemon:
    """`run` until SIGTERM or SIGINT. `reload` is called on SIGHUP; what it raises as EdgeError leaves all as it was.

    `alerted` gets, of each new alert, the seconds since the oldest message of its turn arrived. `reports`: what bridges add to `stats`.
    `node_commands`: those beside the ones about models.
    """

    def __init__(
        self,
        options: DaemonOptions,
        feeds: Sequence[Feed],
        link: Link,
        store: NodeStore,
        *,
        reload: Reload | None = None,
        recorder: RowRecorder | None = None,
        bridges: Sequence[Bridge] = (),
        alerted: Callable[[float], None] | None = None,
        reports: Reports | None = None,
        node_commands: NodeCommands | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.link, self.store = link, store
        self._options = options
        self._prefix = options.prefix
        self._clock = clock
        self._second_ns = self._stats_ns = self._summary_ns = self._looked_ns = started_ns = clock()
        self.publisher = Publisher(options, link, store)
        self.ingest = Ingest(
            feeds, Fleet(options.node, options.max_assets, follows_drift=True), self._prefix + "/", recorder
        )
        self.bridges = Bridges(bridges)
        self.rollout = ModelRollout(self.ingest, RolloutOptions(seconds_ns(options.shadow_s), options.promotes))
        self.checkpoints = Checkpoints(
            options, store, link, self.ingest, self.rollout, self.publisher, self.bridges, started_ns
        )
        self.parts = Parts(
            started_ns, self.counts, link, store, self.checkpoints, self.ingest, self.publisher, reports or {}
        )
        self._commands = CommandHandler(store)
        self._command_rate = CommandRate()
        self._node_commands = {**ModelCommands(self.rollout, options.install).table, **(node_commands or {})}
        self._views = LiveViews(options.prefix, link, History(options.node, store))
        self._rebirths = Rebirths(partial(link.publish, json=False))
        self._memory = StandingMemory()
        self._marks = None if recorder is None else RecordingMarks(recorder, started_ns)
        self._reload = reload
        self._alerted = alerted
        self._arrived_ns: int | None = None  # When the oldest message of this turn did, by the wall.
        self._logged_fault: str | None = None
        self._ready = self._stop = self._hup = self._reloading = False

    @property
    def fleet(self) -> Fleet:
        """The assets that are watched now."""
        return self.ingest.fleet

    # -- the loop ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Watch until a signal says stop."""
        self.checkpoints.load()
        self.link.start(self._filters())
        with self._signals():
            while not self._stop:
                self.turn()
        self._finish()

    def turn(self) -> None:
        """Take what is there, see it through, and look after things once a second."""
        wait_ns = max(self._second_ns - self._clock(), 0)
        messages = self.link.take(BATCH, wait_ns / SECOND)
        now_ns = self._clock()
        session = self.link.opened()
        if session is not None:
            self._connected(session, now_ns)
        if messages:
            self.checkpoints.received(now_ns)
            self._arrived_ns = messages[0].arrival_ns
            self._use(messages, now_ns)
            self._step(now_ns)
            self._arrived_ns = None
        self.publisher.acknowledged()
        self.checkpoints.keep(now_ns)
        self.publisher.publish_pending(now_ns)
        if self._hup:
            self._take_up_settings()
        if self._reloading and (self.link.subscribed or not self.link.connected):
            self._reloaded()
        if now_ns >= self._second_ns:
            self._look_after(now_ns)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_signal: int, _frame: FrameType | None) -> None:
            self._stop = True
            self.link.wake()

        def reload(_signal: int, _frame: FrameType | None) -> None:
            self._hup = True
            self.link.wake()

        handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # -- input ---------------------------------------------------------------------------------------------

    def _use(self, messages: Sequence[Message], now_ns: int) -> None:
        self.counts["received"] += len(messages)
        checkpoints, take, own = self.checkpoints, self.ingest.take, self._prefix + "/"
        for message in messages:
            if message.topic.startswith(own):
                # A command finds what the messages before it have made, and no checkpoint covers it before it is carried out.
                self._step(now_ns)
            if not checkpoints.receive(message):
                continue
            assets = take(message)
            if assets is None:
                self._other(message, now_ns)
            else:
                checkpoints.used(message, assets)

    def _step(self, now_ns: int) -> None:
        """Score and judge what is due, and publish what comes of it."""
        if self.rollout.due > 0:
            self._publish(self.rollout.step(), now_ns)

    def _publish(self, results: Iterable[Outcome], now_ns: int) -> None:
        """Events go out after the checkpoint that covers them; where the disk fails, they go out all the same."""
        assets = self.publisher.take(results, self.fleet, now_ns)
        if self.store.changed and self.store.fault is None:
            told = {one.asset for one in self.publisher.happenings if isinstance(one, AlertEvent | Withheld)}
            self.checkpoints.write_assets(told, now_ns)
        self.publisher.publish_pending(now_ns)
        for asset in assets:
            self.publisher.show(self.fleet.detectors[asset])
        self.bridges.happened(self.publisher.happenings)
        if self._views:
            self._views.happened(self.publisher.happenings)
        if self._marks is not None:
            self._marks.happened(self.publisher.happenings)
        if self._alerted is not None and self._arrived_ns is not None:
            self._time_alerts(self._alerted, self._arrived_ns)

    def _time_alerts(self, alerted: Callable[[float], None], arrived_ns: int) -> None:
        for one in self.publisher.happenings:
            if isinstance(one, AlertEvent) and one.type is EventType.NEW:
                alerted(max(time.time_ns() - arrived_ns, 0) / SECOND)

    # -- commands ------------------------------------------------------------------------------------------

    def _other(self, message: Message, now_ns: int) -> None:
        """What no feed takes: the publisher's mark, a bridge's, a command, or something that a wide filter brings."""
        topic = message.topic
        asset, _, name = topic.removeprefix(self._prefix + "/").partition("/cmd/")
        if topic == self.publisher.mark_topic:
            self.publisher.mark_received(message)
        if self.bridges.received(message):
            return
        node_command = name_of(topic, self._prefix)
        if (not name and node_command is None) or not topic.startswith(self._prefix + "/"):
            self.counts["other_topics"] += 1
        elif message.retain:  # it would be carried out anew on every connection
            self._refuse(message, BadPayload("bad_command", "a command must not be retained"))
        elif node_command is not None:
            self._command(message, now_ns, lambda: self._carry_out_for_node(node_command, message, now_ns))
        else:
            self._command(message, now_ns, lambda: self._carry_out(asset, name, message, now_ns))

    def _command(self, message: Message, now_ns: int, carry_out: Callable[[], bytes]) -> None:
        """Carry it out on the state that the messages before it have made, and answer."""
        try:
            self._command_rate.spend(now_ns)
            reply = carry_out()
        except BadPayload as error:
            reply = answer(str(error))
            self._refuse(message, error)
        if message.response_topic is not None:
            self.link.publish(
                message.response_topic, reply, 1, expiry_s=ANSWER_EXPIRY_S, correlation=message.correlation
            )

    def _refuse(self, message: Message, fault: BadPayload) -> None:
        self.ingest.refusals.refuse(message.topic, fault, message.arrival_ns)

    def _carry_out_for_node(self, name: str, message: Message, now_ns: int) -> bytes:
        command = named(self._node_commands, name)
        if command.once:
            self.checkpoints.write(now_ns)
        carried_out = command.carry_out(message.payload, now_ns)
        self.counts["commands"] += 1
        if command.once:
            self.checkpoints.write(now_ns)
        return encoded(carried_out)

    def _carry_out(self, asset: str, name: str, message: Message, now_ns: int) -> bytes:
        self.checkpoints.used(message, (asset,))
        detector = self.fleet.detectors.get(asset)
        if detector is None and asset in self.ingest.assets:
            raise BadPayload("bad_command", f"{asset} has no model yet: {self.ingest.health_of(asset).reason}")
        if detector is None:
            raise BadPayload("bad_command", f"no asset {asset[:64]!r} is watched here")
        command = commands.parse(name, message.payload)
        if isinstance(command, commands.Question):
            self._views.answer(command, self.fleet, detector, now_ns)
            self.counts["commands"] += 1
            return answer(None)
        done = self._commands.carry_out(command, detector, time.time_ns())
        self._commands.carry_out_beside(command, self.ingest.shadows.fleet.detectors.get(asset), time.time_ns())
        self.counts["commands"] += 1
        log.info("%s: %s carried out", asset, name)
        self._publish(done.steps, now_ns)
        self.ingest.touched.add(asset)
        self.checkpoints.write(now_ns)
        self.publisher.show(detector)
        self.publisher.show_health(self.ingest.health_of(asset), now_ns)
        return answer(None, done.note)

    # -- changes from outside ------------------------------------------------------------------------------

    def _connected(self, session: Session, now_ns: int) -> None:
        self.checkpoints.reconnected(session)
        self.publisher.reconnected(session, self.fleet, now_ns)
        self._end_old_subscriptions()
        self.bridges.connected(self.fleet.detectors)
        self._second_ns = now_ns  # What is looked after once a second is published on it at once.
        self._publish_stats()
        if not self._ready:
            self._ready = True
            systemd.ready()
            log.info("ready: %d stream%s", len(self.ingest.feeds), "" if len(self.ingest.feeds) == 1 else "s")

    def _end_old_subscriptions(self) -> None:
        """The broker's session outlives ours, and with it what an earlier run with other streams subscribed to.

        What was given up once is given up on each connection, for a broker may be restored from an older save.
        """
        wanted = {name for name, _ in self._filters()}
        former = sorted(self.checkpoints.subscriptions - wanted)[:FORMER_KEPT]
        self.link.unsubscribe(former)
        self.checkpoints.subscriptions = wanted | set(former)

    def _take_up_settings(self) -> None:
        self._hup = False
        if self._reload is None:
            return
        systemd.reloading()
        try:
            feeds = self._reload()
        except EdgeError as fault:
            self.counts["reload_failures"] += 1
            log.error("the settings are not taken up, all stays as it was: %s", fault)
            systemd.ready()
        else:
            now_ns = self._clock()
            self._step(now_ns)
            self.checkpoints.reload(feeds)
            self._step(now_ns)
            self.link.resubscribe(self._filters())
            self.checkpoints.subscriptions |= {name for name, _ in self._filters()}
            self.checkpoints.write(now_ns)
            self._memory.renew()
            self._reloading = True

    def _reloaded(self) -> None:
        """Logged once the broker knows of it. Without a broker there is nobody to wait for."""
        self._reloading = False
        self.counts["reloads"] += 1
        log.info("settings and models taken up: %d streams", len(self.ingest.feeds))
        systemd.ready()

    def _filters(self) -> list[tuple[str, int]]:
        """The publisher's mark with QoS 0: one that the broker delivers again would be an old one."""
        filters = self.bridges.filters | {feed.decoder.filter: feed.qos for feed in self.ingest.feeds}
        ours = [(f"{self._prefix}/+/cmd/+", 1), (f"{self._prefix}/cmd/+", 1), (self.publisher.mark_topic, 0)]
        return [*filters.items(), *ours]

    def _finish(self) -> None:
        """Leave nothing undone that a restart would have to do again."""
        systemd.stopping()
        self.ingest.log_omissions()
        now_ns = self._clock()
        self._step(now_ns)
        self.checkpoints.write(now_ns)
        deadline_ns = now_ns + seconds_ns(FLUSH_S)
        while len(self.store.outbox) > 0 and self.link.connected and self._clock() < deadline_ns:
            self._take_acknowledgements()
        self.checkpoints.write(now_ns)
        self.bridges.close()
        self.link.stop()
        self.store.close()
        self.ingest.close()
        log.info("stopped")

    def _take_acknowledgements(self) -> None:
        self.link.take(0, 0.05)
        self.publisher.acknowledged()
        self.publisher.publish_pending(self._clock())

    # -- once a second -------------------------------------------------------------------------------------

    def _look_after(self, now_ns: int) -> None:
        self._second_ns = now_ns + SECOND
        self.checkpoints.retry(now_ns)
        self._publish(self.fleet.tick(time.time_ns(), self.link.connected), now_ns)
        self.ingest.shadows.tick(time.time_ns(), self.link.connected)
        for detector in self.fleet.detectors.values():
            self.publisher.show(detector)
        for asset in self.ingest.assets:
            self.publisher.show_health(self.ingest.health_of(asset), now_ns)
        self._views.tick(self.fleet, now_ns)
        self._tend_bridges(now_ns)
        self._rebirths.ask((feed.decoder for feed in self.ingest.feeds), now_ns)
        self._record(now_ns)
        self._log_fault(self.store.fault)
        self.ingest.log_omissions()
        if now_ns - self._summary_ns >= SUMMARY_NS:
            self._summary_ns = now_ns
            self.ingest.refusals.log_summary()
        if now_ns - self._looked_ns >= LOOK_NS:
            self._look_at_models(now_ns)
        if now_ns - self._stats_ns >= self._options.stats_interval_s * SECOND:
            self._publish_stats()
        if self._ready:
            self._memory.tick(len(self.ingest.assets))
        systemd.watchdog()
        systemd.status(status_line(self.parts))

    def _record(self, now_ns: int) -> None:
        if self._marks is not None:
            self._marks.tick(self.fleet.detectors.values(), now_ns)
        if self.ingest.recorder is not None:
            self.ingest.recorder.tick()

    def _tend_bridges(self, now_ns: int) -> None:
        """What they keep with the broker is on disk before they publish it: a crash leaves nothing there for ever."""
        new, gone = self.bridges.settle(self.fleet.detectors)
        if new or gone:
            self.store.outbox.cancel(new)
            self.publisher.empty(sorted(gone), time.time_ns())
            self.checkpoints.write(now_ns)
        self.bridges.tick(self.fleet.detectors, self._stats, now_ns)

    def _look_at_models(self, now_ns: int) -> None:
        """Models that were made while we watch are taken up at once: of an asset that had none, or in place of another."""
        self._looked_ns = now_ns
        self._step(now_ns)
        if self.rollout.look(now_ns):
            self.checkpoints.write(now_ns)
            self._memory.renew()
        if sum(feed.watches.look() for feed in self.ingest.feeds) > 0:  # each of them is asked
            self._step(now_ns)
            self.checkpoints.reload(self.ingest.feeds)
            self._step(now_ns)
            self.checkpoints.write(now_ns)
            self._memory.renew()

    def _log_fault(self, fault: str | None) -> None:
        """A disk that fails or recovers is logged once, and shown in `stats` at once."""
        if fault == self._logged_fault:
            return
        self._logged_fault = fault
        if fault is None:
            log.info("the state directory can be written again")
        else:
            log.error("%s; the watch goes on in memory", fault)
        self._publish_stats()

    def _publish_stats(self) -> None:
        self._stats_ns = self._clock()
        self.link.publish(f"{self._prefix}/stats", orjson.dumps(self._stats()), retain=True)

    def _stats(self) -> dict[str, Any]:
        return node_stats(self.parts, self._clock())
