"""Feedback becomes a lesson, on disk before it is in force: its like is withheld and listed, and nothing is lost or stuck."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ae.core.alert_events import AlertEvent, AlertStep, EventType, Withheld
from edge_ae.core.commands import MAX_ALERT_NAME, Question, parse
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.lessons import MOST_LESSONS, PATIENCE
from edge_ae.core.payloads import alert_payload, health_payload
from edge_ae.core.suppression import WithheldBy
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.daemon.command_handler import CommandHandler
from edge_ae.errors import BadPayload
from edge_ae.store.node_store import FILE, AlertRecord, AssetState, Changes, NodeStore
from tests.daemon.node_process import PERIOD_NS, watch

NOW_NS = 1_790_000_000 * SECOND
CALM = {"a": 1.0, "b": 1.0}
VALVE, DOOR = {"a": 20.0, "b": 1.0}, {"a": 1.0, "b": 20.0}
NEW, END = EventType.NEW, EventType.END


class Node:
    """A daemon's core and store without its link: what is announced, what is withheld, and what a restart leaves of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.announced: list[AlertEvent] = []
        self.withheld: list[Withheld] = []
        self.slot = NOW_NS // PERIOD_NS
        self._start()

    def _start(self) -> None:
        self.store = NodeStore(self.path)
        saved = self.store.load()
        self.fleet = Fleet("n1")
        self.detector = self.fleet.add("p1", watch())
        if saved is not None:
            self.detector.restore(saved.assets["p1"].state)
        self.detector.lessons.set(self.store.lessons.of("p1"))

    def restart(self) -> None:
        self.commit()
        self.store.close()
        self._start()

    def commit(self) -> None:
        assert self.store.commit(Changes({"p1": AssetState("t", self.detector.snapshot())}, node={"name": "n1"}))

    def see(self, values: dict[str, float], rows: int = 30) -> "Node":
        for _ in range(rows):
            self.slot += 1
            self.fleet.push(Readings("p1", self.slot * PERIOD_NS, values), watch())
            self.take([one for one in self.fleet.step() if isinstance(one, AlertStep)])
        return self

    def calm(self) -> "Node":
        return self.see(CALM)

    def take(self, steps: Sequence[AlertStep]) -> None:
        for one in steps:
            event = one.event if isinstance(one, Withheld) else one
            (self.withheld if isinstance(one, Withheld) else self.announced).append(one)  # type: ignore[arg-type]
            alert, payload = event.alert, orjson.dumps(alert_payload(event.alert))
            assert alert.raised_ns is not None
            assert alert.ratio is not None
            times = alert.raised_ns, alert.cleared_ns
            self.store.record(
                AlertRecord(event.id, "p1", *times, alert.ratio, one is event, alert.raised_ns, payload, alert.looks)
            )

    def say(self, name: str, /, **fields: object) -> str:
        command = parse(name, json.dumps(fields).encode())
        assert not isinstance(command, Question)
        done = CommandHandler(self.store).carry_out(command, self.detector, NOW_NS)
        self.take(done.steps)
        return done.note

    @property
    def steps(self) -> list[str]:
        return [str(event.type) for event in self.announced]

    @property
    def newest(self) -> str:
        found = self.store.newest_alert("p1")
        assert found is not None
        return found


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.store.close()


def test_after_a_false_alarm_its_like_is_withheld_and_listed_and_another_is_an_alert(node: Node) -> None:
    node.calm().see(VALVE).calm()
    note = node.say("feedback", label="false_alarm")
    assert note.startswith("kept for the next training; what looks like it is withheld; unlearn with the id ")
    node.see(VALVE)
    assert node.steps == ["new", "end"]
    shown = alert_payload(node.detector.alert_now())
    assert (shown["state"], shown["suppressed"]) == ("suppressed", True)
    assert shown["suppressed_by"].startswith("lesson: like the false alarm of 2026-09-21 ")
    node.calm().see(DOOR).calm()
    assert node.steps == ["new", "end"] * 2
    assert [one.reason for one in node.withheld] == [WithheldBy.LESSON] * 2
    assert node.detector.suppressed == {"lesson": 1}
    (known,) = node.detector.lessons.listed
    assert (known.use.count, known.lesson.false_alarm) == (1, True)


