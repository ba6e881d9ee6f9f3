"""What came of the readings -> what subscribers are told, each thing in its own way.

AlertEvent ─ flood limit ─ outbox on disk ─ event      QoS 1, never retained, kept until the broker has it
the asset's alert as it stands            ─ alert      QoS 1, retained, sent when it changes and on every connection
its sensors as they stand                 ─ health     likewise
Scored ─ one an asset and interval        ─ score      QoS 0, expires
                                          ─ denoised   likewise, where it is asked for
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from edge_ae.core.detector import Detector
from edge_ae.core.events import AlertEvent, AssetHealth, EventType, FloodSummary, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.flood import Flood
from edge_ae.core.orphans import Orphans
from edge_ae.core.payloads import alert_payload, denoised_payload, flood_payload, health_payload, score_payload
from edge_ae.core.timestamps import SECOND
from edge_ae.mqtt.link import Link, Session
from edge_ae.store.outbox import Entry, Key, Outbox

log = logging.getLogger(__name__)

IN_FLIGHT = 64  # events handed to the link and not yet confirmed
SCORE_OUTLIVES = 3  # a score expires after so many intervals,
SCORE_EXPIRY_S = 10  # and this at least
SPENT_KEPT = 100  # times of new alerts remembered for an asset, to say what was spent of its budget


class Teller:
    """Publishes for one node. `counts`: events, scores."""

    def __init__(
        self, prefix: str, link: Link, outbox: Outbox, flood: Flood, score_interval_s: float, denoised: bool = False
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.flood = flood
        self.spent: dict[str, deque[int]] = {}
        self.mark_topic = f"{prefix}/outbox"
        self._prefix = prefix
        self._link = link
        self._outbox = outbox
        self._orphans = Orphans((), lambda _: None)
        self._score_interval_ns = round(score_interval_s * SECOND)
        self._score_expiry_s = max(round(SCORE_OUTLIVES * score_interval_s), SCORE_EXPIRY_S)
        self._denoised = denoised
        self._score_due: dict[str, int] = {}
        self._shown: dict[str, tuple[object, ...]] = {}  # what the retained alert of an asset says
        self._health_shown: dict[str, AssetHealth] = {}  # and its retained health,
        self._sick: dict[str, dict[str, str]] = {}  # and the log
        self._in_flight: dict[int, Key] = {}
        self._connection = 0
        self._confirmed: Key | None = None  # when this connection began; None once it is compared with the mark

    # -- telling -------------------------------------------------------------------------------------------

    def tell(self, results: Iterable[Scored | AlertEvent], fleet: Fleet, now_ns: int) -> bool:
        """Make known what came of a step. True: an alert began or ended, which is worth a checkpoint."""
        touched: dict[str, None] = {}
        entries: list[Entry] = []
        t_ns = 0
        for result in results:
            touched[result.asset] = None
            if type(result) is Scored:
                t_ns = result.t_ns
                entries += self._time_goes_on(result)
                if now_ns >= self._score_due.get(result.asset, 0):
                    self._tell_score(result, fleet, now_ns)
            elif isinstance(result, AlertEvent):
                t_ns = max(t_ns, fleet.detectors[result.asset].last_t_ns or 0) if t_ns == 0 else t_ns
                entries += self._event(result, t_ns)
        self._outbox.append(entries)
        self.pump()
        for asset in touched:
            self.show(fleet.detectors[asset])
        return bool(entries)

    def _time_goes_on(self, scored: Scored) -> list[Entry]:
        entries = []
        if len(self._orphans) > 0:
            for asset, body in self._orphans.passed(scored.asset, scored.t_ns):
                log.info("%s: alert %s was told before a crash and is ended", asset, body["id"])
                entries.append(self._end(asset, body, scored.t_ns))
        if self.flood.active:
            entries += [self._entry(event, scored.t_ns) for event in self.flood.tick(scored.t_ns)]
        return entries

    def _event(self, event: AlertEvent, t_ns: int) -> list[Entry]:
        self.counts["events"] += 1
        if len(self._orphans) > 0:
            self._orphans.told_again(event.asset, event.id)
        if event.type is EventType.NEW:
            self.spent.setdefault(event.asset, deque(maxlen=SPENT_KEPT)).append(t_ns)
        if event.type is not EventType.UPDATE:
            log.info("%s: alert %s, %s: %s", event.asset, event.id, event.type, event.alert.reason)
        return [self._entry(told, t_ns) for told in self.flood.push(event, t_ns)]

    def _entry(self, event: AlertEvent | FloodSummary, t_ns: int) -> Entry:
        if isinstance(event, AlertEvent):
            topic, body = f"{self._prefix}/{event.asset}/event", alert_payload(event.alert)
        else:
            topic, body = f"{self._prefix}/flood", flood_payload(event)
        return Entry(event.id, event.seq, t_ns, time.time_ns(), topic, orjson.dumps(body))

    def _end(self, asset: str, body: Mapping[str, Any], t_ns: int) -> Entry:
        topic = f"{self._prefix}/{asset}/event"
        return Entry(body["id"], body["seq"], t_ns, time.time_ns(), topic, orjson.dumps(body))

    def _tell_score(self, scored: Scored, fleet: Fleet, now_ns: int) -> None:
        self._score_due[scored.asset] = now_ns + self._score_interval_ns
        if not self._link.connected:
            return
        self.counts["scores"] += 1
        body = orjson.dumps(score_payload(scored.t_ns, scored.verdict))
        self._link.publish(f"{self._prefix}/{scored.asset}/score", body, expiry_s=self._score_expiry_s)
        if self._denoised:
            self._tell_denoised(scored.asset, fleet)

    def _tell_denoised(self, asset: str, fleet: Fleet) -> None:
        row = fleet.denoised(asset)
        if row is not None:
            body = orjson.dumps(denoised_payload(fleet.detectors[asset].spec, row))
            self._link.publish(f"{self._prefix}/{asset}/denoised", body, expiry_s=self._score_expiry_s)

    def show(self, detector: Detector) -> None:
        """Publish the retained alert, if it says something new."""
        state = detector.alert
        episode = None if state.episode is None else (state.episode.id, state.episode.seq, state.episode.acked)
        shown = (state.active, state.phase.value == "pending", state.shelved_until_ns, state.in_service, episode)
        if self._shown.get(detector.asset) == shown or not self._link.connected:
            return
        body = orjson.dumps(alert_payload(detector.alert_now()))
        if self._link.publish(f"{self._prefix}/{detector.asset}/alert", body, 1, retain=True) is not None:
            self._shown[detector.asset] = shown

    def show_health(self, detector: Detector) -> None:
        """Publish the retained health, if it says something new."""
        asset, health = detector.asset, detector.health_now()
        if self._health_shown.get(asset) == health or not self._link.connected:
            return
        body = orjson.dumps(health_payload(health))
        if self._link.publish(f"{self._prefix}/{asset}/health", body, 1, retain=True) is not None:
            self._health_shown[asset] = health
            self._log_health(asset, health)

    def _log_health(self, asset: str, health: AssetHealth) -> None:
        now = {f"channel {one.channel}": str(one.fault) for one in health.channels}
        now |= {} if health.fault is None else {"all channels": health.fault}
        before = self._sick.get(asset, {})
        for name, fault in now.items():
            if before.get(name) != fault:
                log.warning("%s: %s: %s", asset, name, fault.replace("_", " "))
        for name in before.keys() - now.keys():
            log.info("%s: %s: no fault any more", asset, name)
        self._sick[asset] = now

    # -- the outbox ----------------------------------------------------------------------------------------

    def confirm(self) -> None:
        """Take note of what the broker has, and send what waits."""
        keys = [self._in_flight.pop(token) for token in self._link.acked() if token in self._in_flight]
        if keys:
            self._outbox.done(keys)
        self.pump()

    def broker_remembers(self, mark: bytes, connection: int) -> None:
        """The mark as the broker had it when the connection began, perhaps long ago: what it had forgotten is sent again."""
        if connection != self._connection or self._confirmed is None:
            return
        last, self._confirmed = self._confirmed, None
        try:
            identity, seq = orjson.loads(mark)
            again = self._outbox.send_again_between((identity, seq), last)
        except (ValueError, TypeError):  # somebody else wrote there
            return
        if again > 0:
            log.info("the broker was restored from an older save: %d events are sent again", again)
            self.pump()

    def pump(self) -> None:
        """Hand pending events to the link, in order, as many as may be under way; behind them, how far they go.

        A broker that has the mark has them. One that is restored from an older save gives back an older mark.
        """
        if len(self._outbox) <= len(self._in_flight) or not self._link.connected:
            return
        last, flying = None, set(self._in_flight.values())
        for entry in self._outbox.pending(IN_FLIGHT):
            if entry.key in flying:
                continue
            token = self._link.publish(entry.topic, entry.payload, 1)
            if token is None:
                break
            self._in_flight[token] = last = entry.key
        if last is not None:
            self._mark(last)

    def _mark(self, last: Key) -> None:
        self._link.publish(self.mark_topic, orjson.dumps(last), 1, retain=True)

    def reconnected(self, session: Session, fleet: Fleet, resend_s: float) -> None:
        """A new connection: what was under way on the old one is sent again, and the retained alerts are made true."""
        self._in_flight.clear()
        self._shown.clear()
        self._health_shown.clear()
        self._connection, self._confirmed = session.number, self._outbox.last_confirmed
        if not session.present:
            again = self._outbox.send_again(round(resend_s * SECOND), time.time_ns())
            if again > 0:
                log.info("the broker knows no session of ours: the last %d events are sent again", again)
            self._mark(self._outbox.last_confirmed)
        self.pump()
        for detector in fleet.detectors.values():
            self.show(detector)

    # -- assets that come and go ---------------------------------------------------------------------------

    def adopt(self, fleet: Fleet, gone: Iterable[str], now_ns: int) -> None:
        """The fleet is another one: end what was told and is not known to it, and withdraw the assets that are `gone`."""

        def present(asset: str) -> str | None:
            detector = fleet.detectors.get(asset)
            return None if detector is None or detector.alert.episode is None else detector.alert.episode.id

        self._orphans = Orphans(self._told(), present)
        for asset in gone:
            ends = self._orphans.abandoned(asset, now_ns)
            self._outbox.append(self._end(*end, now_ns) for end in ends)
            self._link.publish(f"{self._prefix}/{asset}/alert", b"", 1, retain=True)
            self._link.publish(f"{self._prefix}/{asset}/health", b"", 1, retain=True)
            self._shown.pop(asset, None)
            self._health_shown.pop(asset, None)
            self._score_due.pop(asset, None)

    def _told(self) -> Iterable[tuple[str, int, Mapping[str, Any]]]:
        for entry in self._outbox.history():
            asset, _, kind = entry.topic.removeprefix(f"{self._prefix}/").partition("/")
            if kind == "event":
                yield asset, entry.t_ns, orjson.loads(entry.payload)

    def snapshot(self) -> dict[str, Any]:
        return {"flood": self.flood.snapshot(), "spent": {asset: list(times) for asset, times in self.spent.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.flood.restore(state["flood"])
        self.spent = {asset: deque(times, maxlen=SPENT_KEPT) for asset, times in state["spent"].items()}
