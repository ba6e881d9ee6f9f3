"""What operators ask for is carried out on the detector, or refused in a sentence."""

import json
from pathlib import Path

import pytest

from edge_ae.core.alert_events import AlertEvent, EventType
from edge_ae.core.commands import Question, parse
from edge_ae.core.detector import Detector
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.daemon.command_handler import CommandHandler, answer
from edge_ae.errors import BadPayload
from edge_ae.store.feedback import read_feedback
from edge_ae.store.node_store import FILE, AlertRecord, Changes, NodeStore
from tests.daemon.node_process import PERIOD_NS, watch

NOW_NS = 1_790_000_000 * SECOND


def alarmed(value: float = 50.0) -> Detector:
    """A pump whose last rows had this value: above 10 its alert is active."""
    fleet = Fleet("n1")
    for row in range(10):
        fleet.push(Readings("p1", NOW_NS + row * PERIOD_NS, {"a": value, "b": 1.0}), watch())
    fleet.step()
    return fleet.detectors["p1"]


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    opened = NodeStore(tmp_path / FILE)
    opened.load()
    return opened


def carry_out(store: NodeStore, name: str, detector: Detector, **fields: object) -> list[EventType]:
    command = parse(name, json.dumps(fields).encode())
    assert not isinstance(command, Question)
    steps = CommandHandler(store).carry_out(command, detector, NOW_NS).steps
    return [step.type for step in steps if isinstance(step, AlertEvent)]


def test_acknowledged_alert_is_published_as_that_once(store: NodeStore) -> None:
    pump = alarmed()
    assert carry_out(store, "ack", pump) == [EventType.UPDATE]
    assert pump.alert_now().acked
    assert carry_out(store, "ack", pump) == []


def test_acknowledgement_of_another_alert_is_refused(store: NodeStore) -> None:
    with pytest.raises(BadPayload, match=r"the active alert of p1 is .*, not another"):
        carry_out(store, "ack", alarmed(), id="another")


def test_acknowledgement_without_an_alert_is_refused(store: NodeStore) -> None:
    with pytest.raises(BadPayload, match="p1 has no active alert"):
        carry_out(store, "ack", alarmed(1.0))


def test_shelving_counts_from_the_time_of_the_wall(store: NodeStore) -> None:
    pump = alarmed(1.0)
    assert carry_out(store, "shelve", pump, duration_s=60) == []
    assert pump.alert_now().shelved_until_ns == NOW_NS + 60 * SECOND
    carry_out(store, "unshelve", pump)
    assert not pump.alert_now().shelved


def test_feedback_is_kept_over_a_restart(store: NodeStore) -> None:
    store.record(AlertRecord("0badc0de", "p1", 1, 2, 2.0, True, 2, b"{}"))
    carry_out(store, "feedback", alarmed(), id="0badc0de", label="false_alarm", note="a test")
    store.close()
    assert store.database.path is not None
    (line,) = read_feedback(store.database.path)
    kept = {"at": rfc3339(NOW_NS), "asset": "p1", "id": "0badc0de", "label": "false_alarm", "note": "a test"}
    assert json.loads(line) == kept


def test_feedback_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    store = NodeStore(tmp_path / FILE)
    store.load()
    with pytest.raises(BadPayload, match="feedback cannot be kept: "):
        carry_out(store, "feedback", alarmed(), label="false_alarm")


def test_unknown_command_is_refused(store: NodeStore) -> None:
    with pytest.raises(BadPayload, match="'reboot' is no command"):
        carry_out(store, "reboot", alarmed())


def test_answer_says_what_came_of_it_where_there_is_more_to_say() -> None:
    assert [json.loads(answer(None, note)) for note in ("", "kept")] == [{"ok": True}, {"ok": True, "note": "kept"}]


def test_answer_says_what_was_wrong() -> None:
    assert [json.loads(answer(fault)) for fault in (None, "why")] == [{"ok": True}, {"ok": False, "error": "why"}]


def test_feedback_that_no_restart_would_leave_is_refused() -> None:
    in_memory = NodeStore(None)
    in_memory.load()
    with pytest.raises(BadPayload, match=r"feedback cannot be kept, for state\.checkpoint_s is 0"):
        carry_out(in_memory, "feedback", alarmed(), id="a", label="true_alarm")


def test_budget_is_set_and_taken_back(store: NodeStore) -> None:
    pump = alarmed(1.0)
    usual = pump.threshold
    carry_out(store, "budget", pump, budget="1/hour")
    assert (pump.health_now().budget, pump.threshold < usual) == ("1/hour", True)
    carry_out(store, "budget", pump, budget="default")
    assert (pump.health_now().budget, pump.threshold) == (None, usual)


def test_feedback_that_names_no_alert_is_on_the_active_one_else_on_the_newest(store: NodeStore, tmp_path: Path) -> None:
    pump = alarmed()
    carry_out(store, "feedback", pump, label="true_alarm")
    for raised_ns, identity in ((1, "older"), (2, "newer")):
        store.record(AlertRecord(identity, "p1", raised_ns, raised_ns, 2.0, True, raised_ns, b"{}"))
    carry_out(store, "feedback", alarmed(1.0), label="false_alarm")
    store.commit(Changes())
    carry_out(store, "feedback", alarmed(1.0), label="false_alarm")
    assert pump.alert.episode is not None
    assert [json.loads(line)["id"] for line in read_feedback(tmp_path / FILE)] == [
        pump.alert.episode.id,
        "newer",
        "newer",
    ]


def test_feedback_on_an_asset_that_never_had_an_alert_is_refused(store: NodeStore) -> None:
    with pytest.raises(BadPayload, match="p1 has had no alert to give feedback on"):
        carry_out(store, "feedback", alarmed(1.0), label="false_alarm")
