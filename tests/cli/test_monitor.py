"""The view: what was said last is drawn, in as many lines and cells as there are, and nothing can break it."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ae.cli.monitor import bar, render, sparkline
from edge_ae.core.published import View
from edge_ae.core.timestamps import SECOND
from tests.conftest import Broker, Subscriber, wait_for

NOW = 1_795_435_200 * SECOND
ALERT = {
    "state": "active",
    "severity": "high",
    "top_channel": "flow",
    "top_share": 0.63,
    "ts_onset": "2026-11-23T11:10:00Z",
    "reason": "flow 3.1 m3/h, expected 4.2",
}
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def view(**topics: Any) -> View:
    made = View("edge-ae")
    made.take("edge-ae/pi/status", b"online", NOW)
    for name, body in topics.items():
        asset, _, kind = name.rpartition("_")
        made.take(f"edge-ae/pi/{asset}/{kind}", json.dumps(body).encode(), NOW)
    return made


def test_the_picture_shows_status_ratio_state_cause_and_reason() -> None:
    shown = view(fan_score={"ratio": 0.5}, fan_alert={"state": "normal"}, pump_score={"ratio": 1.5}, pump_alert=ALERT)
    shown.take("edge-ae/pi/stats", b'{"received": 12345, "dropped": {"late": 3, "future": 1}, "outbox": 0}', NOW)
    lines = [line.rstrip() for line in render(shown, 100, 8, NOW, colour=False)]
    assert lines == [
        " edge-ae   pi online",
        " ASSET            0  RATIO  1         2        RECENT     STATE           WHY",
        " pump             ██████████│█████        1.50          ▆ ALERT high      flow 63%, since 50 min",
        "   └ flow 3.1 m3/h, expected 4.2",
        " fan              █████     │             0.50          ▃ normal",
        "",
        "",
        " received 12,345   dropped 4   outbox 0   q quits",
    ]


def test_a_suppressed_alert_is_none_and_says_what_suppressed_it() -> None:
    quiet = ALERT | {"state": "suppressed", "suppressed_by": "rule: flow is muted"}
    shown = view(fan_score={"ratio": 0.5}, fan_alert={"state": "normal"}, pump_score={"ratio": 1.5}, pump_alert=quiet)
    (line,) = (one for one in render(shown, 120, 8, NOW, colour=False) if "pump" in one)
    assert line.split()[-5:] == ["suppressed", "rule:", "flow", "is", "muted"]


def test_an_asset_that_has_no_model_yet_says_how_far_it_is() -> None:
    text = "learned from 3 of 168 hours; first model at 24 h"
    seen = View("edge-ae")
    health = {"watching": "learning", "watched": False, "reason": text, "learning": text}
    seen.take("edge-ae/pi/pump/health", json.dumps(health).encode(), NOW)
    (line,) = (line for line in render(seen, 200, 8, NOW, colour=False) if "pump" in line)
    assert " learning " in line
    assert text in line


@pytest.mark.parametrize(
    ("health", "shown"),
    [
        (
            {"reason": "12 of 64 rows, first score about 2026-11-24 14:20 UTC", "rows": 12, "rows_needed": 64}
            | {"first_score": "2026-11-24T14:20:00.000Z"},
            f"12 of 64 rows, first score about {time.strftime('%H:%M', time.localtime(1795530000))}",
        ),
        ({"reason": "5 of 8 sensors are at fault", "rows": 64, "rows_needed": 64}, "5 of 8 sensors are at fault"),
        ({"reason": None, "pace": "readings come every 100 ms"}, "readings come every 100 ms"),
        ({"reason": "1 of 2 rows", "rows": 1, "rows_needed": 2, "first_score": "never"}, "first score about never"),
        ({"reason": 5, "pace": {}, "faults": {"flow": "flat"}}, "5, sensors: flow flat"),
    ],
)
def test_why_an_asset_is_not_watched_is_shown_in_the_time_of_this_machine(health: dict[str, Any], shown: str) -> None:
    lines = render(view(pump_health=health, pump_alert={"state": "normal"}), 200, 8, NOW, colour=False)
    assert shown in lines[2]


def test_the_boundary_is_the_middle_of_the_bar() -> None:
    assert bar(0.0) == " " * 10 + "│" + " " * 10
    assert bar(1.0) == "█" * 10 + "│" + " " * 10
    assert bar(2.0) == "█" * 10 + "│" + "█" * 10
    assert bar(7.0) == "█" * 10 + "│" + "█" * 9 + "►"
    assert bar(None) == bar(0.0)


def test_the_sparkline_ends_with_the_newest() -> None:
    assert sparkline([0.0, 1.0, 2.0, 9.0], 6) == "  ▁▅██"
    assert sparkline([9.0, 9.0, 0.0], 2) == "█▁"


def test_assets_with_alerts_come_first_and_those_without_room_are_counted() -> None:
    shown = view(**{f"a{n}_score": {"ratio": 0.1} for n in range(9)}, z_alert=ALERT)
    lines = render(shown, 80, 8, NOW, colour=False)
    assert len(lines) == 8
    assert lines[2].startswith(" z ")
    assert "… and 7 more" in lines[6]


def dead(shown: View, node: str, assets: int, alert: Any = None) -> None:
    shown.take(f"edge-ae/{node}/status", b"offline", NOW)
    shown.take(f"edge-ae/{node}/stats", b'{"received": 1}', NOW)
    for number in range(assets):
        body = json.dumps(alert or {"state": "normal"}).encode()
        shown.take(f"edge-ae/{node}/a{number}/alert", body, NOW)


def test_dead_nodes_are_one_line_and_crowd_out_no_live_one() -> None:
    shown = view(fan_score={"ratio": 0.5}, pump_alert=ALERT, pump_score={"ratio": 1.5})
    dead(shown, "a-quiet", 50)
    dead(shown, "b-alarmed", 2, ALERT)
    lines = [line.rstrip() for line in render(shown, 140, 8, NOW, colour=False)]
    assert lines[0] == " edge-ae   pi online   2 offline"
    assert [line[:6] for line in lines[2:5]] == [" pump ", "   └ f", " fan  "]
    assert (
        lines[6]
        == " offline, edge-ae purge takes back what is left of them: b-alarmed (2 assets, 2 in alert), a-quiet (50 assets)"
    )
    assert lines[7] == " q quits"


def test_without_a_live_node_the_head_is_red() -> None:
    shown = View("edge-ae")
    dead(shown, "pi", 1)
    assert render(shown, 80, 6, NOW)[0].startswith("\x1b[31m edge-ae   pi offline")


def test_a_score_that_is_old_says_so() -> None:
    lines = render(
        view(fan_score={"ratio": 0.5}, fan_alert={"state": "normal"}), 100, 8, NOW + 61 * SECOND, colour=False
    )
    assert "normal quiet" in lines[2]


def test_view_without_messages_shows_that_there_are_none() -> None:
    lines = render(View("edge-ae"), 80, 5, NOW, colour=False)
    assert "no node has said anything yet" in lines[0]
    assert "waiting for readings" in lines[3]


def test_what_a_message_holds_cannot_move_the_cursor() -> None:
    shown = view(pump_alert=ALERT | {"reason": "\x1b[2Jgone\nnext"})
    assert all("\x1b" not in line and "\n" not in line for line in render(shown, 80, 8, NOW, colour=False))


bodies = st.dictionaries(
    st.sampled_from(["ratio", "state", "severity", "top_channel", "top_share", "ts_onset", "reason", "faults", "received", "dropped"]),
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=3), max_size=2) | st.just("active") | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)  # fmt: skip
topics = st.sampled_from(
    ["pi/status", "pi/stats", "pi/a/score", "pi/a/alert", "pi/泵/alert", "pi/a/health", "x", "a/b/c/d"]
)
said = st.tuples(topics, st.binary(max_size=10) | bodies.map(lambda body: json.dumps(body).encode()))


@settings(max_examples=400, deadline=None)
@given(st.lists(said, max_size=8), st.integers(1, 200), st.integers(1, 30))
def test_any_messages_fit_any_window(messages: list[tuple[str, bytes]], width: int, height: int) -> None:
    shown = View("edge-ae")
    for topic, payload in messages:
        shown.take(f"edge-ae/{topic}", payload, NOW)
    lines = render(shown, width, height, NOW)
    assert len(lines) == height or height < 3
    assert len(lines) <= height
    assert all(cells(CODES.sub("", line)) <= width for line in lines)


def cells(line: str) -> int:
    """How far a terminal's cursor moves."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in line)
    return len(line) + wide - sum(unicodedata.combining(char) > 0 for char in line)


