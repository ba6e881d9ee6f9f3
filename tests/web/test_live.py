"""One state for all browsers: it asks for what is looked at and for nothing else, and says what came of a command."""

import asyncio
import json
from typing import Any

import pytest

from edge_ae.core.timestamps import SECOND
from edge_ae.web import live as module
from edge_ae.web.live import MAX_BYTES, MAX_INBOX, MAX_INBOX_BYTES, MAX_WATCHED, Live

NOW = 1_795_435_200 * SECOND
KEY = ("pi", "pump")


class Wire:
    """A connection that keeps what was sent."""

    replies, fault, has_answers = "reply/page", "", True

    def __init__(self, *, connected: bool = True) -> None:
        self.connected = connected
        self.sent: list[tuple[str, Any]] = []

    def command(self, topic: str, payload: bytes) -> int | None:
        if not self.connected:
            return None
        self.sent.append((topic.removeprefix("edge-ae/"), json.loads(payload)))
        return len(self.sent)


def live(wire: Wire) -> Live:
    made = Live("edge-ae")
    made.attach(wire)
    return made


def names(wire: Wire) -> list[str]:
    return [topic.rpartition("/")[2] for topic, _ in wire.sent]


def test_signals_are_asked_for_again_and_again_while_somebody_looks_and_history_once() -> None:
    wire = Wire()
    state = live(wire)
    state.step(NOW)
    assert wire.sent == []
    state.look_at(KEY)
    state.look_at(KEY)
    for second in range(61):
        state.step(NOW + second * SECOND)
    assert wire.sent == [
        ("pi/pump/cmd/view", {"for_s": 60, "whole": True}),
        ("pi/pump/cmd/history", {"days": 30, "limit": 50}),
        ("pi/pump/cmd/view", {"for_s": 60}),
        ("pi/pump/cmd/view", {"for_s": 60}),
    ]
    state.look_away(KEY)
    state.look_away(KEY)
    state.step(NOW + 200 * SECOND)
    assert (len(wire.sent), state.watched) == (4, {})


def test_an_event_of_an_asset_that_is_looked_at_asks_for_its_history_anew() -> None:
    wire = Wire()
    state = live(wire)
    state.look_at(KEY)
    state.step(NOW)
    state.offer("edge-ae/pi/pump/event", b'{"type": "new", "similar_to": "mode 2"}')
    state.offer("edge-ae/pi/fan/event", b'{"type": "new"}')
    state.step(NOW + SECOND)
    state.step(NOW + 2 * SECOND)
    assert names(wire) == ["view", "history", "history"]
    assert state.watched[KEY].mode == "mode 2"


def test_nothing_is_asked_without_a_broker_and_all_of_it_once_there_is_one() -> None:
    wire = Wire(connected=False)
    state = live(wire)
    state.look_at(KEY)
    state.step(NOW)
    note = state.connection_note
    assert note is not None
    wire.connected = True
    state.step(NOW + SECOND)
    assert state.connection_note is None
    assert names(wire) == ["view", "history"]
    wire.connected = False
    state.step(NOW + 2 * SECOND)
    assert state.connection_note == ((NOW + 2 * SECOND) // 10**6, "")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b'{"ok": true}', ""),
        (b'{"error": "there is no such asset"}', "there is no such asset"),
        (b"\xff", "the node's answer cannot be read"),
        (b"[]", "[]"),
        (b'{"error": "\\u001b<b>"}', "\\x1b<b>"),
        (b"{}", "refused without a reason"),
    ],
)
def test_what_the_node_answers_is_said(answer: bytes, fault: str) -> None:
    wire = Wire()
    state = live(wire)

    async def ask() -> str:
        asked = asyncio.ensure_future(state.command(KEY, "ack", {}))
        await asyncio.sleep(0)
        assert state.is_asked
        state.offer("reply/page/1", answer)
        state.offer("reply/page/x", answer)
        state.step(NOW)
        return await asked

    assert asyncio.run(ask()) == fault
    assert not state.is_asked
    assert wire.sent == [("pi/pump/cmd/ack", {})]


def test_a_command_that_was_not_sent_or_not_answered_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.01)
    wire = Wire(connected=False)
    state = live(wire)
    assert "not sent" in asyncio.run(state.command(KEY, "ack", {}))
    wire.connected = True
    assert "has not answered" in asyncio.run(state.command(KEY, "ack", {}))
    wire.has_answers = False
    assert asyncio.run(state.command(KEY, "ack", {})) == ""


def test_what_is_too_much_is_dropped_and_said() -> None:
    state = live(Wire())
    for _ in range(MAX_INBOX + 3):
        state.offer("edge-ae/pi/status", b"online")
    state.step(NOW)
    state.offer("edge-ae/pi/stats", b" " * (MAX_BYTES + 1))
    state.look_at(KEY)
    for payload in (b"[]", b"\xff", b'{"alerts": 5}'):
        state.offer("edge-ae/pi/pump/history", payload)
    changes = state.step(NOW)
    assert state.dropped == 7
    assert any("7 messages were dropped" in notice for notice in changes["notices"])


def test_so_many_assets_can_be_looked_at() -> None:
    state = live(Wire())
    assert all(state.look_at(("pi", str(number))) is not None for number in range(MAX_WATCHED))
    assert state.look_at(KEY) is None
    assert state.look_at(("pi", "0")) is not None


def test_a_thousand_assets_are_one_list() -> None:
    state = live(Wire())
    for number in range(1_000):
        state.offer(f"edge-ae/pi/a{number}/alert", b'{"state": "normal"}')
        state.offer(f"edge-ae/pi/a{number}/score", b'{"ratio": 0.5}')
    assert len(state.step(NOW)["rows"]) == 1_000
    state.offer("edge-ae/pi/a7/score", b'{"ratio": 0.75}')
    assert [row["key"] for row in state.step(NOW)["rows"]] == ["pi/a7"]


def test_what_waits_is_bounded_in_bytes_and_not_in_messages_alone() -> None:
    state = live(Wire())
    room = MAX_INBOX_BYTES // MAX_BYTES
    for _ in range(room + 5):
        state.offer("edge-ae/pi/flood", b" " * MAX_BYTES)
    assert state.dropped == 5
    state.step(NOW)
    state.offer("edge-ae/pi/flood", b" " * MAX_BYTES)
    assert state.dropped == 5
