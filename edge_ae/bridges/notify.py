"""Messages to people: when an alert begins and when it ends, with a picture of the last hour.

    the loop's thread: happened, tick ─► ledger ─► file ─► a job ─► the sender's thread ─► its outcome ─► ledger ─► file

The alert history is the truth of what there is to be said, the ledger's file of what was: what a crash left between the two is
found at the start. A service that fails, hangs or answers nonsense costs a counter, and is tried again.
"""

import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from edge_ae.bridges.notify_curves import Hours
from edge_ae.bridges.notify_picture import Curves
from edge_ae.bridges.notify_process import Delivery, Job
from edge_ae.bridges.notify_sender import Sender
from edge_ae.bridges.notify_services import schema_of
from edge_ae.core.alert_events import AlertEvent, EventType, FloodSummary, Happening
from edge_ae.core.detector import Detector
from edge_ae.core.events import Scored
from edge_ae.core.notice_ledger import LedgerState, NoticeLedger
from edge_ae.core.notice_text import Wording
from edge_ae.core.notices import Notice, NoticeText, SendRules
from edge_ae.core.payloads import alert_payload
from edge_ae.core.timestamps import SECOND

log = logging.getLogger(__name__)

NEWS_KEPT = 10_000
"""Steps of alerts between two ticks; more are found in the alert history."""
COMPARE_NS = 30 * SECOND
"""Alerts can end with their asset, of which no bridge is told: the history says so, and is asked this often."""
SAVE_AGAIN_NS = 60 * SECOND
"""A file that cannot be written is tried again this often."""
CLOSE_S = 2.0
"""What stopping waits for a message that is under way."""
PICTURES_TRIED = 2
"""A service may refuse the picture alone: from the third attempt on, a message goes without it."""

Stats = Callable[[], Mapping[str, Any]]
Step = tuple[str, EventType]


class AlertHistory(Protocol):
    """The alerts that a restart finds."""

    @property
    def loaded(self) -> bool:
        """Whether it can be asked."""

    def announced_alerts(self) -> Mapping[str, bool]:
        """Those that were published, in their order, each with whether it has ended."""

    def is_active(self, identity: str, /) -> bool:
        """Whether one has begun and not ended."""

    def alert_body(self, identity: str, /) -> bytes | None:
        """The JSON of one as it was published last; None: it is not remembered, or was none."""


class LedgerFile(Protocol):
    """Where the ledger is kept."""

    @property
    def fault(self) -> str | None:
        """Why it cannot be written at present."""

    def load(self) -> LedgerState | None:
        """None: there is none."""

    def save(self, state: LedgerState, /) -> bool:
        """False: the old one stays."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """`where` it was set, for people: "notify.urls[1]". The URL is secret, and known by a few digits of its hash."""

    where: str
    url: str = field(repr=False)

    @property
    def id(self) -> str:
        """The same over a restart, as long as the URL is; too short to find a password by."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:8]

    @property
    def service(self) -> str:
        """What its URL begins with."""
        return schema_of(self.url)


@dataclass(frozen=True, slots=True)
class NotifyOptions:
    """`zone`: the name of that of the times, None: UTC. `timeout_s`: what a service may take to answer."""

    node: str
    wording: Wording
    rules: SendRules
    min_severity: str = "low"
    pictures: bool = True
    timeout_s: float = 10.0
    zone: str | None = None


