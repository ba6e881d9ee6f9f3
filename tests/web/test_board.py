"""The overview as plain values: the state's word, the worst first, and only what has changed."""

import json
from typing import Any

import pytest

from edge_ae.core.published import View
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.web.board import SLOT_NS, SPARK, Board
from edge_ae.web.words import LONGEST_NAME, LONGEST_TEXT, STATES

NOW = 1_795_435_200 * SECOND


def said(view: View, topic: str, body: Any, now_ns: int = NOW) -> None:
    view.take(f"edge-ae/{topic}", body if isinstance(body, bytes) else json.dumps(body).encode(), now_ns)


def asset(alert: dict[str, Any], health: dict[str, Any] | None = None, status: bytes = b"online") -> dict[str, Any]:
    view = View("edge-ae", slot_ns=SLOT_NS)
    said(view, "pi/status", status)
    said(view, "pi/pump/alert", alert)
    said(view, "pi/pump/health", health or {"watching": "watched", "state": "ok"})
    row: dict[str, Any] = Board(view).step(NOW)["rows"][0]
    return row


ACTIVE = {"state": "active", "severity": "low", "severity_level": 1, "reason": "flow odd"}


@pytest.mark.parametrize(
    ("alert", "health", "word"),
    [
        (ACTIVE, {}, "alert"),
        (ACTIVE | {"acked": True}, {}, "alert, seen"),
        (ACTIVE | {"shelved": True, "acked": True}, {}, "shelved"),
        ({"state": "pending"}, {}, "pending"),
        ({"state": "suppressed", "reason": "flow odd", "suppressed_by": "rule"}, {}, "suppressed"),
        ({"state": "out_of_service"}, {"watching": "out_of_service"}, "out of service"),
        ({"state": "normal"}, {"watching": "warm_up"}, "warm-up"),
        ({"state": "normal"}, {"watching": "not_watched"}, "not watched"),
        ({"state": "normal", "shelved": True}, {"watching": "watched"}, "shelved"),
        ({"state": "normal"}, {"watching": "watched", "state": "fault"}, "normal, sensor fault"),
        ({"state": "normal"}, {"watching": "watched", "state": "ok"}, "normal"),
        ({}, {}, "nothing known"),
        ({"state": ["active"]}, {"watching": {"a": 1}}, "nothing known"),
    ],
)
def test_the_state_is_a_word(alert: dict[str, Any], health: dict[str, Any], word: str) -> None:
    assert asset(alert, health)["state"] == word


def test_of_a_node_that_is_offline_nothing_is_known() -> None:
    assert asset(ACTIVE, status=b"offline")["state"] == "node offline"


def test_the_worse_state_has_the_lower_rank_and_so_has_the_severer_alert() -> None:
    severe = [asset(ACTIVE | {"severity_level": level})["rank"] for level in (3, 2, 1, 99, -5, "x", None)]
    assert severe == [0, 1, 2, 0, 3, 0, 0]
    ranks = [word.rank for word in STATES.values()]
    assert ranks == sorted(ranks)
    assert len({word.word for word in STATES.values()}) == len(STATES)


@pytest.mark.parametrize(
    ("alert", "health", "why"),
    [
        (ACTIVE, {}, "flow odd"),
        (
            {"state": "suppressed", "reason": "flow odd", "suppressed_by": "rule: flow is muted"},
            {},
            "flow odd (rule: flow is muted)",
        ),
        ({"state": "normal", "reason": "old"}, {"reason": "12 of 64 rows", "pace": "slow"}, "12 of 64 rows"),
        (
            {"state": "normal"},
            {"asset_fault": "frozen", "faults": {"a": "stale", "b": "flat"}},
            "frozen, sensors: a stale, b flat",
        ),
    ],
)
def test_why_is_a_sentence(alert: dict[str, Any], health: dict[str, Any], why: str) -> None:
    assert asset(alert, health)["reason"] == why