def test_the_present_alert_is_over_at_once_and_what_goes_on_is_withheld(node: Node) -> None:
    node.calm().see(VALVE)
    node.say("feedback", label="false_alarm")
    assert node.steps == ["new", "end"]
    node.see(VALVE)
    assert (node.steps, node.detector.alert_now().state) == (["new", "end"], "suppressed")
    node.calm()
    assert (node.steps, node.detector.alert_now().state) == (["new", "end"], "normal")


def test_an_alert_that_nobody_was_told_of_yet_is_withheld_and_stays_so_when_its_silence_ends(node: Node) -> None:
    node.detector.shelve(None, NOW_NS)
    node.calm().see(VALVE)
    node.say("feedback", label="false_alarm")
    node.take(node.detector.unshelve())
    assert (node.steps, [one.reason for one in node.withheld]) == ([], [WithheldBy.LESSON])


def test_a_far_stronger_one_is_an_alert_all_the_same(node: Node) -> None:
    node.calm().see(VALVE).calm()
    node.say("feedback", label="false_alarm")
    node.see({"a": 39.0, "b": 1.0}).calm()
    assert node.steps == ["new", "end"]
    node.see({"a": 41.0, "b": 1.0}).calm()
    assert node.steps == ["new", "end"] * 2


def test_a_withheld_alert_that_becomes_another_is_announced(node: Node) -> None:
    node.calm().see(VALVE).calm()
    node.say("feedback", label="false_alarm")
    node.see(VALVE, 5).see(DOOR, PATIENCE)
    assert node.steps == ["new", "end"]
    node.see(DOOR, 1)
    assert node.steps == ["new", "end", "new"]
    node.calm()
    assert node.steps == ["new", "end"] * 2


def test_a_lesson_is_taken_back(node: Node) -> None:
    node.calm().see(VALVE).calm()
    node.say("feedback", label="false_alarm")
    identity = node.newest
    node.see(VALVE)
    assert node.say("unlearn", id=identity) == ""
    assert node.steps == ["new", "end", "new"], "what is withheld now is an alert at once"
    node.restart()
    assert node.detector.lessons.listed == ()
    with pytest.raises(BadPayload, match=f"p1 has no lesson '{identity}'; there are none"):
        node.say("unlearn", id=identity)


def test_an_alert_that_is_called_true_after_all_is_no_longer_withheld(node: Node) -> None:
    node.calm().see(VALVE).calm()
    node.say("feedback", label="false_alarm")
    node.say("feedback", label="true_alarm", id=node.newest)
    node.see(VALVE).calm()
    assert node.steps == ["new", "end"] * 2


def test_a_named_alert_is_named_when_it_comes_again_with_how_often_and_when_last(node: Node) -> None:
    node.calm().see(VALVE).calm()
    note = node.say("feedback", label="true_alarm", name="closing valve")
    assert note == "kept for the next training; later alerts that look like it say: similar to closing valve"
    for count in (1, 2):
        node.restart()
        node.see(VALVE).calm()
        body = alert_payload(node.announced[-1].alert)
        assert (body["similar_to"], body["similar_count"]) == ("closing valve", count)
        often = "once" if count == 1 else "2 times"
        assert body["reason"].endswith(f"; similar to: closing valve ({often}, last 2026-09-21)")
    node.see(DOOR).calm()
    assert node.announced[-1].alert.similar is None
    shown = health_payload(node.detector.health_now())["lessons"]
    assert [(one["name"], one["label"], one["count"]) for one in shown] == [("closing valve", "true_alarm", 2)]


