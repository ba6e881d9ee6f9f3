"""What came of the readings -> what subscribers get, each thing in its own way.

AlertEvent ─ flood limit ─ outbox ─ checkpoint ─ event      QoS 1, never retained, kept until the broker has it
one that the owner's rules withhold            ─ none       in the history, and in the alert as it stands
the asset's alert as it stands                 ─ alert      QoS 1, retained, sent when it changes and on every connection
its sensors as they stand                      ─ health     likewise
Scored ─ one an asset and interval             ─ score      QoS 0, expires
                                               ─ denoised   likewise, where it is asked for

`take` puts events into the outbox; the loop writes a checkpoint, and then calls `publish_pending`.

Behind each event goes a mark, retained on `outbox`, that names it. On each connection it is read back before anything is sent
again, so that an event which the broker has is not sent twice, and one that it has forgotten is.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from edge_ae.core.alert_events import AlertEvent, EventType, FloodSummary, Happening, Outcome, Withheld
from edge_ae.core.alert_state import Episode
from edge_ae.core.cloud_events import Attributes, attributes
from edge_ae.core.detector import PACE, Detector
from edge_ae.core.events import Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.flood import Flood
from edge_ae.core.health_events import AssetHealth
from edge_ae.core.payloads import (
    alert_payload,
    denoised_payload,
    ended,
    flood_payload,
    health_payload,
    score_payload,
)
from edge_ae.core.timestamps import SECOND, seconds_ns
from edge_ae.daemon.options import DaemonOptions
from edge_ae.mqtt.link import Link, Message, Session
from edge_ae.store.node_store import AlertRecord, NodeStore
from edge_ae.store.outbox import Key, OutgoingMessage

log = logging.getLogger(__name__)

IN_FLIGHT = 64
"""Messages of the outbox handed to the link and not yet acknowledged."""

SCORE_INTERVALS = 3
"""A score expires after so many of its intervals."""

SCORE_EXPIRY_S = 10
"""A score does not expire before this."""

LOAD_PATIENCE_NS = 10 * SECOND
"""What is waited for a state that cannot be read at the start, before events go out without it."""

WARM_UP_EVERY_NS = 60 * SECOND
"""Where nothing of an asset's health has changed but how far its warm-up is, it is published this often."""

MARK_PATIENCE_NS = 3 * SECOND
"""What is waited for the mark on a new connection; a broker may not let us read it."""


@dataclass(frozen=True, slots=True)
class _MarkAwaited:
    """A connection on which the mark has been asked for. `last`: what the broker had acknowledged when it began."""

    connection: int
    session_present: bool
    last: Key
    asked_ns: int


