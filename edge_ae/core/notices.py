"""Messages to people, and when each goes out. Pure: times are integer nanoseconds of the wall clock.

    an alert begins or ends ─► a Notice for each recipient ─┬─► Parcel of one ─────► sent; or tried again, later and later
                                quiet hours, rate limit ─► held ─► Parcel of many ─► one summary

A recipient's notices stand in the order in which they were made. The end of an alert goes out only where its beginning did.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from edge_ae.core.alert_events import EventType
from edge_ae.core.quiet_hours import QuietHours
from edge_ae.core.timestamps import HOUR, MINUTE

HIGH = "high"
BACKOFF_NS = MINUTE
"""After the first failure; each further one doubles it, up to an hour."""
LONGEST_BACKOFF_NS = HOUR
GIVE_UP_NS = 24 * HOUR
"""A notice that has failed for so long is given up with its next failure ..."""
TRIES = 12
"""... if it was tried so often: a clock that is set right at the start is no day that has gone by."""
SUMMED_UP = 500
"""Notices in one summary; more wait for the next."""


@dataclass(frozen=True, slots=True)
class NoticeText:
    """What a person reads, as plain text: `title` of one line, `text`, and `line` in place of both in a summary."""

    title: str
    text: str
    line: str
    severity: str


@dataclass(frozen=True, slots=True)
class Notice:
    """The beginning (`step` NEW) or the end of an alert, for one recipient.

    due_ns: not sent before. tries: how often it failed, since `failing_ns`. held: it waits for a summary.
    """

    alert: str
    step: EventType
    recipient: str
    text: NoticeText
    due_ns: int
    tries: int = 0
    failing_ns: int | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class SendRules:
    """When messages go out. `max_per_hour`: to one recipient. `high_passes`: quiet hours do not hold what is of high severity."""

    max_per_hour: int
    quiet: QuietHours | None = None
    high_passes: bool = False

    def holds(self, notice: Notice, now_ns: int) -> bool:
        """Whether it is not a time to disturb people with this."""
        if self.quiet is None or not self.quiet.covers(now_ns):
            return False
        return not (self.high_passes and notice.text.severity == HIGH)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What to do now for one recipient. `hold`: keep these for a summary. `send`: one alone, or many as one summary."""

    hold: tuple[Notice, ...] = ()
    send: tuple[Notice, ...] = ()


def next_parcel(
    notices: Sequence[Notice], begun: Set[str], sent_ns: Sequence[int], rules: SendRules, now_ns: int
) -> Parcel:
    """Of one recipient's notices, in their order.

    begun: alerts whose beginning it got. sent_ns: when messages were sent to it in the last hour, or longer ago.
    """
    full = sum(0 <= now_ns - sent < HOUR for sent in sent_ns) >= rules.max_per_hour
    due = [one for one in notices if is_due(one, now_ns)]
    hold = tuple(one for one in due if not one.held and (full or rules.holds(one, now_ns)))
    if full:
        return Parcel(hold)
    waiting = [one for one in due if one.held and not rules.holds(one, now_ns)]
    return Parcel(hold, _in_order(waiting, begun)[:SUMMED_UP] or _first(due, hold, begun))


def _in_order(held: Sequence[Notice], begun: Set[str]) -> tuple[Notice, ...]:
    """Those whose alert's beginning is known to the recipient, or is among them."""
    known = begun | {one.alert for one in held if one.step is EventType.NEW}
    return tuple(one for one in held if one.step is EventType.NEW or one.alert in known)


def _first(due: Sequence[Notice], hold: Sequence[Notice], begun: Set[str]) -> tuple[Notice, ...]:
    free = (one for one in due if not one.held and one not in hold)
    return next(((one,) for one in free if one.step is EventType.NEW or one.alert in begun), ())


def is_due(notice: Notice, now_ns: int) -> bool:
    """A clock that was set back by more than the longest backoff makes nobody wait for it."""
    return not 0 < notice.due_ns - now_ns <= LONGEST_BACKOFF_NS


def after_failure(notice: Notice, now_ns: int) -> Notice | None:
    """The same, to be tried again; None: it is given up."""
    since_ns = now_ns if notice.failing_ns is None else notice.failing_ns
    if now_ns - since_ns >= GIVE_UP_NS and notice.tries >= TRIES:
        return None
    wait_ns = min(BACKOFF_NS << min(notice.tries, 16), LONGEST_BACKOFF_NS)
    return replace(notice, due_ns=now_ns + wait_ns, tries=notice.tries + 1, failing_ns=since_ns)
