"""What is sent to whom and when, over any order of alerts, failures and times of day."""

from collections import Counter
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.alert_events import EventType
from edge_ae.core.notice_ledger import KNOWN, PAUSE_NS, WAITING, NoticeLedger
from edge_ae.core.notices import GIVE_UP_NS, TRIES, Notice, NoticeText, SendRules, after_failure, next_parcel
from edge_ae.core.quiet_hours import QuietHours
from edge_ae.core.timestamps import HOUR, MINUTE, parse_time_ns

NEW, END, UPDATE = EventType.NEW, EventType.END, EventType.UPDATE
NOON = parse_time_ns("2026-11-26T12:00:00Z")
NIGHT = parse_time_ns("2026-11-26T23:00:00Z")
MORNING = parse_time_ns("2026-11-27T06:00:00Z")
QUIET = QuietHours.of("22:00-06:00", UTC)
RULES = SendRules(max_per_hour=1000)


def text(severity: str = "low", title: str = "pump: alert") -> NoticeText:
    return NoticeText(title, "what happened", "pump: in a line", severity)


def ledger(*names: str, rules: SendRules = RULES, min_severity: str = "low") -> NoticeLedger:
    return NoticeLedger(names or ("ann",), rules, min_severity)


def steps(sent: tuple[Notice, ...]) -> list[tuple[str, EventType]]:
    return [(one.alert, one.step) for one in sent]


def send_all(book: NoticeLedger, now_ns: int, name: str = "ann") -> list[list[tuple[str, EventType]]]:
    """Messages, each with the steps in it, until there is nothing to be sent."""
    messages = []
    while parcel := book.next(name, now_ns):
        messages.append(steps(parcel))
        book.confirmed(parcel, now_ns)
    return messages


# -- alerts ----------------------------------------------------------------------------------------------------


def test_an_alert_is_told_at_its_beginning_and_its_end_and_not_between() -> None:
    book = ledger()
    for step in (NEW, UPDATE, UPDATE, END):
        book.take("a", step, text(), NOON)
    assert send_all(book, NOON) == [[("a", NEW)], [("a", END)]]
    assert book.counts("ann") == {"sent": 2, "failed": 0, "dropped": 0, "pending": 0}


def test_what_is_taken_in_twice_is_sent_once() -> None:
    book = ledger()
    for step in (NEW, NEW, END, END):
        book.take("a", step, text(), NOON)
    assert send_all(book, NOON) == [[("a", NEW)], [("a", END)]]
    book.take("a", NEW, text(), NOON)
    assert send_all(book, NOON) == []


def test_an_alert_below_the_least_severity_is_told_once_it_has_reached_it() -> None:
    book = ledger(min_severity="medium")
    book.take("a", NEW, text("low"), NOON)
    assert send_all(book, NOON) == []
    book.take("a", UPDATE, text("high"), NOON)
    book.take("b", NEW, text("low"), NOON)
    book.take("b", END, text("low"), NOON)
    assert send_all(book, NOON) == [[("a", NEW)]]


def test_nothing_is_sent_of_alerts_that_are_to_be_ignored_not_even_their_end() -> None:
    book = ledger()
    book.ignore(["a"])
    book.take("a", UPDATE, text("high"), NOON)
    book.take("a", END, text(), NOON)
    assert send_all(book, NOON) == []


def test_each_recipient_is_on_its_own() -> None:
    book = ledger("ann", "bob")
    book.take("a", NEW, text(), NOON)
    book.failed(book.next("ann", NOON), NOON)
    assert send_all(book, NOON, "bob") == [[("a", NEW)]]
    book.take("a", END, text(), NOON)
    assert send_all(book, NOON, "bob") == [[("a", END)]]
    assert send_all(book, NOON) == []
    assert send_all(book, NOON + MINUTE) == [[("a", NEW)], [("a", END)]]


# -- failures --------------------------------------------------------------------------------------------------


