"""What was sent to whom, and what waits: the state behind the messages to people. Pure, as all of the core.

    take ─► Notices ─► next ─► Parcel ─► confirmed, or failed ─► sent once more, or given up

Each recipient is on its own: what one refuses is neither kept from the others nor sent to them twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from edge_ae.core.alert_events import EventType
from edge_ae.core.notices import Notice, NoticeText, SendRules, after_failure, next_parcel
from edge_ae.core.payloads import SEVERITY_LEVELS
from edge_ae.core.timestamps import HOUR, MINUTE

KNOWN = 20_000
"""Alerts that are remembered as taken in: more than the alert history keeps."""
WAITING = 200
"""Notices that wait for one recipient; the oldest go first."""
PAUSE_NS = MINUTE
"""After a failure, the recipient's other notices wait, too."""

Step = tuple[str, EventType]


@dataclass(frozen=True, slots=True)
class LedgerState:
    """known: alerts that were taken in, and whether that was their end. begun: of an open alert, the recipients that got its
    beginning. notices: those that wait, in their order.
    """

    known: Mapping[str, bool] = field(default_factory=dict)
    begun: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()


@dataclass(slots=True)
class _Mailbox:
    """One recipient. `begun`: alerts whose beginning it got and whose end it did not. `failed_ns`: when it failed last."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    notices: dict[Step, Notice] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    sent_ns: list[int] = field(default_factory=list)
    failed_ns: int | None = None

    def put(self, notice: Notice) -> None:
        self.notices[notice.alert, notice.step] = notice
        if len(self.notices) > WAITING:
            self.drop(next(iter(self.notices.values())))

    def drop(self, notice: Notice) -> None:
        """It is never sent; nor is the end of what did not begin."""
        for step in (notice.step, EventType.END):
            self.dropped += self.notices.pop((notice.alert, step), None) is not None
        self.begun.discard(notice.alert)

    def expects_end_of(self, alert: str) -> bool:
        return alert in self.begun or (alert, EventType.NEW) in self.notices

    def is_paused(self, now_ns: int) -> bool:
        return self.failed_ns is not None and 0 <= now_ns - self.failed_ns < PAUSE_NS


class NoticeLedger:
    """`changed`: since the last `state`. How often something failed is kept with the next change of another kind."""

    def __init__(self, recipients: Sequence[str], rules: SendRules, min_severity: str) -> None:
        self.changed = False
        self._rules = rules
        self._least = SEVERITY_LEVELS[min_severity]
        self._known: dict[str, bool] = {}
        self._boxes = {name: _Mailbox() for name in recipients}

    # -- alerts --------------------------------------------------------------------------------------------

    @property
    def open(self) -> list[str]:
        """Alerts whose beginning was taken in, and not their end."""
        return [alert for alert, ended in self._known.items() if not ended]

    def knows(self, alert: str, *, ended: bool) -> bool:
        """Whether it was taken in; `ended`: whether its end was."""
        return self._known.get(alert, False) if ended else alert in self._known

    def ignore(self, alerts: Iterable[str]) -> None:
        """Nothing is ever sent of these."""
        for alert in alerts:
            self._remember(alert, ended=True)

    def take(self, alert: str, step: EventType, text: NoticeText, now_ns: int) -> bool:
        """A step in an alert's life. True: notices came of it."""
        if step is EventType.END:
            self._remember(alert, ended=True)
            expecting = [name for name, box in self._boxes.items() if box.expects_end_of(alert)]
            return self._add(expecting, alert, step, text, now_ns)
        if alert in self._known:
            self._escalate(alert, text)
            return False
        if SEVERITY_LEVELS[text.severity] < self._least:
            return False
        self._remember(alert, ended=False)
        return self._add(self._boxes, alert, EventType.NEW, text, now_ns)

    def _remember(self, alert: str, *, ended: bool) -> None:
        self._known[alert] = ended
        self.changed = True
        while len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]

    def _add(self, names: Iterable[str], alert: str, step: EventType, text: NoticeText, now_ns: int) -> bool:
        made = [Notice(alert, step, name, text, now_ns) for name in names]
        for one in made:
            self._boxes[one.recipient].put(one)
        return len(made) > 0

    def _escalate(self, alert: str, text: NoticeText) -> None:
        """What grows more serious while its beginning waits is sent as what it has become, and is held no more for what it was."""
        for box in self._boxes.values():
            waits = box.notices.get((alert, EventType.NEW))
            if waits is not None and SEVERITY_LEVELS[text.severity] > SEVERITY_LEVELS[waits.text.severity]:
                box.notices[alert, EventType.NEW] = replace(waits, text=text, held=False)
                self.changed = True

    # -- sending -------------------------------------------------------------------------------------------

    def counts(self, recipient: str) -> dict[str, int]:
        """Messages that were sent, attempts that failed, notices that wait (pending), and that were given up (dropped)."""
        box = self._boxes[recipient]
        return {"sent": box.sent, "failed": box.failed, "dropped": box.dropped, "pending": len(box.notices)}

    def awaits(self, alert: str, step: EventType) -> bool:
        """Whether anybody waits for this step."""
        return any((alert, step) in box.notices for box in self._boxes.values())

    def next(self, recipient: str, now_ns: int) -> tuple[Notice, ...]:
        """What is to be sent to it now: one notice alone, or many as one summary, or nothing."""
        box = self._boxes[recipient]
        box.sent_ns = [sent for sent in box.sent_ns if 0 <= now_ns - sent < HOUR]
        if not box.notices or box.is_paused(now_ns):
            return ()
        parcel = next_parcel(list(box.notices.values()), box.begun, box.sent_ns, self._rules, now_ns)
        for one in parcel.hold:
            box.notices[one.alert, one.step] = replace(one, held=True)
            self.changed = True
        return parcel.send

    def confirmed(self, sent: Sequence[Notice], now_ns: int) -> None:
        """One message with these has reached its recipient."""
        box = self._boxes[sent[0].recipient]
        box.sent += 1
        box.sent_ns.append(now_ns)
        box.failed_ns = None
        for one in sent:
            box.notices.pop((one.alert, one.step), None)
            (box.begun.add if one.step is EventType.NEW else box.begun.discard)(one.alert)
        self.changed = True

    def failed(self, sent: Sequence[Notice], now_ns: int) -> int:
        """It has not. Returns how many are given up for that."""
        box = self._boxes[sent[0].recipient]
        box.failed += 1
        box.failed_ns = now_ns
        before = box.dropped
        for one in sent:
            now = box.notices.get((one.alert, one.step))
            again = None if now is None else after_failure(now, now_ns)
            if again is not None:
                box.notices[one.alert, one.step] = again
            elif now is not None:
                box.drop(now)
        given_up = box.dropped - before
        self.changed |= given_up > 0
        return given_up

    # -- over a restart ------------------------------------------------------------------------------------

    def state(self) -> LedgerState:
        """What a restart must know."""
        self.changed = False
        begun: dict[str, tuple[str, ...]] = {}
        for name, box in self._boxes.items():
            for alert in sorted(box.begun):
                begun[alert] = (*begun.get(alert, ()), name)
        return LedgerState(
            dict(self._known), begun, tuple(one for box in self._boxes.values() for one in box.notices.values())
        )

    def restore(self, state: LedgerState) -> None:
        """Take up where `state` was made; what waits for who is a recipient no more is forgotten."""
        self._known = dict(state.known)
        for one in state.notices:
            if one.recipient in self._boxes:
                self._boxes[one.recipient].put(one)
        for alert, names in state.begun.items():
            for name in names:
                if name in self._boxes:
                    self._boxes[name].begun.add(alert)