class Publisher:
    """Publishes for one node. `counts`: events, scores. `suppressed`: new alerts that the owner's rules withheld, by which of them.
    `happenings`: what the last `take` was given and made, in order.
    """

    def __init__(self, options: DaemonOptions, link: Link, store: NodeStore) -> None:
        self.counts: Counter[str] = Counter()
        self.suppressed: Counter[str] = Counter()
        self.happenings: list[Happening] = []
        self.flood = Flood(options.node, options.flood_limit, seconds_ns(options.flood_window_s))
        self.mark_topic = f"{options.prefix}/outbox"
        self._options = options
        self._link = link
        self._store = store
        self._outbox = store.outbox
        self._score_interval_ns = seconds_ns(options.score_interval_s)
        self._score_expiry_s = max(round(SCORE_INTERVALS * options.score_interval_s), SCORE_EXPIRY_S)
        self._score_due: dict[str, int] = {}
        self._shown: dict[str, tuple[object, ...]] = {}  # The retained alert of each asset, as last published.
        self._health_shown: dict[str, tuple[AssetHealth, int]] = {}  # Its retained health, likewise, and when that was.
        self._health_logged: dict[str, dict[str, str]] = {}
        self._watched_logged: dict[str, bool] = {}
        self._moved_logged: dict[str, tuple[str, ...]] = {}
        self.has_published = False  # Whether anything of the outbox was handed to the link.
        self._began_ns: int | None = None  # When there was first something to publish.
        self._in_flight: dict[int, Key] = {}
        self._mark_awaited: _MarkAwaited | None = None

    # -- what came of a step -------------------------------------------------------------------------------

    def take(self, results: Iterable[Outcome], fleet: Fleet, now_ns: int) -> list[str]:
        """Publish scores, and put events into the outbox. Returns the assets concerned, whose alert is to be shown."""
        touched: dict[str, None] = {}
        self.happenings = []
        t_ns = 0
        for result in results:
            touched[result.asset] = None
            if type(result) is Scored:
                t_ns = result.t_ns
                self._score(result, fleet, now_ns)
                continue
            event_ns = t_ns if t_ns > 0 else fleet.detectors[result.asset].t_ns
            if isinstance(result, AlertEvent):
                self._event(result, event_ns)
            elif isinstance(result, Withheld):
                self._suppress(result, event_ns)
        return list(touched)

    def _score(self, scored: Scored, fleet: Fleet, now_ns: int) -> None:
        self.happenings.append(scored)
        if self.flood.active:
            over = self.flood.tick(scored.t_ns)
            self.happenings += over
            self._outbox.append([self._summary_message(summary) for summary in over])
        if now_ns < self._score_due.get(scored.asset, 0):
            return
        self._score_due[scored.asset] = now_ns + self._score_interval_ns
        if not self._link.connected:
            return
        self.counts["scores"] += 1
        self._publish_expiring(scored.asset, "score", score_payload(scored.t_ns, scored.verdict))
        row = fleet.denoised(scored.asset) if self._options.denoised else None
        if row is not None:
            self._publish_expiring(scored.asset, "denoised", denoised_payload(fleet.detectors[scored.asset].spec, row))

    def _publish_expiring(self, asset: str, kind: str, body: Mapping[str, Any]) -> None:
        self._link.publish(self._topic(asset, kind), orjson.dumps(body), expiry_s=self._score_expiry_s)

    def _event(self, event: AlertEvent, t_ns: int) -> None:
        self.counts["events"] += 1
        if event.type is not EventType.UPDATE:
            log.info("%s: alert %s, %s: %s", event.asset, event.id, event.type, event.alert.reason)
        payload = orjson.dumps(alert_payload(event.alert))
        passed = self.flood.push(event, t_ns)
        self.happenings += passed if event in passed else [Withheld(event), *passed]
        self._store.record(_record(event, t_ns, payload, announced=event in passed))
        self._outbox.append(
            self._event_message(event.asset, event.id, event.seq, t_ns, payload)
            if isinstance(one, AlertEvent)
            else self._summary_message(one)
            for one in passed
        )

    def _suppress(self, withheld: Withheld, t_ns: int) -> None:
        """Kept in the history and shown as suppressed, and otherwise as if nothing were."""
        event = withheld.event
        if event.type is EventType.NEW:
            self.suppressed[withheld.reason.value] += 1
            text = "" if event.alert.suppression is None else event.alert.suppression.text
            log.info("%s: alert %s is suppressed (%s): %s", event.asset, event.id, text, event.alert.reason)
        self.happenings.append(withheld)
        self._store.record(_record(event, t_ns, orjson.dumps(alert_payload(event.alert)), announced=False))

    def _event_message(self, asset: str, identity: str, seq: int, t_ns: int, payload: bytes) -> OutgoingMessage:
        return OutgoingMessage(identity, seq, t_ns, time.time_ns(), self._topic(asset, "event"), payload)

    def _summary_message(self, summary: FloodSummary) -> OutgoingMessage:
        payload = orjson.dumps(flood_payload(summary))
        topic = f"{self._options.prefix}/flood"
        return OutgoingMessage(summary.id, summary.seq, summary.t_ns, time.time_ns(), topic, payload)

    def _topic(self, asset: str, kind: str) -> str:
        return f"{self._options.prefix}/{asset}/{kind}"

    # -- retained states -----------------------------------------------------------------------------------

    def show(self, detector: Detector) -> None:
        """Publish the retained alert, if it has changed."""
        state, asset = detector.alert, detector.asset
        episode = None if state.episode is None else _steps(state.episode)
        shown = (
            state.active,
            state.phase.value == "pending",
            state.shelved_until_ns,
            state.in_service,
            episode,
            state.suppression,
            detector.quality,
            detector.spec.sha256,
        )
        if self._shown.get(asset) == shown or not self._link.connected:
            return
        if asset not in self._shown:  # it may have been withdrawn, and have come back since
            self._outbox.cancel((self._topic(asset, "alert"), self._topic(asset, "health")))
        if self._publish_state(asset, "alert", alert_payload(detector.alert_now())):
            self._shown[asset] = shown

    def show_health(self, health: AssetHealth, now_ns: int) -> None:
        """Publish an asset's retained health, if it has changed; how far a warm-up is, each minute at most."""
        asset = health.asset
        shown, shown_ns = self._health_shown.get(asset, (None, 0))
        if shown == health or not self._link.connected:
            return
        if shown is not None and _settled(shown) == _settled(health) and now_ns - shown_ns < WARM_UP_EVERY_NS:
            return
        if self._publish_state(asset, "health", health_payload(health)):
            self._health_shown[asset] = health, now_ns
            self._log_health(asset, health)

    def _publish_state(self, asset: str, kind: str, body: Mapping[str, Any]) -> bool:
        return self._link.publish(self._topic(asset, kind), orjson.dumps(body), 1, retain=True) is not None

    def _log_health(self, asset: str, health: AssetHealth) -> None:
        now = {f"channel {one.channel}": str(one.fault) for one in health.channels}
        now |= {} if health.fault in (None, PACE) else {"all channels": health.fault}
        now |= {} if health.pace is None else {"pace": health.pace}
        before = self._health_logged.get(asset, {})
        for name, fault in now.items():
            if before.get(name) != fault:
                log.warning("%s: %s: %s", asset, name, fault.replace("_", " "))
        for name in before.keys() - now.keys():
            log.info("%s: %s: no fault any more", asset, name)
        self._health_logged[asset] = now
        moved = tuple(one.channel for one in health.moved)
        if self._moved_logged.get(asset, ()) != moved:
            self._moved_logged[asset] = moved
            log.info("%s: %s", asset, health.advice or "no channel is away from what its model expects any more")
        if self._watched_logged.get(asset) != health.watched:
            self._watched_logged[asset] = health.watched
            log.info("%s: %s", asset, "watched" if health.watched else f"not watched: {health.reason}")

    # -- the outbox ----------------------------------------------------------------------------------------

    def acknowledged(self) -> None:
        """Take note of what the broker has acknowledged."""
        keys = [self._in_flight.pop(token) for token in self._link.acked() if token in self._in_flight]
        if keys:
            self._outbox.acknowledge(keys)

    def publish_pending(self, now_ns: int) -> None:
        """Hand pending messages to the link, in order, as many as may be under way, and behind each of them the mark."""
        if self._mark_awaited is not None and now_ns - self._mark_awaited.asked_ns >= MARK_PATIENCE_NS:
            self._no_mark(self._mark_awaited)
        if self._mark_awaited is not None or len(self._outbox) <= len(self._in_flight) or not self._link.connected:
            return
        if not self._may_publish(now_ns):
            return
        flying = set(self._in_flight.values())
        for message in self._outbox.pending(IN_FLIGHT):
            if message.key in flying:
                continue
            with self._link.together():
                token = self._link.publish(message.topic, message.payload, 1, message.retain, user=_attributes(message))
                if token is None:
                    break
                self._publish_mark(message.key)
            self._in_flight[token] = message.key
            self.has_published = True

    def _may_publish(self, now_ns: int) -> bool:
        """While the state cannot be read, events wait: as soon as it can be, others may come of the same readings."""
        self._began_ns = now_ns if self._began_ns is None else self._began_ns
        return self._store.loaded or now_ns - self._began_ns >= LOAD_PATIENCE_NS

    def _publish_mark(self, last: Key) -> None:
        self._link.publish(self.mark_topic, orjson.dumps(last), 1, retain=True)

    # -- connections ---------------------------------------------------------------------------------------

    def reconnected(self, session: Session, fleet: Fleet, now_ns: int) -> None:
        """A new connection: the mark is asked for, and the retained states are made true.

        A message to the mark's own topic comes back behind the retained mark, or alone where there is none.
        """
        self._in_flight.clear()
        self._shown.clear()
        self._health_shown.clear()
        last = self._outbox.last_acknowledged
        self._mark_awaited = _MarkAwaited(session.number, session.present, last, now_ns)
        self._link.publish(self.mark_topic, b"")
        for detector in fleet.detectors.values():
            self.show(detector)

    def mark_received(self, message: Message) -> None:
        """A message on the mark's topic: the mark as the broker had it when the connection began, or our own question."""
        awaited = self._mark_awaited
        if awaited is None or message.connection != awaited.connection:
            return
        if message.retain:
            self._mark_awaited = None
            self._compare(message.payload, awaited.last)
        elif message.payload == b"":
            self._no_mark(awaited)

    def _compare(self, payload: bytes, last: Key) -> None:
        try:
            identity, seq = orjson.loads(payload)
            mark = str(identity), int(seq)
        except (ValueError, TypeError):  # somebody else wrote there
            return
        arrived = self._outbox.acknowledge_up_to(mark)
        again = 0 if arrived > 0 else self._outbox.send_again_between(mark, last)
        if arrived > 0:
            log.info("%d events had reached the broker before the connection or the process ended", arrived)
        elif again > 0:
            log.info("the broker was restored from an older save: %d events are sent again", again)

    def _no_mark(self, awaited: _MarkAwaited) -> None:
        """The broker was never given one, or has lost its memory."""
        self._mark_awaited = None
        if awaited.session_present:
            return
        again = self._outbox.send_again(seconds_ns(self._options.resend_s), time.time_ns())
        if again > 0:
            log.info("the broker has lost its memory: the last %d events are sent again", again)
        self._publish_mark(self._outbox.last_acknowledged)

    # -- assets that come and go ---------------------------------------------------------------------------

    def adopt(self, fleet: Fleet, removed: Iterable[str], now_ns: int) -> None:
        """The fleet is another one: end the alerts that it knows nothing of, and withdraw the assets that are `removed`."""
        for record in self._store.active_alerts():
            detector = fleet.detectors.get(record.asset)
            episode = None if detector is None else detector.alert.episode
            if episode is None or episode.id != record.id:
                self._end(record, now_ns)
        for asset in removed:
            self._withdraw(asset, self._options.prefix, now_ns)
            for shown in (self._shown, self._health_shown, self._health_logged, self._watched_logged, self._score_due):
                shown.pop(asset, None)

    def leave(self, prefix: str, assets: Iterable[str], now_ns: int) -> None:
        """The node had another name or base before: end its alerts and withdraw its assets there, and send nothing again."""
        for record in self._store.active_alerts():
            self._end(record, now_ns, prefix)
        for asset in assets:
            self._withdraw(asset, prefix, now_ns)
        self._outbox.forget_acknowledged()

    def _withdraw(self, asset: str, prefix: str, now_ns: int) -> None:
        """Nothing is to be retained of an asset that is watched no more."""
        self.empty([f"{prefix}/{asset}/{kind}" for kind in ("alert", "health")], now_ns)

    def empty(self, topics: Iterable[str], now_ns: int) -> None:
        """Nothing is to be retained on these topics, as soon as the broker can be reached."""
        self._outbox.append(OutgoingMessage(topic, now_ns, now_ns, now_ns, topic, b"", True) for topic in topics)

    def _end(self, record: AlertRecord, now_ns: int, prefix: str | None = None) -> None:
        """Nobody watches what an alert was raised for any more, or nothing is known of it: it must not stay active."""
        body = ended(orjson.loads(record.payload), now_ns)
        payload = orjson.dumps(body)
        log.info("%s: alert %s, end: it is watched no more", record.asset, record.id)
        if record.announced:
            topic = f"{self._options.prefix if prefix is None else prefix}/{record.asset}/event"
            self._outbox.append([OutgoingMessage(record.id, body["seq"], now_ns, now_ns, topic, payload)])
        self._store.record(replace(record, cleared_ns=now_ns, t_ns=now_ns, payload=payload))


def _steps(episode: Episode) -> tuple[object, ...]:
    """What changes with each step in an alert's life."""
    return episode.id, episode.seq, episode.acked, episode.published_ratio


def _settled(health: AssetHealth) -> AssetHealth:
    """Without what changes with every row."""
    return replace(health, warm_up=None, reason=None, beside=None if health.beside is None else "")


def _attributes(message: OutgoingMessage) -> Attributes:
    """What a retained state has none of: it is no event."""
    if message.retain:
        return ()
    return attributes(message.topic, message.id, message.seq, message.t_ns, message.payload)


def _record(event: AlertEvent, t_ns: int, payload: bytes, *, announced: bool) -> AlertRecord:
    alert = event.alert
    assert alert.raised_ns is not None
    assert alert.ratio is not None
    times = alert.raised_ns, alert.cleared_ns
    return AlertRecord(event.id, event.asset, *times, alert.ratio, announced, t_ns, payload, alert.looks)