def test_a_lesson_for_a_time_is_over_then(node: Node) -> None:
    node.calm().see(VALVE).calm()
    until = rfc3339((node.slot + 100) * PERIOD_NS)
    assert f"withheld until {until[:10]}" in node.say("feedback", label="false_alarm", until=until)
    node.see(VALVE, 30).calm().see(VALVE, 60)
    assert node.steps == ["new", "end", "new"]
    with pytest.raises(BadPayload, match="until is over already: the asset's time is 2026-09-21"):
        node.say("feedback", label="false_alarm", until=until)


def test_lessons_of_an_asset_are_bounded_and_the_answer_says_which_one_made_room(node: Node) -> None:
    node.calm()
    for _ in range(MOST_LESSONS):
        node.see({"a": 20.0, "b": 1.0}).calm()
        assert "made room" not in node.say("feedback", label="true_alarm", name="x")
    first = node.detector.lessons.listed[0].lesson.id
    node.see(VALVE).calm()
    note = node.say("feedback", label="false_alarm")
    assert note.endswith(f"the lesson {first} made room, for an asset has 32 at most") or "made room" in note
    assert len(node.store.database.rows("SELECT 1 FROM lesson")) == MOST_LESSONS


def test_what_it_looked_like_is_remembered_over_a_restart(node: Node) -> None:
    node.calm().see(VALVE).calm()
    identity = node.newest
    node.restart()
    node.see(DOOR).calm()
    node.say("feedback", label="false_alarm", id=identity)
    node.see(VALVE).calm()
    assert (node.steps, len(node.withheld)) == (["new", "end"] * 2, 2)


def test_of_what_nothing_is_remembered_the_next_training_alone_is_told(node: Node) -> None:
    node.store.record(AlertRecord("old", "p1", 1, 2, 2.0, True, 2, b'{"asset": "p1", "cause": "score"}'))
    node.store.record(AlertRecord("stop", "p1", 1, 2, 2.0, True, 2, b'{"asset": "p1", "cause": "stopped_together"}'))
    alone = "kept for the next training alone: "
    assert node.say("feedback", label="false_alarm", id="old") == alone + "what it looked like is not remembered"
    why = "its cause is stopped_together, which no lesson withholds"
    assert node.say("feedback", label="false_alarm", id="stop") == alone + why
    assert node.detector.lessons.listed == ()