def test_a_failure_is_tried_again_after_a_minute_and_then_later_and_later_up_to_an_hour() -> None:
    book, now, waits = ledger(), NOON, []
    book.take("a", NEW, text(), NOON)
    for _ in range(9):
        book.failed(book.next("ann", now), now)
        began = now
        while not book.next("ann", now):
            now += MINUTE
        waits.append((now - began) // MINUTE)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_has_failed_for_a_day_is_given_up_with_its_end_and_counted() -> None:
    book, now = ledger(), NOON
    book.take("a", NEW, text(), NOON)
    book.take("a", END, text(), NOON)
    while parcel := book.next("ann", now):
        assert steps(parcel) == [("a", NEW)]
        given_up = book.failed(parcel, now)
        now += HOUR
    assert given_up == 2
    assert GIVE_UP_NS <= now - NOON <= GIVE_UP_NS + 2 * HOUR
    assert book.counts("ann")["dropped"] == 2
    assert book.counts("ann")["pending"] == 0


def test_an_end_waits_for_its_beginning_however_late_that_is_tried_again() -> None:
    book = ledger()
    book.take("a", NEW, text(), NOON)
    for minute in (0, 1):
        book.failed(book.next("ann", NOON + minute * MINUTE), NOON + minute * MINUTE)
    book.take("a", END, text(), NOON + MINUTE)
    assert send_all(book, NOON + 2 * MINUTE) == []
    assert send_all(book, NOON + 3 * MINUTE) == [[("a", NEW)], [("a", END)]]


def test_an_end_that_is_held_waits_for_a_beginning_that_is_not_due_yet() -> None:
    begins = Notice("a", NEW, "ann", text(), NOON + MINUTE, tries=1, failing_ns=NOON)
    ends = Notice("a", END, "ann", text(), NOON, held=True)
    assert next_parcel([begins, ends], set(), [], RULES, NOON).send == ()
    assert next_parcel([begins, ends], {"a"}, [], RULES, NOON).send == (ends,)


def test_of_an_end_that_is_given_up_nothing_is_left() -> None:
    book, now = ledger(), NOON
    book.take("a", NEW, text(), NOON)
    send_all(book, NOON)
    assert book.state().begun == {"a": ("ann",)}
    book.take("a", END, text(), NOON)
    while parcel := book.next("ann", now):
        book.failed(parcel, now)
        now += HOUR
    assert (book.state().begun, book.state().notices) == ({}, ())


def test_a_clock_that_is_set_right_after_the_first_failure_is_no_day_gone_by() -> None:
    notice = Notice("a", NEW, "ann", text(), 0, tries=1, failing_ns=0)
    again = after_failure(notice, NOON)
    assert again is not None
    assert after_failure(Notice("a", NEW, "ann", text(), 0, tries=TRIES, failing_ns=0), NOON) is None


def test_a_clock_that_is_set_back_makes_nobody_wait() -> None:
    book = ledger()
    book.take("a", NEW, text(), NOON)
    book.failed(book.next("ann", NOON), NOON)
    assert steps(book.next("ann", NOON - 100 * HOUR)) == [("a", NEW)]


def test_while_a_service_is_away_it_is_asked_once_a_minute_however_much_waits() -> None:
    book, asked = ledger(), 0
    for number in range(50):
        book.take(f"a{number}", NEW, text(), NOON)
    for second in range(600):
        now = NOON + second * MINUTE // 60
        parcel = book.next("ann", now)
        if parcel:
            asked += 1
            book.failed(parcel, now)
    assert asked == 600 * MINUTE // 60 // PAUSE_NS


def test_what_waits_is_bounded_and_what_goes_is_counted() -> None:
    book = ledger()
    for number in range(WAITING + 5):
        book.take(f"a{number}", NEW, text(), NOON)
    counts = book.counts("ann")
    assert (counts["pending"], counts["dropped"]) == (WAITING, 5)
    assert steps(book.next("ann", NOON)) == [("a5", NEW)]


def test_what_is_remembered_is_bounded() -> None:
    book = ledger()
    book.ignore(f"a{number}" for number in range(KNOWN + 3))
    assert not book.knows("a2", ended=True)
    assert book.knows("a3", ended=True)


# -- quiet hours and the rate limit ----------------------------------------------------------------------------


def test_what_comes_in_quiet_hours_is_one_summary_afterwards() -> None:
    book = ledger(rules=SendRules(20, QUIET))
    for name in ("a", "b"):
        book.take(name, NEW, text("high"), NIGHT)
    book.take("a", END, text(), NIGHT)
    assert send_all(book, NIGHT) == []
    assert send_all(book, MORNING) == [[("a", NEW), ("b", NEW), ("a", END)]]
    book.take("b", END, text(), MORNING)
    assert send_all(book, MORNING) == [[("b", END)]]


def test_high_severity_passes_quiet_hours_where_it_may_also_once_it_has_become_high() -> None:
    book = ledger(rules=SendRules(20, QUIET, high_passes=True))
    book.take("a", NEW, text("high"), NIGHT)
    book.take("b", NEW, text("low"), NIGHT)
    assert send_all(book, NIGHT) == [[("a", NEW)]]
    book.take("b", UPDATE, text("high"), NIGHT)
    assert send_all(book, NIGHT) == [[("b", NEW)]]


def test_more_than_may_be_sent_in_an_hour_is_one_summary_once_there_is_room() -> None:
    book = ledger(rules=SendRules(3))
    for number in range(10):
        book.take(f"a{number}", NEW, text(), NOON)
    assert [len(message) for message in send_all(book, NOON)] == [1, 1, 1]
    assert send_all(book, NOON + HOUR - 1) == []
    assert [len(message) for message in send_all(book, NOON + HOUR)] == [7]


def test_a_summary_that_fails_is_sent_once_more_and_its_alerts_are_told_once() -> None:
    book = ledger(rules=SendRules(20, QUIET))
    for name in ("a", "b"):
        book.take(name, NEW, text(), NIGHT)
    book.next("ann", NIGHT)
    book.failed(book.next("ann", MORNING), MORNING)
    assert send_all(book, MORNING) == []
    assert send_all(book, MORNING + MINUTE) == [[("a", NEW), ("b", NEW)]]


ACTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("take"), st.integers(0, 5), st.sampled_from([NEW, UPDATE, END]), st.sampled_from(["low", "high"])
        ),
        st.tuples(st.just("wait"), st.integers(1, 700)),
        st.tuples(st.just("send"), st.sampled_from(["ann", "bob"]), st.booleans()),
        st.tuples(st.just("restart")),
    ),
    max_size=60,
)


