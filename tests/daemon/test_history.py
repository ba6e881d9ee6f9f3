"""An asset's past: its alerts, those that nobody was told of among them, and what another budget would have raised."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from edge_ae.core.commands import MOST_ALERTS, AskHistory
from edge_ae.core.peak_hours import HOURS_KEPT, PeakHour
from edge_ae.core.rules import budget_ns
from edge_ae.core.timestamps import HOUR, SECOND, rfc3339
from edge_ae.daemon.history import DAY_NS
from edge_ae.daemon.views import MOST_BYTES
from edge_ae.store.node_store import AlertRecord, Changes, Feedback, NodeStore
from tests.conftest import Broker, Node, Subscriber, wait_for
from tests.daemon.test_views import Page

T0_MS = 1_790_000_000_000
CALM, ALARM = 1.0, 50.0


def rows(first: int, last: int, value: float, after_h: int = 0) -> list[dict[str, Any]]:
    return [{"ts": T0_MS + 3_600_000 * after_h + 100 * row, "a": value, "b": 0.5} for row in range(first, last)]


def history(listener: Subscriber, asset: str, **fields: Any) -> dict[str, Any]:
    before = len(listener.on(f"{asset}/history"))
    assert listener.ask(f"edge-ae/n1/{asset}/cmd/history", fields) == {"ok": True}
    return wait_for(lambda: listener.bodies(f"{asset}/history")[before:], "the history")[0]  # type: ignore[no-any-return]


def test_history_survives_a_kill_and_has_what_a_flood_withheld_and_what_people_said(
    node: Node, listener: Subscriber
) -> None:
    options = {"flood_limit": 1, "checkpoint_s": 0.1, "stats_interval_s": 0.1}
    node.start(options=options).ready()
    for asset in ("p1", "p2"):
        listener.publish_all(
            f"plant/{asset}/telemetry", [*rows(0, 10, CALM), *rows(10, 20, ALARM), *rows(20, 60, CALM)]
        )
        listener.publish_all(f"plant/{asset}/telemetry", rows(0, 20, CALM, after_h=2))
    wait_for(lambda: "end" in [body["type"] for body in listener.bodies("/p1/event")], "the alert's end")
    listener.ask("edge-ae/n1/p1/cmd/feedback", {"label": "false_alarm", "note": "first"})
    listener.ask("edge-ae/n1/p1/cmd/feedback", {"label": "true_alarm", "note": "<b>bearing</b>"})
    taken = len(listener.bodies("/stats"))
    wait_for(
        lambda: [s for s in listener.bodies("/stats")[taken:] if s["used"] == 160 and s["unacknowledged"] == 0],
        "a checkpoint",
    )
    assert node.stop(signal.SIGKILL) == -signal.SIGKILL
    node.start(options=options).ready()
    first, second = history(listener, "p1"), history(listener, "p2")
    (event,) = [body for body in listener.bodies("/p1/event") if body["type"] == "end"]
    (alert,) = first["alerts"]
    assert alert == {key: event.get(key) for key in alert} | {
        "announced": True, "suppressed": False, "suppressed_by": None, "label": "true_alarm", "note": "<b>bearing</b>",
    }  # fmt: skip
    assert [(one["announced"], one["label"]) for one in second["alerts"]] == [(False, None)]
    assert [hour for hour, _ in first["what_if"]["hours"]] == ["2026-09-21T14:00:00.000Z", "2026-09-21T16:00:00.000Z"]
    assert first["what_if"]["hours"][0][1] == pytest.approx(ALARM, rel=0.1)
    assert (first["node"], first["asset"], first["more"]) == ("n1", "p1", False)
    message = listener.on("p1/history")[-1]
    assert (message.qos, message.retain) == (1, False)


def test_history_needs_no_answer_topic_and_no_version_5_and_writes_no_checkpoint(node: Node, broker: Broker) -> None:
    listener = Subscriber(broker.port, version="3.1.1")
    node.start(protocol="3.1.1", options={"stats_interval_s": 0.1}).ready()
    listener.publish_all("plant/p1/telemetry", rows(0, 20, CALM))
    wait_for(lambda: listener.on("/p1/score"), "a score")
    checkpoints = listener.last("/stats")["checkpoints"]
    listener.publish("edge-ae/n1/p1/cmd/history", b"")
    wait_for(lambda: listener.on("p1/history"), "the history")
    stats = wait_for(lambda: now if (now := listener.last("/stats"))["commands"] == 1 else None, "the command")
    assert stats["checkpoints"] == checkpoints
    listener.close()


@pytest.mark.parametrize("payload", [b'{"days": -1}', b'{"before": "now"}', b'{"limit": 1e9}', b"\xff", b'{"dys": 1}'])
def test_history_that_cannot_be_meant_is_refused_and_counted(payload: bytes, node: Node, listener: Subscriber) -> None:
    node.start(options={"stats_interval_s": 0.1}).ready()
    listener.publish_all("plant/p1/telemetry", rows(0, 20, CALM))
    wait_for(lambda: listener.on("/p1/score"), "a score")
    properties = listener.ask("edge-ae/n1/p1/cmd/history", payload)
    assert not properties["ok"]
    wait_for(lambda: listener.last("/stats")["dropped"] == {"bad_command": 1}, "the counter")
    assert listener.on("p1/history") == []


# -- without a broker ------------------------------------------------------------------------------------------


class Asked(Page):
    """Somebody who asks for the past of an asset."""

    def ask(self, days: float = 30, before_ns: int | None = None, limit: int = MOST_ALERTS) -> dict[str, Any]:
        detector = self.fleet.detectors["p0"]
        self.views.answer(AskHistory(days, before_ns, limit), self.fleet, detector, 0)
        body: dict[str, Any] = self.wire.on("p0/history")[-1]
        return body

    @property
    def t_ns(self) -> int:
        return self.fleet.detectors["p0"].t_ns

    def had_alert(self, identity: str, days_ago: float, **body: Any) -> None:
        t_ns = self.t_ns - round(days_ago * DAY_NS)
        facts = {"id": identity, "ts_onset": rfc3339(t_ns), "ts_raised": rfc3339(t_ns)}
        self.store.record(AlertRecord(identity, "p0", t_ns, t_ns, 2.0, True, t_ns, json.dumps(facts | body).encode()))


def ids(body: dict[str, Any]) -> list[str]:
    return [alert["id"] for alert in body["alerts"]]


def test_alerts_come_newest_first_page_by_page() -> None:
    page = Asked()
    for day in (1, 5, 3, 31):
        page.had_alert(f"day {day}", day)
    page.store.commit(Changes())
    page.had_alert("day 2", 2)
    first = page.ask(limit=2)
    assert (ids(first), first["more"]) == (["day 1", "day 2"], True)
    second = page.ask(limit=2, before_ns=page.t_ns - 2 * DAY_NS)
    assert (ids(second), second["more"]) == (["day 3", "day 5"], False)
    assert ids(page.ask(days=2.5)) == ["day 1", "day 2"]


def test_alert_of_an_earlier_version_has_what_it_lacks() -> None:
    page = Asked()
    page.had_alert("old", 1, severity="high", duration_s=7.0)
    (alert,) = page.ask()["alerts"]
    assert (alert["severity_level"], alert["cause"], alert["suppressed"], alert["top_channel"]) == (
        3,
        "score",
        False,
        None,
    )


def test_suppressed_alert_says_by_what() -> None:
    page = Asked()
    page.had_alert("quiet", 1, suppressed=True, suppressed_by="rule: a is muted")
    (alert,) = page.ask()["alerts"]
    assert (alert["suppressed"], alert["suppressed_by"]) == (True, "rule: a is muted")


def test_alerts_that_no_budget_moves_are_counted_apart() -> None:
    page = Asked()
    page.had_alert("score", 1, cause="score")
    page.had_alert("stopped", 2, cause="stopped_together")
    page.had_alert("unwatched", 3, cause="unwatched")
    page.had_alert("long ago", 33, cause="unwatched")
    assert page.ask(limit=1)["what_if"]["other_alerts"] == 2


def test_message_has_128_kib_at_most_and_fewer_alerts() -> None:
    page = Asked()
    for number in range(MOST_ALERTS):
        page.had_alert(f"id{number}", 1 + number / 100, reason="€" * 200)
        page.store.add_feedback(Feedback(number, "p0", f"id{number}", "true_alarm", "€" * 1000))
    hours = [PeakHour(page.t_ns // HOUR - ago, 0.123456, budget_ns("1/week")) for ago in range(1, HOURS_KEPT)]
    page.store.peaks.add("p0", hours)
    body = page.ask()
    assert len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()) <= MOST_BYTES
    assert (body["more"], ids(body)[0], len(body["what_if"]["hours"])) == (True, "id0", HOURS_KEPT)
    assert 10 < len(body["alerts"]) < MOST_ALERTS


def test_days_are_counted_back_from_the_newest_score_and_not_from_a_clock_that_ran_ahead() -> None:
    page = Asked()
    page.fleet.detectors["p0"].last_t_ns = time.time_ns()
    page.had_alert("a", 1)
    page.fleet.detectors["p0"].last_t_ns = 2**63 - 1
    assert ids(page.ask()) == ["a"]
    page.fleet.detectors["p0"].last_t_ns = -(2**63) + 1
    assert ids(page.ask()) == ["a"]


def test_asset_that_never_had_a_score_has_an_empty_past() -> None:
    page = Asked()
    page.fleet.add("p0", page.watch)
    body = page.ask()
    assert (body["alerts"], body["what_if"]["hours"], body["what_if"]["budget"]) == ([], [], "1/week")


def test_hour_that_is_not_over_is_in_the_past_too() -> None:
    page = Asked()
    ((began, level),) = page.ask()["what_if"]["hours"]
    assert (began, level) == (rfc3339(page.t_ns // HOUR * HOUR), pytest.approx(1.0, rel=0.01))


# -- what is kept of the hours ---------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge-ae.db"


def opened(path: Path) -> NodeStore:
    store = NodeStore(path)
    store.load()
    return store


def hours_of(*numbers: int, ratio: float = 0.5) -> list[PeakHour]:
    return [PeakHour(number, ratio, SECOND) for number in numbers]


def test_hours_are_on_disk_with_the_commit_and_the_higher_of_two_stays(path: Path) -> None:
    store = opened(path)
    store.peaks.add("a", hours_of(1, 2, ratio=0.5))
    store.commit(Changes())
    store.peaks.add("a", [*hours_of(1, ratio=0.7), *hours_of(2, ratio=0.3)])
    expected = [*hours_of(1, ratio=0.7), *hours_of(2, ratio=0.5)]
    assert store.peaks.since("a", 0) == expected
    store.commit(Changes())
    store.close()
    assert opened(path).peaks.since("a", 0) == expected
    assert opened(path).peaks.since("a", 2) == expected[1:]


def test_hours_of_thirty_days_are_kept_of_each_asset(path: Path) -> None:
    store = opened(path)
    for asset in ("a", "b"):
        store.peaks.add(asset, hours_of(*range(2 * HOURS_KEPT)))
        store.commit(Changes())
    assert [one.hour for one in store.peaks.since("a", 0)] == list(range(HOURS_KEPT, 2 * HOURS_KEPT))
    assert len(store.peaks.since("b", 0)) == HOURS_KEPT


def test_hours_of_an_asset_that_is_watched_no_more_are_forgotten(path: Path) -> None:
    store = opened(path)
    store.peaks.add("a", hours_of(1))
    store.peaks.add("b", hours_of(1))
    store.commit(Changes())
    store.commit(Changes(removed=["a"]))
    assert (store.peaks.since("a", 0), store.peaks.since("b", 0)) == ([], hours_of(1))


def test_hours_that_could_not_be_written_are_written_later(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    store = opened(tmp_path / "gone" / "edge-ae.db")
    (tmp_path / "gone").rename(tmp_path / "there")
    store.peaks.add("a", hours_of(1))
    assert not store.commit(Changes())
    (tmp_path / "there").rename(tmp_path / "gone")
    assert store.commit(Changes())
    store.close()
    assert opened(tmp_path / "gone" / "edge-ae.db").peaks.since("a", 0) == hours_of(1)
