"""What a person reads of an alert."""

from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.alert_events import EventType, FloodSummary
from edge_ae.core.notice_text import LINES, WORD_JOINER, Wording
from edge_ae.core.notices import NoticeText
from edge_ae.core.timestamps import HOUR, MINUTE, parse_time_ns

BODY: dict[str, Any] = {
    "asset": "pump-1",
    "node": "pi-7",
    "severity": "medium",
    "ratio": 2.0142,
    "ts_onset": "2026-11-26T10:03:00.000Z",
    "ts_cleared": None,
    "duration_s": 40.0,
    "reason": "vibration 1.61 mm/s, expected 1.168 (high, 71 % of the deviation)",
}
ENDED = BODY | {"ts_cleared": "2026-11-26T10:40:00.000Z", "duration_s": 2220.0}
BERLIN = Wording(ZoneInfo("Europe/Berlin"), "http://pi-7:8182/asset/{node}/{asset}")


def test_the_beginning_names_asset_reason_time_severity_node_and_page() -> None:
    text = BERLIN.alert(BODY, EventType.NEW)
    assert text.title == "pump-1: alert, medium"
    assert text.text.splitlines() == [
        "vibration 1.61 mm/s, expected 1.168 (high, 71 % of the deviation)",
        "Since 2026-11-26 11:03 CET, severity medium, 2.01 times the boundary.",
        "Node pi-7.",
        "http://pi-7:8182/asset/pi-7/pump-1",
    ]
    assert text.line == f"pump-1, since 2026-11-26 11:03 CET, medium: {BODY['reason']}"


def test_the_end_says_from_when_to_when() -> None:
    text = Wording().alert(ENDED, EventType.END)
    assert text.title == "pump-1: alert is over"
    assert text.text.splitlines() == [
        "From 2026-11-26 10:03 UTC to 2026-11-26 10:40 UTC, 37 min; severity medium, 2.01 times the boundary.",
        f"It was: {BODY['reason']}",
        "Node pi-7.",
    ]


def test_a_flood_has_a_message_at_its_beginning_and_its_end() -> None:
    t_ns = parse_time_ns("2026-11-26T10:00:00Z")
    flood = FloodSummary("pi-7", EventType.NEW, "f", 1, 10, 10 * MINUTE, t_ns, t_ns, 1, ("pump-1",))
    begun = Wording().flood(flood)
    assert begun.title == "pi-7: flood of alerts"
    assert (
        begun.text == "More than 10 new alerts in 10 min; more have no message of their own.\nAt 2026-11-26 10:00 UTC."
    )
    over = Wording().flood(
        FloodSummary("pi-7", EventType.END, "f", 2, 10, 10 * MINUTE, t_ns, t_ns + HOUR, 7, ("a", "b"))
    )
    assert over.title == "pi-7: flood of alerts is over"
    assert over.text == "7 alerts had no message of their own. Assets: a, b.\nAt 2026-11-26 11:00 UTC."


def test_a_summary_has_a_line_each_and_says_how_many_more_there_are() -> None:
    texts = [NoticeText("t", "x", f"line {number}", "low") for number in range(LINES + 4)]
    title, text = Wording().summary(texts, "pi-7")
    assert title == f"pi-7: {LINES + 4} messages in one"
    assert text.splitlines()[-2:] == [f"line {LINES - 1}", "and 4 more"]


@given(asset=st.text(max_size=300), node=st.text(max_size=300), reason=st.text(max_size=3000))
def test_no_name_begins_a_line_or_calls_anybody_or_is_longer_than_a_telephone_shows(
    asset: str, node: str, reason: str
) -> None:
    text = BERLIN.alert(BODY | {"asset": asset, "node": node, "reason": reason}, EventType.NEW)
    assert len(text.text.splitlines()) == 4
    assert len(text.text) < 6_000
    for shown in (text.title, text.line, *text.text.split("\n")):
        assert shown.replace(WORD_JOINER, "").isprintable()
    assert all(part.startswith(WORD_JOINER) for part in text.text.split("@")[1:])


def test_a_header_cannot_be_smuggled_into_a_title() -> None:
    hostile = BODY | {"asset": "pump\r\nBcc: everybody@example.com", "reason": "a\n\n<b>b</b>"}
    text = Wording().alert(hostile, EventType.NEW)
    assert text.title == f"pump\\r\\nBcc: everybody@{WORD_JOINER}example.com: alert, medium"
    assert text.text.splitlines()[0] == "a\\n\\n<b>b</b>"
