"""What cannot be used is named once for each topic and reason; beyond what may be logged it is counted."""

from dataclasses import dataclass

import pytest

from edge_ae.core.timestamps import SECOND
from edge_ae.daemon import refusals as module
from edge_ae.daemon.refusals import LINE_NS, LINES, REMEMBERED, SHOWN, Refusals
from edge_ae.errors import BadPayload

T_NS = 1_790_000_000 * SECOND


@dataclass(frozen=True)
class Left:
    topic: str
    reason: str
    text: str


class Clock:
    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def refused(tried: Refusals, topic: str, reason: str = "bad_time", text: str = "no ts", times: int = 1) -> None:
    for _ in range(times):
        tried.refuse(topic, BadPayload(reason, text), T_NS)


def test_first_payload_of_each_topic_and_reason_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tried = Refusals()
    refused(tried, "plant/a/t", times=100)
    refused(tried, "plant/b/t")
    refused(tried, "plant/a/t", "not_json", "no JSON")
    assert caplog.messages == [
        "plant/a/t: payload not used (bad_time): no ts",
        "plant/b/t: payload not used (bad_time): no ts",
        "plant/a/t: payload not used (not_json): no JSON",
    ]


def test_summary_names_the_busiest_topics_and_says_nothing_twice(caplog: pytest.LogCaptureFixture) -> None:
    tried = Refusals()
    for number in range(5):
        refused(tried, f"t{number}", times=2 + number)
    caplog.clear()
    tried.log_summary()
    tried.log_summary()
    assert caplog.messages == [
        "15 more payloads not used: 5 of t4 (bad_time), 4 of t3 (bad_time), 3 of t2 (bad_time), 3 of others"
    ]


def test_one_payload_that_was_logged_needs_no_summary(caplog: pytest.LogCaptureFixture) -> None:
    tried = Refusals()
    refused(tried, "a")
    caplog.clear()
    tried.log_summary()
    assert caplog.messages == []


def test_topics_without_end_cost_no_more_lines_than_are_allowed_and_none_is_forgotten_by_the_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried, total = Refusals(clock := Clock()), REMEMBERED + LINES + 5
    for number in range(total):
        refused(tried, f"t{number}")
    assert len(caplog.messages) == LINES
    caplog.clear()
    tried.log_summary()
    assert caplog.messages[0].startswith(f"{total - LINES} more payloads not used: 1 of t")
    assert (tried.counts.total(), len(tried.refusals())) == (total, REMEMBERED)
    del clock


def test_topic_without_a_line_is_named_with_its_next_payload_once_there_is_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried = Refusals(clock := Clock())
    for number in range(LINES + 1):
        refused(tried, f"t{number}")
    caplog.clear()
    refused(tried, f"t{LINES}")
    assert caplog.messages == []
    clock.now_ns += LINE_NS
    refused(tried, f"t{LINES}", times=2)
    assert caplog.messages == [f"t{LINES}: payload not used (bad_time): no ts"]


def test_newest_are_shown_first_and_no_more_than_fit() -> None:
    tried = Refusals()
    for number in range(SHOWN + 5):
        refused(tried, f"t{number}")
    refused(tried, "t3", text="none yet")
    tried.omit([Left("t1", "string", "temp comes as text ('n/a')")], T_NS)
    shown = tried.shown()
    assert len(shown["refusals"]) == SHOWN
    assert shown["refusals"][0] == {
        "topic": "t3",
        "reason": "bad_time",
        "text": "none yet",
        "count": 2,
        "last": "2026-09-21T14:13:20.000Z",
    }
    assert shown["omissions"] == [{"topic": "t1", "reason": "string", "text": "temp comes as text ('n/a')"}]


def test_value_that_was_left_out_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    tried, left = Refusals(), Left("plant/a/t", "string", "temp comes as text ('n/a')")
    tried.omit([left], T_NS)
    tried.omit([left], T_NS)  # by the decoder of the same stream after a reload
    assert caplog.messages == ["plant/a/t: temp comes as text ('n/a')"]
    assert tried.counts.total() == 0


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOPIC_CHARS", 12)
    monkeypatch.setattr(module, "TEXT_CHARS", 12)


@pytest.mark.usefixtures("short")
def test_what_comes_from_outside_is_printable_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    tried = Refusals()
    refused(tried, "a\nERROR b" + "c" * 100, text="\x1b[2J" + "d" * 100)
    (line,) = caplog.messages
    assert line == r"a\nERROR ...: payload not used (bad_time): \x1b[2Jdd..."
