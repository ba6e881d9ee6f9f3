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
from typing import Any

import orjson

from edge_ae.core.fleet import Fleet
from edge_ae.core.flood import Flood
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon import systemd
from edge_ae.daemon.ack_policy import Ledger
from edge_ae.daemon.command_handler import Orders, answer
from edge_ae.daemon.ingest import Feed, Intake, Recorder
from edge_ae.daemon.publisher import Teller
from edge_ae.daemon.stats import node_stats, status_line
from edge_ae.errors import BadPayload, EdgeError
from edge_ae.mqtt.link import Link, Message, Session
from edge_ae.store.checkpoint import Checkpoint
from edge_ae.store.outbox import Outbox

log = logging.getLogger(__name__)

BATCH = 256  # messages in one turn
# What a checkpoint of another version's shape raises.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, struct.error)
ANSWER_EXPIRY_S = 60
FLUSH_S = 1.0  # what stopping waits for confirmations


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
        self.node = node
        self.link, self.outbox, self.checkpoint = link, outbox, checkpoint
        self.options = options
        self.started_ns = clock()
        self._prefix = f"{base}/{node}"
        flood = Flood(node, options.flood_limit, round(options.flood_window_s * SECOND))
        self.teller = Teller(self._prefix, link, outbox, flood, options.score_interval_s, options.denoised)
        self.intake = Intake(feeds, Fleet(node, options.max_assets), self._prefix + "/", recorder)
        self.ledger = Ledger(
            link, outbox, checkpoint, self._settled, options.checkpoint_s, options.receive_maximum, self.started_ns
        )
        self._orders = Orders(options.state_dir)
        self._reload = reload
        self._clock = clock
        self._second_ns = self._stats_ns = self._summary_ns = self.started_ns
        self._said_fault: str | None = None
        self._ready = self._stop = self._hup = self._taking_up = False

    @property
    def fleet(self) -> Fleet:
        return self.intake.fleet

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
            self.ledger.input(now_ns)
            self._use(messages)
            self._step(now_ns)
        self.teller.confirm()
        self.ledger.keep(now_ns)
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
        self.counts["received"] += len(messages)
        is_known, take = self.ledger.is_known, self.intake.take
        for message in messages:
            if not is_known(message) and not take(message):
                self._other(message)

    def _step(self, now_ns: int) -> None:
        if self.fleet.due and self.teller.tell(self.fleet.step(), self.fleet, now_ns):
            self.ledger.hurry()

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
            self.intake.refuse(BadPayload("bad_command", "a command must not be retained"), message.topic)
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
            self.ledger.hurry()
            log.info("%s: %s carried out", asset, name)
        except BadPayload as error:
            fault = str(error)
            self.intake.refuse(error, message.topic)
        if message.response_topic is not None:
            correlation = message.correlation
            self.link.publish(
                message.response_topic, answer(fault), 1, expiry_s=ANSWER_EXPIRY_S, correlation=correlation
            )

    # -- what survives a restart ---------------------------------------------------------------------------

    def _settled(self) -> dict[str, Any]:
        self._step(self._clock())
        return self.snapshot()

    def snapshot(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "origins": self.intake.origins,
            "fleet": self.fleet.snapshot(),
            "seen": self.ledger.seen.snapshot(),
            "teller": self.teller.snapshot(),
        }

    def _restore(self) -> None:
        state = self.checkpoint.load() if self.ledger.durable else None
        if state is None or state.get("node") != self.node:
            self._adopt(self.intake.feeds, {}, {})
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
        self.ledger.seen.restore(state["seen"])
        self.teller.restore(state["teller"])
        self._adopt(self.intake.feeds, state["origins"], state["fleet"])

    def _adopt(self, feeds: Sequence[Feed], origins: Mapping[str, str], state: Mapping[str, Any]) -> None:
        """Watch with these feeds; assets keep their state as far as their feed is still there."""
        watches = {feed.decoder.filter: feed.watch for feed in reversed(feeds)}
        kept = {asset: watches[origin] for asset, origin in origins.items() if origin in watches}
        fleet = Fleet(self.node, self.options.max_assets)
        fleet.restore(state, kept)
        self.intake.adopt(feeds, fleet, {asset: origins[asset] for asset in kept})
        self.teller.adopt(fleet, sorted(set(origins) - set(kept)), time.time_ns())

    # -- changes from outside ------------------------------------------------------------------------------

    def _connected(self, session: Session) -> None:
        self.ledger.reconnected(session)
        self.teller.reconnected(session, self.fleet, self.options.resend_s)
        self._publish_stats()
        if not self._ready:
            self._ready = True
            systemd.ready()
            log.info("ready: %d streams", len(self.intake.feeds))

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
            self._step(self._clock())
            self._adopt(feeds, self.intake.origins, self.fleet.snapshot())
            self.link.resubscribe(self._filters())
            self.ledger.hurry()
            self._taking_up = True

    def _taken_up(self) -> None:
        """Said once the broker knows of it: what is sent from now on is heard. Without a broker there is nobody to wait for."""
        self._taking_up = False
        self.counts["reloads"] += 1
        log.info("settings and models taken up: %d streams", len(self.intake.feeds))
        systemd.ready()

    def _filters(self) -> list[tuple[str, int]]:
        """The mark with QoS 0: one that the broker delivers again, for want of an answer, would be an old one."""
        filters = {feed.decoder.filter: feed.qos for feed in self.intake.feeds}
        return [*filters.items(), (f"{self._prefix}/+/cmd/+", 1), (self.teller.mark_topic, 0)]

    def _finish(self) -> None:
        """Leave nothing undone that a restart would have to do again."""
        systemd.stopping()
        now_ns = self._clock()
        self._step(now_ns)
        if self.ledger.durable:
            self.ledger.save_both(now_ns)
        deadline_ns = now_ns + round(FLUSH_S * SECOND)
        while len(self.outbox) > 0 and self.link.connected and self._clock() < deadline_ns:
            self.link.take(0, 0.05)
            self.teller.confirm()
        self.link.stop()
        self.outbox.close()
        self.intake.close()
        log.info("stopped")

    # -- once a second -------------------------------------------------------------------------------------

    def _look_after(self, now_ns: int) -> None:
        self._second_ns = now_ns + SECOND
        self.outbox.retry()
        self.teller.tell(self.fleet.tick(time.time_ns(), self.link.connected), self.fleet, now_ns)
        for detector in self.fleet.detectors.values():
            self.teller.show(detector)
            self.teller.show_health(detector)
        self._say_fault(self.ledger.fault)
        if now_ns - self._summary_ns >= 60 * SECOND:
            self._summary_ns = now_ns
            self.intake.summarise()
        if now_ns - self._stats_ns >= self.options.stats_interval_s * SECOND:
            self._publish_stats()
        systemd.watchdog()
        systemd.status(status_line(self))

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

    def _publish_stats(self) -> None:
        self._stats_ns = self._clock()
        self.link.publish(f"{self._prefix}/stats", orjson.dumps(node_stats(self)), retain=True)