class World:
    """A ledger, the time, and what each recipient got."""

    def __init__(self, rules: SendRules) -> None:
        self.rules, self.book, self.now = rules, ledger("ann", "bob", rules=rules), NOON
        self.got: dict[str, list[list[tuple[str, EventType]]]] = {"ann": [], "bob": []}
        self.at: dict[str, list[int]] = {"ann": [], "bob": []}

    def act(self, kind: str, *facts: Any) -> None:
        getattr(self, kind)(*facts)

    def take(self, number: int, step: EventType, severity: str) -> None:
        self.book.take(f"a{number}", step, text(severity), self.now)

    def wait(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    def send(self, name: str, works: bool) -> None:
        parcel = self.book.next(name, self.now)
        if parcel and works:
            self.got[name].append(steps(parcel))
            self.at[name].append(self.now)
            if self.rules.quiet is not None and self.rules.quiet.covers(self.now):
                assert self.rules.high_passes
                assert {one.text.severity for one in parcel} == {"high"}
            self.book.confirmed(parcel, self.now)
        elif parcel:
            self.book.failed(parcel, self.now)

    def restart(self) -> None:
        state = self.book.state()
        self.book = ledger("ann", "bob", rules=self.rules)
        self.book.restore(state)
        assert self.book.state() == state


@given(acts=ACTS, limit=st.integers(1, 4), quiet=st.sampled_from([None, QUIET]), high=st.booleans())
def test_whatever_happens_each_step_comes_once_in_order_and_within_the_limit(
    acts: list[Any], limit: int, quiet: QuietHours | None, high: bool
) -> None:
    world = World(SendRules(limit, quiet, high_passes=high))
    for kind, *facts in acts:
        world.act(kind, *facts)
    restarts = sum(kind == "restart" for kind, *_ in acts)
    for name, messages in world.got.items():
        flat = [step for message in messages for step in message]
        assert max(Counter(flat).values(), default=1) == 1
        assert all((alert, NEW) in flat[: flat.index((alert, END))] for alert, step in flat if step is END)
        for start in world.at[name]:
            assert sum(start <= at < start + HOUR for at in world.at[name]) <= limit * (1 + restarts)


@given(acts=ACTS)
def test_in_the_end_everybody_has_got_everything(acts: list[Any]) -> None:
    world = World(SendRules(1000))
    for kind, *facts in acts:
        world.act(kind, *facts)
    for name in world.got:
        for _ in range(50):
            world.wait(61)
            world.send(name, True)
        begun = {alert for message in world.got[name] for alert, step in message if step is NEW}
        over = {alert for message in world.got[name] for alert, step in message if step is END}
        assert begun - over == set(world.book.open)
        assert world.book.counts(name)["pending"] == 0


@pytest.mark.parametrize("gone", ["bob", "ann"])
def test_what_waits_for_somebody_who_is_no_recipient_any_more_is_forgotten(gone: str) -> None:
    book = ledger("ann", "bob")
    book.take("a", NEW, text(), NOON)
    left = ({"ann", "bob"} - {gone}).pop()
    after = ledger(left)
    after.restore(book.state())
    assert send_all(after, NOON, left) == [[("a", NEW)]]
