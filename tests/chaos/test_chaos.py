"""The fault campaign (`make chaos`) and garbage on a real broker, both in short, and the judge that the campaign is worth
no more than.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from edge_ae.store.node_store import FILE, NodeStore
from tests.chaos import learning, soak
from tests.chaos.campaign import campaign, table
from tests.chaos.faults import KINDS
from tests.chaos.verdict import (
    Heard,
    PastAlert,
    judge,
    never_ended,
    never_told,
    percentile,
    sent_twice,
    still_suppressed,
)
from tests.conftest import MOSQUITTO
from tests.fuzz.daemon import MAX_ASSETS, T0_NS, Deaf, daemon

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")

FAULTS = 52  # each kind twice, about


@needs_mosquitto
def test_faults_of_every_kind_lose_double_and_stick_nothing(tmp_path: Path) -> None:
    course, found = campaign(FAULTS, seed=1, out=tmp_path, learn=True)
    assert found.clean, table(course, found)
    assert (set(course.faults), course.faults.total()) == ({*KINDS, *learning.KINDS}, FAULTS)
    assert found.expected > 5


@needs_mosquitto
def test_garbage_among_readings_costs_none_of_them(tmp_path: Path) -> None:
    found = soak.soak(minutes=0.05, out=tmp_path)
    assert (found.lost, found.adds_up) == (0, True), found.stats
    assert found.stats["used"] >= found.readings > 1000 < found.garbage * 100


def event(identity: str, seq: int, state: str = "active") -> dict[str, Any]:
    return {"id": identity, "seq": seq, "state": state}


TOLD = [event("a", 1), event("a", 2), event("b", 1)]
CALM = {"p1": {"state": "normal"}}


def test_what_comes_twice_in_the_same_words_is_only_counted() -> None:
    found = judge(TOLD, [*TOLD, *TOLD], CALM)
    assert (found.clean, found.expected, found.repeated) == (True, 3, 3)


def test_judge_finds_what_was_lost_doubled_and_stuck() -> None:
    heard = [event("a", 1), event("a", 2, "other words"), event("c", 1)]
    found = judge(TOLD, heard, {"p1": {"state": "active"}, "p2": {"state": "normal"}})
    assert (found.lost, found.doubled, found.stuck) == ([("b", 1)], [("a", 2), ("c", 1)], ["p1"])


def test_alert_of_an_asset_that_went_must_end_for_subscribers() -> None:
    said = [("a", 1, "new"), ("a", 2, "end"), ("b", 1, "new"), ("a", 1, "new"), ("c", 2, "end")]
    heard = [{"asset": "p3", "id": name, "seq": seq, "type": kind} for name, seq, kind in said]
    assert never_ended(heard) == ["p3's b"]


def test_what_was_withheld_is_not_lost_but_must_end_and_what_was_not_must_be_heard() -> None:
    past = [
        PastAlert("a", True, True),
        PastAlert("b", True, True),
        PastAlert("c", False, True),
        PastAlert("d", False, False),
    ]
    assert never_told(past, [event("a", 1)]) == [("b", 1)]
    assert still_suppressed(past) == ["d, which is suppressed"]


def test_event_sent_again_is_the_daemons_fault_unless_the_broker_forgot_it_or_delivers_again_itself() -> None:
    times = [Heard(at_ns, dup, event("a", 1)) for at_ns, dup in [(10, False), (20, True), (30, False), (50, False)]]
    assert sent_twice(times, set_back_ns=[]) == [("a", 1), ("a", 1)]
    assert sent_twice(times, set_back_ns=[25]) == [("a", 1)]
    assert sent_twice(times, set_back_ns=[25, 40]) == []


@pytest.mark.parametrize(("share", "value"), [(0.5, 2.0), (0.99, 4.0), (0.25, 1.0)])
def test_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == value


def excursion(link: Deaf) -> None:
    values = [1.0] * 10 + [50.0] * 10
    bodies = [{"ts": T0_NS // 10**6 + 100 * i, "a": value, "b": 1.0} for i, value in enumerate(values)]
    link.put(("plant/p1/telemetry", json.dumps(body).encode()) for body in bodies)


def test_disk_that_fails_holds_back_acknowledgements_and_not_the_event(tmp_path: Path) -> None:
    """Or a crash would lose it: the broker would not say its readings again."""
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    state.mkdir()
    tried, link = daemon(state, checkpoint_s=1e-9)
    tried.store.load()
    tried.turn()
    state.rename(elsewhere)
    excursion(link)
    for _ in range(3):
        tried.turn()
    assert (len(tried.store.outbox), link.given) == (1, [])
    elsewhere.rename(state)
    while len(link.given) < 20:
        tried.turn()
    tried.store.close()
    again = NodeStore(state / FILE)
    again.load()
    assert len(again.outbox.pending(9)) == len(again.active_alerts()) == 1


def test_while_the_disk_is_full_input_is_not_acknowledged_until_the_broker_can_send_no_more(tmp_path: Path) -> None:
    """A crash loses nothing until then; from then on, going blind would lose all."""
    most = 500
    (tmp_path / FILE).mkdir()
    tried, link = daemon(tmp_path, checkpoint_s=1e-9, receive_maximum=most)
    tried.store.load()
    link.put(
        ("plant/p1/telemetry", json.dumps({"ts": T0_NS // 10**6 + 100 * i, "a": 1.0}).encode()) for i in range(most)
    )
    while tried.counts["received"] < most:
        assert link.given == []
        tried.turn()
    assert len(link.given) == tried.checkpoints.counts["acknowledged_unsaved"] == most


def test_assets_beyond_the_limit_leave_nothing_behind(tmp_path: Path) -> None:
    """Or whoever may publish could grow memory and checkpoint by inventing names."""
    tried, link = daemon(tmp_path, checkpoint_s=1e-9)
    link.put((f"plant/p{i}/telemetry", b'{"ts": %d, "a": 1.0}' % (T0_NS // 10**6)) for i in range(200))
    while tried.counts["received"] < 200:
        tried.turn()
    assert len(tried.ingest.origins) == len(tried.fleet.detectors) == MAX_ASSETS
    assert tried.fleet.counts["too_many_assets"] == 200 - MAX_ASSETS
