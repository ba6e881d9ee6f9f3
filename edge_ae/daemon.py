"""The live loop: one thread owns all state, and takes one turn after the other.

    take ─ decode ─ push ─ step ─ outbox ─ publish ─ checkpoint ─ acknowledge

QoS 1 input is acknowledged once both checkpoint files cover it: after a crash the broker delivers again what the state
has not seen, the same events come of it, and the outbox knows those that it has. Event time alone moves
the core; this module's own clock decides only when to look after things.
"""

import logging
import signal
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import orjson

from edge_ae import notify
from edge_ae.core.decode import Decoder
from edge_ae.core.detector import Watch
from edge_ae.core.fleet import Fleet
from edge_ae.core.flood import Flood
from edge_ae.core.seen import Seen
from edge_ae.core.types import SECOND
from edge_ae.errors import BadPayload, EdgeError
from edge_ae.mqtt import Link, Message, Session
from edge_ae.orders import Orders, answer
from edge_ae.outbox import Outbox
from edge_ae.state import Checkpoint
from edge_ae.stats import node_stats, status_line
from edge_ae.teller import Teller

log = logging.getLogger(__name__)

BATCH = 256  # messages in one turn
ROUTES = 10_000  # topics remembered
LOGGED_EACH = 3  # payloads refused for one reason that are logged one by one; then a line a minute
EARLY_CHECKPOINT_NS = SECOND  # checkpoints that an alert asks for are so far apart
STALL_NS = 2 * SECOND  # a broker that sends nothing for so long, and to which we owe
STALL_OWED = 10  # so many acknowledgements, may be waiting for them,
STALL_ANSWER_NS = SECOND // 10  # and was, if it sends this soon after getting them;
STALL_LONGEST_NS = 600 * SECOND  # if not, it is asked after twice the time next
# What a checkpoint of another version's shape raises.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, struct.error)
OWED_SHARE = 3  # a checkpoint comes after a third of what may be under way; the one before is owed as much, at worst
ANSWER_EXPIRY_S = 60
FLUSH_S = 1.0  # what stopping waits for confirmations


@dataclass(frozen=True, slots=True)
class Feed:
    """A stream: what its payloads say, how its assets are watched, and the quality of service it is asked for with."""

    decoder: Decoder
    watch: Watch
    qos: int = 1


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """`checkpoint_s` 0: nothing is kept, input is acknowledged at once."""

    state_dir: Path | None = None
    checkpoint_s: float = 60.0
    receive_maximum: int = 2_000
    score_interval_s: float = 1.0
    denoised: bool = False
    stats_interval_s: float = 60.0
    resend_s: float = 3600.0
    flood_limit: int = 10
    flood_window_s: float = 600.0
    max_assets: int = 1_000


class Recorder(Protocol):
    """Keeps rows for the next training."""

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


Reload = Callable[[], Sequence[Feed]]