class NotifyBridge:
    """Sends to `recipients`."""

    filters: Sequence[tuple[str, int]] = ()

    def __init__(
        self,
        recipients: Sequence[Recipient],
        options: NotifyOptions,
        history: AlertHistory,
        file: LedgerFile,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._recipients = {one.id: one for one in recipients}
        self._options = options
        self._history = history
        self._file = file
        self._clock = clock
        self._ledger = NoticeLedger(list(self._recipients), options.rules, options.min_severity)
        self._sender = Sender(len(self._recipients))
        self._under_way: dict[str, tuple[Notice, ...]] = {}
        self._news: deque[AlertEvent | FloodSummary] = deque(maxlen=NEWS_KEPT)
        self._hours = Hours()
        self._curves: dict[Step, Curves] = {}
        self._failing: set[str] = set()
        self._hints: set[str] = set()
        self._begun = False
        self._compare_ns = self._save_ns = 0

    def counts(self) -> dict[str, dict[str, int]]:
        """By service: messages sent, attempts failed, notices dropped, and those that wait (pending)."""
        found: dict[str, dict[str, int]] = {}
        for recipient in self._recipients.values():
            ours = self._ledger.counts(recipient.id)
            before = found.get(recipient.service, {})
            found[recipient.service] = {name: before.get(name, 0) + count for name, count in ours.items()}
        return found

    # -- what the daemon says --------------------------------------------------------------------------------

    def happened(self, happenings: Sequence[Happening]) -> None:
        """Keep what is to be looked at with the next tick."""
        for one in happenings:
            if isinstance(one, AlertEvent | FloodSummary):
                self._news.append(one)
            elif self._options.pictures and isinstance(one, Scored):
                self._hours.scored(one)

    def tick(self, detectors: Mapping[str, Detector], _stats: Stats, now_ns: int) -> None:
        """Take in what is new, and what has come of messages; hand the next ones to the sender."""
        if not self._begun:
            self._begin(now_ns)
        if self._options.pictures:
            for detector in detectors.values():
                self._hours.follow(detector)
        if not self._begun:  # The history cannot be read yet; it will hold what is new, too.
            return
        while self._news:
            self._take(self._news.popleft(), detectors)
        if now_ns >= self._compare_ns:
            self._compare_open(now_ns)
        self._settle()
        self._save(now_ns)
        self._send()

    def _begin(self, now_ns: int) -> None:
        """Take up what the last run left; what the history has besides is old where there was none, and else was missed."""
        if not self._history.loaded:
            return
        self._begun = self._ledger.changed = True  # Also an empty file says that the start was not the first.
        self._compare_ns = now_ns + COMPARE_NS
        saved, alerts = self._file.load(), self._history.announced_alerts()
        if saved is None:
            fresh = {one.id for one in self._news if isinstance(one, AlertEvent)}
            self._ledger.ignore(alert for alert in alerts if alert not in fresh)
            return
        self._ledger.restore(saved)
        for alert, ended in alerts.items():
            self._catch_up(alert, ended=ended)

    def _compare_open(self, now_ns: int) -> None:
        self._compare_ns = now_ns + COMPARE_NS
        for alert in self._ledger.open:
            if not self._history.is_active(alert):
                self._catch_up(alert, ended=True)

    def _catch_up(self, alert: str, *, ended: bool) -> None:
        """Take in from the history what no happening brought. A flood's summary is not in it."""
        stored = None if self._ledger.knows(alert, ended=ended) else self._history.alert_body(alert)
        if stored is None:
            return
        wording, steps = self._options.wording, (EventType.NEW, EventType.END) if ended else (EventType.NEW,)
        try:
            body = orjson.loads(stored)
            for step in steps:
                self._ledger.take(alert, step, wording.alert(body, step), self._clock())
        except (LookupError, TypeError, ValueError) as fault:  # It was written by another version, or is damaged.
            log.warning("notify: nothing is sent of alert %s: what is kept of it cannot be read (%r)", alert, fault)
            self._ledger.ignore([alert])

    def _take(self, one: AlertEvent | FloodSummary, detectors: Mapping[str, Detector]) -> None:
        wording, now_ns = self._options.wording, self._clock()
        if isinstance(one, FloodSummary):
            if one.type is not EventType.UPDATE:
                self._ledger.take(one.id, one.type, wording.flood(one), now_ns)
            return
        body = alert_payload(one.alert)
        step = EventType.END if one.type is EventType.END else EventType.NEW
        made = self._ledger.take(one.id, step, wording.alert(body, step), now_ns)
        detector = detectors.get(one.asset)
        curves = (
            self._hours.curves(detector, body) if made and self._options.pictures and detector is not None else None
        )
        if curves is not None:
            self._curves[one.id, step] = curves

    # -- sending -------------------------------------------------------------------------------------------

    def _send(self) -> None:
        now_ns = self._clock()
        for name in sorted(self._recipients, key=self._failing.__contains__):  # Who may not answer comes last.
            recipient = self._recipients[name]
            parcel = () if name in self._under_way else self._ledger.next(name, now_ns)
            if parcel and self._sender.offer(name, self._job(recipient, parcel)):
                self._under_way[name] = parcel

    def _job(self, recipient: Recipient, parcel: tuple[Notice, ...]) -> Job:
        options, first = self._options, parcel[0]
        if len(parcel) > 1:
            title, text = options.wording.summary(_lines(parcel), options.node)
            return Job(recipient.url, options.timeout_s, title, text)
        curves = self._curves.get((first.alert, first.step)) if first.tries < PICTURES_TRIED else None
        return Job(recipient.url, options.timeout_s, first.text.title, first.text.text, options.zone, curves)

    def _settle(self) -> None:
        for name, outcome in self._sender.done():
            parcel, now_ns = self._under_way.pop(name), self._clock()
            if outcome.fault is None:
                self._ledger.confirmed(parcel, now_ns)
            given_up = 0 if outcome.fault is None else self._ledger.failed(parcel, now_ns)
            self._log(self._recipients[name], outcome, given_up)
        waited_for = [step for step in self._curves if self._ledger.awaits(*step)]
        self._curves = {step: self._curves[step] for step in waited_for}

    def _log(self, recipient: Recipient, outcome: Delivery, given_up: int) -> None:
        """When a recipient begins to fail, when it no longer does, and what is given up."""
        who = f"{recipient.where} ({recipient.service})"
        if outcome.fault is not None and recipient.id not in self._failing:
            self._failing.add(recipient.id)
            log.warning("notify: %s: a message is not sent: %s; it is tried again for a day", who, outcome.fault)
        elif outcome.fault is None and recipient.id in self._failing:
            self._failing.discard(recipient.id)
            log.info("notify: %s: messages are sent again", who)
        if given_up > 0:
            log.error("notify: %s: given up after a day: %d messages", who, given_up)
        if outcome.hint is not None and outcome.hint not in self._hints:
            self._hints.add(outcome.hint)
            log.warning("notify: %s", outcome.hint)

    def _save(self, now_ns: int) -> None:
        """Where the disk fails, it goes on in memory."""
        if not self._ledger.changed or now_ns < self._save_ns:
            return
        before = self._file.fault
        if self._file.save(self._ledger.state()):
            return
        self._ledger.changed = True
        self._save_ns = now_ns + SAVE_AGAIN_NS
        if before is None:
            log.error("notify: %s; after a restart, messages may be sent twice", self._file.fault)

    def withdrawn(self, asset: str) -> None:
        """Its last hour is of no use any more."""
        self._hours.forget(asset)

    def close(self) -> None:
        """What is under way is waited for, a little; the rest is in the file."""
        self._sender.close(CLOSE_S)
        if self._begun:
            self._settle()
            self._ledger.changed = True
            self._save(self._save_ns)

    # -- what the broker would be asked for ------------------------------------------------------------------

    def retained(self, _assets: Iterable[str]) -> frozenset[str]:
        """It keeps nothing there."""
        return frozenset()

    def connected(self, _detectors: Mapping[str, Detector]) -> None:
        """Nothing has to be made true there."""

    def received(self, _topic: str, _payload: bytes, _retained: bool) -> None:
        """Nothing is subscribed to."""


def _lines(parcel: Sequence[Notice]) -> list[NoticeText]:
    """Of an alert that has ended by now, its end says all."""
    ended = {one.alert for one in parcel if one.step is EventType.END}
    return [one.text for one in parcel if one.step is EventType.END or one.alert not in ended]