def test_only_what_has_changed_is_sent() -> None:
    view = View("edge-ae", slot_ns=SLOT_NS)
    board = Board(view)
    for name in ("a", "b"):
        said(view, f"pi/{name}/alert", {"state": "normal"})
        said(view, f"pi/{name}/score", {"ratio": 0.25})
    first = board.step(NOW)
    assert [row["key"] for row in first["rows"]] == ["pi/a", "pi/b"]
    assert first["rows"][0]["spark"] == [0.25]
    assert board.step(NOW) == {}
    said(view, "pi/b/score", {"ratio": 0.501})
    assert board.step(NOW) == {"rows": [{"key": "pi/b", "ratio": 0.5, "last": 0.501}]}
    said(view, "pi/b/score", {"ratio": 0.4}, NOW + SLOT_NS)
    (row,) = board.step(NOW + SLOT_NS)["rows"]
    assert row == {"key": "pi/b", "ratio": 0.4, "last": 0.4, "slot": (NOW + SLOT_NS) // SLOT_NS}
    said(view, "pi/a/alert", b"")
    assert board.step(NOW + SLOT_NS) == {"gone": ["pi/a"]}
    assert [(one["key"], one["spark"]) for one in board.whole()["rows"]] == [("pi/b", [0.501, 0.4])]


def test_the_sparkline_is_the_last_hour() -> None:
    view = View("edge-ae", slot_ns=SLOT_NS)
    for slot in range(SPARK + 30):
        said(view, "pi/a/score", {"ratio": slot}, NOW + slot * SLOT_NS)
    (row,) = Board(view).step(NOW)["rows"]
    assert (len(row["spark"]), row["spark"][-1]) == (SPARK, SPARK + 29)


def test_a_ratio_that_is_no_number_is_none() -> None:
    view = View("edge-ae", slot_ns=SLOT_NS)
    view.take("edge-ae/pi/a/score", b'{"ratio": 1e400}', NOW)
    view.take("edge-ae/pi/a/score", b'{"ratio": "high"}', NOW)
    view.take("edge-ae/pi/a/score", b'{"ratio": 123456789012345678901234567890}', NOW)
    for row in Board(view).step(NOW).get("rows", []):
        assert row["ratio"] is None or row["ratio"] < 1e300


def test_another_s_text_is_printable_and_cut_and_its_path_cannot_leave_the_page() -> None:
    view = View("edge-ae")
    said(view, "pi/..%2f?x=1&\u202egnp/alert", ACTIVE | {"reason": "\x1b[2J" + "x" * 10_000, "severity": "y" * 10_000})
    (row,) = Board(view).step(NOW)["rows"]
    assert row["path"] == "/asset/pi/..%252f%3Fx%3D1%26%E2%80%AEgnp"
    assert (len(row["name"]) <= LONGEST_NAME, len(row["reason"]) <= LONGEST_TEXT, len(row["severity"]) <= 20) == (
        True,
    ) * 3
    assert all(char.isprintable() for key in ("name", "reason", "severity") for char in row[key])


def test_nodes_that_are_gone_and_floods_are_said_and_an_old_flood_is_not() -> None:
    view = View("edge-ae")
    for node in ("a", "b", "c", "d", "e"):
        said(view, f"{node}/status", b"offline")
    said(view, "a/flood", {"type": "update", "ts": rfc3339(NOW), "reason": "more than 10"})
    said(view, "b/flood", {"type": "new", "ts": rfc3339(NOW - 7200 * SECOND), "reason": "long ago"})
    said(view, "c/flood", {"type": "new", "ts": "never", "reason": "when"})
    said(view, "d/flood", {"type": "end", "ts": rfc3339(NOW), "reason": "over"})
    notices = Board(view).step(NOW, ["first"])["notices"]
    assert notices == [
        "first",
        "Node a is offline: what stands here of its assets is old.",
        "Node b is offline: what stands here of its assets is old.",
        "Node c is offline: what stands here of its assets is old.",
        "2 more nodes are offline.",
        "Flood of alerts on node a: more than 10.",
    ]


def test_what_finds_no_room_is_said() -> None:
    view = View("edge-ae", max_assets=1)
    for name in ("a", "b"):
        said(view, f"pi/{name}/alert", {"state": "normal"})
    assert any("1 messages are not shown" in notice for notice in Board(view).step(NOW)["notices"])