class Daemon:
    """`run` until SIGTERM or SIGINT. `reload` is called on SIGHUP; what it raises as EdgeError leaves all as it was."""

    def __init__(
        self,
        node: str,
        base: str,
        feeds: Sequence[Feed],
        link: Link,
        outbox: Outbox,
        checkpoint: Checkpoint,
        options: DaemonOptions,
        *,
        reload: Reload | None = None,
        recorder: Recorder | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.node = node
        self.feeds = tuple(feeds)
        self.link, self.outbox, self.checkpoint = link, outbox, checkpoint
        self.options = options
        self.fleet = Fleet(node, options.max_assets)
        self.started_ns = clock()
        self.checkpoint_ns = self.started_ns
        self.seen = Seen()
        self._prefix = f"{base}/{node}"
        flood = Flood(node, options.flood_limit, round(options.flood_window_s * SECOND))
        self.teller = Teller(self._prefix, link, outbox, flood, options.score_interval_s, options.denoised)
        self._orders = Orders(options.state_dir)
        self._reload = reload
        self._recorder = recorder
        self._clock = clock
        self._origins: dict[str, str] = {}  # asset -> the topic filter of the feed that brought it
        self._routes: dict[str, tuple[Feed, ...]] = {}
        self._said: Counter[str] = Counter()  # payloads refused that have been logged
        self._most_owed = options.receive_maximum
        self._stall_ns, self._asked_ns, self._asked_owed = STALL_NS, 0, 0
        self._dirty = self._urgent = False
        self._input_ns = self._second_ns = self._stats_ns = self._summary_ns = self.started_ns
        self._said_fault: str | None = None
        self._ready = self._stop = self._hup = self._taking_up = False

    def watch_of(self, asset: str) -> Watch:
        """How an asset of the fleet is watched."""
        return next(feed.watch for feed in self.feeds if feed.decoder.filter == self._origins[asset])

    @property
    def durable(self) -> bool:
        return self.options.checkpoint_s > 0

    @property
    def fault(self) -> str | None:
        """What keeps the state from being written."""
        return self.checkpoint.fault or self.outbox.fault

    # -- the loop ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Watch until a signal says stop."""
        self._restore()
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
            self._connected(session)
        if messages:
            if self._asked_owed > 0:
                self._learn_stall(now_ns)
            self._input_ns = now_ns
            self._use(messages)
            self._step(now_ns)
        self.teller.confirm()
        self._secure(now_ns)
        if self._hup:
            self._take_up_settings()
        if self._taking_up and (self.link.subscribed or not self.link.connected):
            self._taken_up()
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

    def _use(self, messages: Sequence[Message]) -> None:
        routes, push, seen = self._routes, self.fleet.push, self.seen
        self.counts["received"] += len(messages)
        self._dirty = True
        used = 0
        for message in messages:
            topic, payload = message.topic, message.payload
            if message.qos > 0 and seen.is_known(message.connection, message.mid, message.dup, topic, payload):
                continue
            feeds = routes.get(topic)
            if feeds is None:
                feeds = self._route(topic)
            if not feeds:
                self._other(message)
            for feed in feeds:
                try:
                    many = feed.decoder.decode(topic, payload, message.arrival_ns)
                    used += 1
                    for readings in many:
                        if self._recorder is not None:
                            self._recorder.push(readings.asset, readings.t_ns, readings.values)
                        if readings.asset not in self._origins:
                            self._origins[readings.asset] = feed.decoder.filter
                        push(readings, feed.watch)
                except BadPayload as fault:
                    self._refuse(fault, topic)
        self.counts["used"] += used

    def _route(self, topic: str) -> tuple[Feed, ...]:
        """The feeds of a topic; none of what we publish ourselves, even where a filter such as `#` asks for it."""
        own = topic.startswith(self._prefix + "/")
        feeds = () if own else tuple(feed for feed in self.feeds if feed.decoder.matches(topic))
        if len(self._routes) >= ROUTES:
            self._routes.clear()
        self._routes[topic] = feeds
        return feeds

    def _refuse(self, fault: BadPayload, topic: str) -> None:
        self.refused[fault.reason] += 1
        if self.refused[fault.reason] <= LOGGED_EACH:
            self._said[fault.reason] += 1
            log.warning("%s: payload not used (%s): %s", topic, fault.reason, fault)

    def _step(self, now_ns: int) -> None:
        if self.fleet.due and self.teller.tell(self.fleet.step(), self.fleet, now_ns):
            self._urgent = True

    # -- commands ------------------------------------------------------------------------------------------

    def _other(self, message: Message) -> None:
        """What no feed takes: a command, or something that a wide filter brings."""
        own, topic = self._prefix + "/", message.topic
        if topic == self.teller.mark_topic and message.retain:  # not the echo of our own
            self.teller.broker_remembers(message.payload, message.connection)
        asset, _, name = topic.removeprefix(own).partition("/cmd/")
        if not name or not topic.startswith(own):
            self.counts["other_topics"] += 1
        elif message.retain:  # it would be carried out anew on every connection
            self._refuse(BadPayload("bad_command", "a command must not be retained"), message.topic)
        else:
            self._command(asset, name, message)

    def _command(self, asset: str, name: str, message: Message) -> None:
        """Carry it out on the state that the messages before it have made."""
        now_ns = self._clock()
        self._step(now_ns)
        fault: str | None = None
        try:
            detector = self.fleet.detectors.get(asset)
            if detector is None:
                raise BadPayload("bad_command", f"no asset {asset[:64]!r} is watched here")
            events = self._orders.carry_out(name, message.payload, detector)
            self.teller.tell(events, self.fleet, now_ns)
            self.teller.show(detector)
            self.counts["commands"] += 1
            self._urgent = True
            log.info("%s: %s carried out", asset, name)
        except BadPayload as error:
            fault = str(error)
            self._refuse(error, message.topic)
        if message.response_topic is not None:
            correlation = message.correlation
            self.link.publish(
                message.response_topic, answer(fault), 1, expiry_s=ANSWER_EXPIRY_S, correlation=correlation
            )

    # -- safety --------------------------------------------------------------------------------------------

    def _secure(self, now_ns: int) -> None:
        """Checkpoint where one is due, then acknowledge what it covers."""
        if not self.durable:
            self._acknowledge_all()
            return
        age_ns = now_ns - self.checkpoint_ns
        soon = age_ns >= EARLY_CHECKPOINT_NS
        full = self.seen.uncovered > self._most_owed // OWED_SHARE and (soon or self.fault is None)
        if full or (self._urgent and soon) or (self._dirty and age_ns >= self.options.checkpoint_s * SECOND):
            self._save(now_ns)
        elif self._stalled(now_ns) and not self._save_both(now_ns):
            self._acknowledge_unsaved()
        if self.fault is not None and self.seen.owed >= self._most_owed:
            self._acknowledge_unsaved()

    def _save(self, now_ns: int) -> bool:
        self._step(now_ns)
        self.checkpoint_ns = now_ns
        self.outbox.retry()  # an event that is in memory alone is not covered by the checkpoint that knows it as told
        saved = self.outbox.fault is None and self.checkpoint.save(self.snapshot())
        if saved:
            self._dirty = self.seen.uncovered > 0  # then there is something to cover a second time
            self._urgent = False
            self.link.ack(self.seen.settle())
        return saved

    def _save_both(self, now_ns: int) -> bool:
        """Both files, so that all can be acknowledged."""
        return self._save(now_ns) and self._save(now_ns)

    def _acknowledge_unsaved(self) -> None:
        """The broker stops sending if it is never answered: going on without a net beats going blind."""
        self.counts["acknowledged_unsaved"] += self.seen.owed
        self._acknowledge_all()

    def _acknowledge_all(self) -> None:
        while self.seen.owed > 0:
            self.link.ack(self.seen.settle())

    def _stalled(self, now_ns: int) -> bool:
        """Whether the broker may be waiting for us: it may allow fewer messages under way than we do."""
        owed = self.seen.owed
        if owed < STALL_OWED or now_ns - self._input_ns < self._stall_ns or not self.link.connected:
            return False
        self._asked_ns, self._asked_owed = now_ns, owed
        self._stall_ns = min(2 * self._stall_ns, STALL_LONGEST_NS)
        return True

    def _learn_stall(self, now_ns: int) -> None:
        """Input that comes the moment we acknowledge was waiting for that: from now on it need not."""
        waited = now_ns - self._asked_ns < STALL_ANSWER_NS
        if waited and 0 < self._asked_owed < self._most_owed:
            self._most_owed, self._stall_ns = self._asked_owed, STALL_NS
            log.info(
                "the broker lets %d messages wait for acknowledgement, so that checkpoints come more often than set; "
                "mosquitto's max_inflight_messages raises it",
                self._asked_owed,
            )
        self._asked_owed = 0

    def snapshot(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "origins": self._origins,
            "fleet": self.fleet.snapshot(),
            "seen": self.seen.snapshot(),
            "teller": self.teller.snapshot(),
        }

    def _restore(self) -> None:
        state = self.checkpoint.load() if self.durable else None
        if state is None or state.get("node") != self.node:
            self._adopt(self.feeds, {}, {})
            return
        nothing = self.snapshot()
        try:
            self._resume(state)
            log.info("state of %d assets restored", len(self.fleet.detectors))
        except UNFIT as fault:  # crashing would end in the same place at every start
            log.error("the checkpoint does not fit this version (%r): the watch begins anew", fault)
            self.checkpoint.set_aside()
            self._resume(nothing)

    def _resume(self, state: Mapping[str, Any]) -> None:
        self.seen.restore(state["seen"])
        self.teller.restore(state["teller"])
        self._adopt(self.feeds, state["origins"], state["fleet"])

    def _adopt(self, feeds: Sequence[Feed], origins: Mapping[str, str], state: Mapping[str, Any]) -> None:
        """Watch with these feeds; assets keep their state as far as their feed is still there."""
        watches = {feed.decoder.filter: feed.watch for feed in reversed(feeds)}
        kept = {asset: watches[origin] for asset, origin in origins.items() if origin in watches}
        fleet = Fleet(self.node, self.options.max_assets)
        fleet.restore(state, kept)
        self.fleet, self.feeds = fleet, tuple(feeds)
        self._origins = {asset: origins[asset] for asset in kept}
        self._routes.clear()
        self.teller.adopt(fleet, sorted(set(origins) - set(kept)), time.time_ns())

    # -- changes from outside ------------------------------------------------------------------------------

    def _connected(self, session: Session) -> None:
        self.seen.reconnected(session.number, session.present)
        self.teller.reconnected(session, self.fleet, self.options.resend_s)
        self._publish_stats()
        if not self._ready:
            self._ready = True
            notify.ready()
            log.info("ready: %d streams", len(self.feeds))

    def _take_up_settings(self) -> None:
        self._hup = False
        if self._reload is None:
            return
        notify.reloading()
        try:
            feeds = self._reload()
        except EdgeError as fault:
            self.counts["reload_failures"] += 1
            log.error("the settings are not taken up, all stays as it was: %s", fault)
            notify.ready()
        else:
            self._step(self._clock())
            self._adopt(feeds, self._origins, self.fleet.snapshot())
            self.link.resubscribe(self._filters())
            self._urgent = self._dirty = self._taking_up = True

    def _taken_up(self) -> None:
        """Said once the broker knows of it: what is sent from now on is heard. Without a broker there is nobody to wait for."""
        self._taking_up = False
        self.counts["reloads"] += 1
        log.info("settings and models taken up: %d streams", len(self.feeds))
        notify.ready()

    def _filters(self) -> list[tuple[str, int]]:
        """The mark with QoS 0: one that the broker delivers again, for want of an answer, would be an old one."""
        filters = {feed.decoder.filter: feed.qos for feed in self.feeds}
        return [*filters.items(), (f"{self._prefix}/+/cmd/+", 1), (self.teller.mark_topic, 0)]

    def _finish(self) -> None:
        """Leave nothing undone that a restart would have to do again."""
        notify.stopping()
        now_ns = self._clock()
        self._step(now_ns)
        if self.durable:
            self._save_both(now_ns)
        deadline_ns = now_ns + round(FLUSH_S * SECOND)
        while len(self.outbox) > 0 and self.link.connected and self._clock() < deadline_ns:
            self.link.take(0, 0.05)
            self.teller.confirm()
        self.link.stop()
        self.outbox.close()
        if self._recorder is not None:
            self._recorder.close()
        log.info("stopped")

    # -- once a second -------------------------------------------------------------------------------------

    def _look_after(self, now_ns: int) -> None:
        self._second_ns = now_ns + SECOND
        self.outbox.retry()
        self.fleet.tick(time.time_ns(), self.link.connected)
        for detector in self.fleet.detectors.values():
            self.teller.show_health(detector)
        self._say_fault(self.fault)
        if now_ns - self._summary_ns >= 60 * SECOND:
            self._summary_ns = now_ns
            self._summarise_refused()
        if now_ns - self._stats_ns >= self.options.stats_interval_s * SECOND:
            self._publish_stats()
        notify.watchdog()
        notify.status(status_line(self))

    def _say_fault(self, fault: str | None) -> None:
        """A disk that fails or recovers is said once, and shown in `stats` at once."""
        if fault == self._said_fault:
            return
        self._said_fault = fault
        if fault is None:
            log.info("the state directory can be written again")
        else:
            log.error("%s; the watch goes on in memory", fault)
        self._publish_stats()

    def _summarise_refused(self) -> None:
        for reason, count in self.refused.items():
            more = count - self._said[reason]
            if more > 0:
                self._said[reason] = count
                log.warning("%d more payloads not used (%s)", more, reason)

    def _publish_stats(self) -> None:
        self._stats_ns = self._clock()
        self.link.publish(f"{self._prefix}/stats", orjson.dumps(node_stats(self)), retain=True)