@pytest.mark.parametrize(
    ("name", "fields", "why"),
    [
        ("feedback", {"label": "false_alarm", "id": "nobody"}, "no alert 'nobody' of p1 is remembered"),
        ("feedback", {"label": "false_alarm"}, "p1 has had no alert to give feedback on"),
        ("feedback", {"label": "true_alarm", "id": "other"}, "the alert other is of p2, not of p1"),
        ("feedback", {"label": "maybe"}, "feedback takes a label: false_alarm or true_alarm"),
        ("feedback", {"label": "false_alarm", "name": "x"}, "only a true_alarm has a name"),
        ("feedback", {"label": "true_alarm", "until": "2030-01-01"}, "until is for a false_alarm"),
        ("feedback", {"label": "false_alarm", "until": "soon"}, "until: "),
        (
            "feedback",
            {"label": "true_alarm", "name": "x" * (MAX_ALERT_NAME + 1)},
            "name must be a text of 80 characters",
        ),
        ("feedback", {"label": "true_alarm", "name": 7}, "name must be a text of 80 characters"),
        ("feedback", {"label": "true_alarm", "name": " \t"}, "name must be a text that can be read"),
        ("feedback", {"label": "true_alarm", "name": "a\nb"}, "name must be a text that can be read"),
        ("feedback", {"label": "true_alarm", "name": "\u202egpj"}, "name must be a text that can be read"),
        ("feedback", {"label": "true_alarm", "name": "Mode 2"}, "name must not be that of an operating mode"),
        ("unlearn", {}, "unlearn takes the id of a lesson"),
        ("unlearn", {"id": "nobody"}, "p1 has no lesson 'nobody'; there are none"),
        ("unlearn", {"id": 7}, "id must be a text"),
    ],
)
def test_what_cannot_be_taught_is_refused_in_a_sentence(
    node: Node, name: str, fields: dict[str, Any], why: str
) -> None:
    if "id" in fields:
        node.store.record(AlertRecord("other", "p2", 1, 2, 2.0, True, 2, b'{"asset": "p2"}'))
    with pytest.raises(BadPayload) as fault:
        node.say(name, **fields)
    assert why in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_lesson_that_cannot_be_kept_is_not_in_force(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.calm().see(VALVE).calm()
    monkeypatch.setattr(node.store.database, "commit", lambda _: False)
    with pytest.raises(BadPayload, match="feedback cannot be kept"):
        node.say("feedback", label="false_alarm")
    assert node.detector.lessons.listed == ()


def test_a_lesson_is_on_disk_before_it_is_answered_and_a_second_delivery_teaches_nothing_twice(node: Node) -> None:
    node.calm().see(VALVE).calm()
    node.commit()
    node.say("feedback", label="false_alarm", id=node.newest)
    node.store.close()  # a crash: no checkpoint since
    node._start()
    assert len(node.detector.lessons.listed) == 1
    node.say("feedback", label="false_alarm", id=node.newest)
    assert len(node.detector.lessons.listed) == 1


def test_a_damaged_lesson_is_passed_over_with_a_line(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.calm().see(VALVE).calm()
    node.say("feedback", label="false_alarm")
    node.store.database.commit(lambda connection: connection.execute("UPDATE lesson SET lesson = x'00'"))
    node.restart()
    assert node.detector.lessons.listed == ()
    assert "of p1 is damaged, and is not in force" in caplog.text


def test_lessons_go_to_a_disk_that_took_the_place_of_another(node: Node) -> None:
    node.calm().see(VALVE).calm()
    node.say("feedback", label="false_alarm")
    node.store.database.commit(lambda connection: connection.execute("DELETE FROM lesson"))
    node.store.write_all()
    node.commit()
    node.restart()
    assert len(node.detector.lessons.listed) == 1


ACTIONS = st.lists(
    st.sampled_from(["valve", "door", "strong", "calm", "false", "true", "name", "unlearn", "restart"]), max_size=25
)
SEEN = {"valve": VALVE, "door": DOOR, "strong": {"a": 90.0, "b": 1.0}}


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_whatever_is_taught_no_alert_is_lost_silently_and_none_is_stuck(actions: list[str]) -> None:
    with TemporaryDirectory() as folder:
        node = Node(Path(folder)).calm()
        for action in actions:
            _act(node, action)
        node.calm()
        _nothing_is_open(node)
        node.store.close()


def _act(node: "Node", action: str) -> None:
    if action in SEEN:
        before = len(node.announced) + len(node.withheld)
        active = node.detector.alert.active
        node.see(SEEN[action], 6)
        assert active or len(node.announced) + len(node.withheld) > before, "an excursion that nobody hears of"
    elif action == "calm":
        node.calm()
    elif action == "restart":
        node.restart()
    elif action == "unlearn":
        for known in node.detector.lessons.listed[:1]:
            node.say("unlearn", id=known.lesson.id)
    elif node.store.newest_alert("p1") is not None:
        fields = {"false": {"label": "false_alarm"}, "true": {"label": "true_alarm"}}
        node.say("feedback", **fields.get(action, {"label": "true_alarm", "name": "closing valve"}))


def _nothing_is_open(node: Node) -> None:
    assert node.detector.alert_now().state == "normal"
    began = [event.id for event in node.announced if event.type is NEW]
    ended = [event.id for event in node.announced if event.type is END]
    assert began == ended, "each alert that was announced is over"
    hidden = [one.event.id for one in node.withheld if one.event.type is NEW]
    over = {one.event.id for one in node.withheld if one.event.type is END} | {*ended}
    assert {*hidden} <= over
    assert node.detector.suppressed["lesson"] == len(hidden)
    kept = {record.id for record in node.store.alerts("p1", 0, 2**63 - 1, 1000)}
    assert {*began, *hidden} <= kept, "each is in the history"