def command(broker: Broker) -> list[str]:
    return [sys.executable, "-m", "edge_ae", "watch", "--host", "127.0.0.1", "--port", str(broker.port)]


def test_in_a_pipe_every_change_is_a_line(broker: Broker, listener: Subscriber) -> None:
    listener.publish("edge-ae/pi/status", "online", retain=True)
    listener.publish("edge-ae/pi/pump/alert", {"state": "normal"}, retain=True)
    process = subprocess.Popen(command(broker), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = {process.stdout.readline()[20:] for _ in range(2)}
    assert printed == {"pi online\n", "pi/pump normal\n"}
    listener.publish("edge-ae/pi/pump/alert", ALERT, retain=True)
    assert process.stdout.readline()[20:] == "pi/pump active: flow 3.1 m3/h, expected 4.2\n"
    process.terminate()
    assert process.wait(10) == 0


def test_on_a_terminal_q_ends_it_and_the_terminal_is_as_before(
    broker: Broker, listener: Subscriber, tmp_path: Path
) -> None:
    listener.publish("edge-ae/pi/pump/alert", ALERT, retain=True)
    master, slave = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "12"}
    process = subprocess.Popen(command(broker), stdin=slave, stdout=slave, stderr=slave, env=env, cwd=tmp_path)
    seen = b""

    def read() -> bool:
        nonlocal seen
        while select.select([master], [], [], 0)[0]:
            seen += os.read(master, 65536)
        return "└ flow 3.1 m3/h".encode() in seen

    wait_for(read, "the picture")
    os.write(master, b"q")
    assert process.wait(10) == 0
    read()
    assert seen.startswith(b"\x1b[?1049h\x1b[?25l")
    assert seen.endswith(b"\x1b[?25h\x1b[?1049l")
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("payload", [b"[" * 100_000, b"\xff", b"[]", b"null", b'{"ratio": NaN}'])
def test_what_is_no_object_changes_nothing(payload: bytes) -> None:
    shown = View("edge-ae")
    shown.take("edge-ae/pi/a/score", payload, NOW)
    assert shown == View("edge-ae", unused=shown.unused)
