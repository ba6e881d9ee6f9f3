"""Models that are put to use in a running daemon: no window lost, no alert raised by it, and back at once."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from edge_ae.core.model_spec import Model, Tail
from edge_ae.errors import BadModel
from edge_ae.model.onnx_model import OnnxModel
from tests.daemon.rollout_box import CALM, FAULT, Broken, RolloutBox, models_alike
from tests.models import CHANNELS, LENGTH, write_model

FIRST = LENGTH - 1  # the slot of the first window


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return models_alike(tmp_path_factory)


@pytest.fixture
def box(tmp_path: Path, files: list[Path]) -> RolloutBox:
    return RolloutBox(tmp_path, files).feed(*[CALM] * 10)


def whole(box: RolloutBox) -> bool:
    """Whether each window was judged, once and in order; the last row is open still."""
    return box.slots() == list(range(FIRST, box.row - 1))


def installed(box: RolloutBox, number: int = 1) -> str:
    box.registry.install(box.files[number])
    return box.shas[number]


def fails_in_the_field(box: RolloutBox, number: int = 1) -> list[Broken]:
    """Has one of the models fail where `fails` is set."""
    made: list[Broken] = []

    def load(path: Path) -> Model:
        model = OnnxModel.load(path)
        if model.spec.sha256 != box.shas[number]:
            return model
        made.append(Broken(model))
        return made[-1]

    box.load = load
    return made


def test_promotion_by_command_loses_no_window_and_needs_no_reload(box: RolloutBox) -> None:
    sha256 = installed(box)
    answer = box.ask("promote", model=sha256[:12])
    assert (answer["ok"], answer["running"], box.running) == (True, sha256, sha256)
    box.feed(*[CALM] * 10)
    assert whole(box)
    assert box.events == []


def test_what_a_person_at_the_machine_puts_to_use_is_followed(box: RolloutBox) -> None:
    box.registry.promote(installed(box))
    box.look().feed(*[CALM] * 10)
    assert (box.running, whole(box)) == (box.shas[1], True)


def test_rollback_by_command_is_at_once_and_goes_on_from_where_the_model_was(box: RolloutBox) -> None:
    box.ask("promote", model=installed(box))
    box.feed(*[CALM] * 5)
    assert box.ask("rollback")["running"] == box.shas[0]
    box.feed(*[CALM] * 5)
    assert (box.running, whole(box), box.events) == (box.shas[0], True, [])


def test_an_alert_goes_on_through_promotion_rollback_and_kills(box: RolloutBox) -> None:
    box.feed(*[FAULT] * 3)
    box.ask("promote", model=installed(box))
    box.kill().feed(*[FAULT] * 3)
    box.ask("rollback")
    box.kill().feed(*[CALM] * 30)
    ids = {one.id for one in box.events}
    assert (len(ids), [str(one.type) for one in box.events][-1]) == (1, "end")


def test_an_alert_that_was_told_before_a_kill_keeps_its_id_whatever_the_links_say_by_then(box: RolloutBox) -> None:
    """The disk took nothing any more, and somebody put another model to use before the daemon died."""
    box.feed(*[CALM] * 5).daemon.checkpoints.write(0)
    box.daemon.checkpoints = Mock(wraps=box.daemon.checkpoints)
    box.daemon.checkpoints.keep = box.daemon.checkpoints.write_assets = Mock()
    box.feed(*[FAULT] * 3)
    box.registry.promote(installed(box))
    box.kill().feed(*[CALM] * 30).look()
    assert len({one.id for one in box.events}) == 1
    assert (str(box.events[-1].type), box.running) == ("end", box.shas[1])


def test_a_shadow_tells_the_difference_and_nobody_gets_its_alerts(box: RolloutBox) -> None:
    answer = box.ask("shadow", model=installed(box))
    assert (answer["shadow"], answer["beside"]["role"], box.running) == (box.shas[1], "shadow", box.shas[0])
    box.feed(*[CALM] * 5, *[FAULT] * 3, *[CALM] * 30)
    (folder,) = box.ask("models")["folders"]
    beside = folder["beside"]
    assert (beside["alerts_in_use"], beside["alerts"], beside["more"], beside["fewer"]) == (1, 1, 0, 0)
    assert beside["text"] == "in 0.0106 h in use 1 alert, beside 1 alert, the same; 0 more, 0 fewer"
    assert [str(one.type) for one in box.events] == ["new", "end"]
    assert box.ask("shadow")["beside"] is None


@pytest.mark.parametrize("wanted", ["by nobody", "by the settings", "of learned models"])
def test_after_its_time_a_shadow_is_put_to_use_where_that_is_wanted(
    tmp_path: Path, files: list[Path], caplog: pytest.LogCaptureFixture, wanted: str
) -> None:
    caplog.set_level("INFO")
    box = RolloutBox(tmp_path, files, shadow_s=20, promotes=wanted == "by the settings").feed(*[CALM] * 10)
    (folder,) = box.daemon.rollout.folders()
    folder.promotes = wanted == "of learned models"
    box.ask("shadow", model=installed(box))
    box.feed(*[CALM] * 15).look()
    assert box.running == box.shas[0]
    box.feed(*[CALM] * 10).look().look().feed(*[CALM] * 5)
    assert box.running == box.shas[0 if wanted == "by nobody" else 1]
    assert caplog.text.count("current 0 alerts, new 0 alerts; 0 more, 0 fewer") == 1
    assert whole(box)


def nervous(box: RolloutBox, folder: Path) -> RolloutBox:
    """Has run beside one that takes little for much, in a calm with so many excursions."""
    file = folder / "nervous.onnx"
    sha256 = write_model(file, tail=Tail(level=0.01, scale=0.001, shape=0.0, rate=0.01), typical=0.001).spec.sha256
    box.registry.install(file)
    box.ask("shadow", model=sha256)
    return box.feed(*[CALM] * 5, *([6.0] * 4 + [CALM] * 30) * 2).look().look()


def test_a_shadow_that_raised_other_alerts_waits_for_a_person(tmp_path: Path, files: list[Path]) -> None:
    box = RolloutBox(tmp_path, files, shadow_s=50, promotes=True).feed(*[CALM] * 10)
    (folder,) = nervous(box, tmp_path).ask("models")["folders"]
    assert (folder["running"], folder["beside"]["more"], folder["beside"]["fewer"]) == (box.shas[0], 2, 0)


def test_a_learned_model_that_raises_more_alerts_in_the_shadow_is_not_taken(tmp_path: Path, files: list[Path]) -> None:
    box = RolloutBox(tmp_path, files, shadow_s=50).feed(*[CALM] * 10)
    (folder,) = box.daemon.rollout.folders()
    folder.promotes = True
    (answer,) = nervous(box, tmp_path).ask("models")["folders"]
    assert (answer["running"], answer["beside"], answer["shadow"]) == (box.shas[0], None, None)
    assert "current 0 alerts, new 2 alerts" in answer["note"]


def test_the_model_before_is_let_go_after_the_same_time_and_can_still_be_gone_back_to(
    tmp_path: Path, files: list[Path]
) -> None:
    box = RolloutBox(tmp_path, files, shadow_s=20).feed(*[CALM] * 10)
    box.ask("promote", model=installed(box))
    box.feed(*[CALM] * 25).look()
    (folder,) = box.ask("models")["folders"]
    assert folder["beside"] is None
    box.ask("rollback")
    box.feed(*[CALM] * 5)
    assert (box.running, whole(box), box.events) == (box.shas[0], True, [])


def test_what_ran_beside_goes_on_after_a_restart(box: RolloutBox) -> None:
    box.ask("shadow", model=installed(box))
    box.feed(*[CALM] * 5, *[FAULT] * 3, *[CALM] * 30)
    before = box.ask("models")
    assert box.stop().ask("models") == before
    box.ask("promote", model=box.shas[1])
    box.stop().feed(CALM)
    (folder,) = box.ask("models")["folders"]
    assert (folder["running"], folder["beside"]["sha256"], folder["beside"]["role"]) == (*box.shas[1::-1], "former")
    assert whole(box)


def test_a_shadow_that_was_put_to_use_while_the_daemon_was_down_goes_on_from_where_it_was(box: RolloutBox) -> None:
    box.ask("shadow", model=installed(box))
    box.feed(*[CALM] * 20)
    box.daemon._finish()
    box.registry.promote(box.shas[1])
    box._unacknowledged = []
    box.start().look().feed(*[CALM] * 5)
    assert (box.running, whole(box)) == (box.shas[1], True)


def test_a_command_whose_answer_a_kill_took_is_not_carried_out_again(box: RolloutBox) -> None:
    box.ask("promote", model=installed(box))
    box.ask("rollback")
    box.kill().kill()
    assert (box.folder.running, box.registry.links()[0]) == (box.shas[0], box.shas[0])


def test_scores_that_are_no_numbers_beside_end_the_shadow(box: RolloutBox) -> None:
    (broken,) = (fails_in_the_field(box),)
    box.ask("shadow", model=installed(box))
    broken[0].fails = True
    box.feed(*[CALM] * 5)
    (folder,) = box.ask("models")["folders"]
    assert (folder["beside"], folder["shadow"], whole(box)) == (None, None, True)
    assert "is no number; model" in folder["note"]


@pytest.mark.parametrize("restarts", [False, True])
def test_scores_that_are_no_numbers_turn_a_new_model_back_before_anybody_is_told(
    box: RolloutBox, restarts: bool
) -> None:
    broken = fails_in_the_field(box)
    box.ask("promote", model=installed(box))
    box.feed(*[CALM] * 5)
    if restarts:
        box.stop().feed(CALM)
    broken[-1].fails = True
    box.feed(*[CALM] * 5)
    assert (box.running, whole(box), box.events) == (box.shas[0], True, [])
    assert box.registry.links()[0] == box.shas[0]
    (folder,) = box.ask("models")["folders"]
    assert "is no number; model" in folder["note"]


def test_a_model_that_cannot_be_loaded_any_more_is_refused_and_the_old_one_runs_on(box: RolloutBox) -> None:
    sha256 = installed(box)
    box.registry.promote(sha256)
    box.registry.path_of(sha256).write_bytes(b"nothing")
    box.look().feed(*[CALM] * 5)
    assert (box.running, whole(box), box.registry.links()[0]) == (box.shas[0], True, box.shas[0])


def test_a_model_in_use_that_is_spoilt_at_the_start_gives_way_to_the_one_before(box: RolloutBox) -> None:
    sha256 = installed(box)
    box.ask("promote", model=sha256)
    box.feed(*[CALM] * 5)
    box.registry.path_of(sha256).write_bytes(b"nothing")
    box.stop().feed(*[CALM] * 5)
    assert (box.running, whole(box), box.registry.links()[0]) == (box.shas[0], True, box.shas[0])
    assert "which was in use before, is in use again" in str(box.folder.note)


def test_links_that_cannot_be_set_back_are_not_followed_again_and_again(
    box: RolloutBox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: Any) -> None:
        raise BadModel("Read-only file system")

    sha256 = installed(box)
    box.registry.promote(sha256)
    box.registry.path_of(sha256).write_bytes(b"nothing")
    monkeypatch.setattr(box.registry, "set_back", read_only)
    box.look().look().look()
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    assert box.running == box.shas[0]


def test_a_model_of_another_window_waits_until_it_is_warm(box: RolloutBox, tmp_path: Path) -> None:
    longer = tmp_path / "longer.onnx"
    sha256 = write_model(longer, length=12).spec.sha256
    box.registry.install(longer)
    answer = box.ask("promote", model=sha256)
    assert (answer["running"], answer["beside"]["role"]) == (box.shas[0], "next")
    box.feed(*[CALM] * 12).look().feed(*[CALM] * 5)
    assert (box.running, whole(box)) == (sha256, True)


def test_a_model_whose_channels_are_in_another_order_takes_over_when_it_has_its_own_rows(
    box: RolloutBox, tmp_path: Path
) -> None:
    turned = tmp_path / "turned.onnx"
    sha256 = write_model(turned, channels=CHANNELS[::-1]).spec.sha256
    box.registry.install(turned)
    assert box.ask("promote", model=sha256)["running"] == box.shas[0]
    box.feed(*[CALM] * 6).look().feed(*[CALM] * 5)
    assert (box.running, whole(box)) == (sha256, True)


def test_an_asset_that_sends_nothing_holds_no_model_up(box: RolloutBox, tmp_path: Path) -> None:
    longer = tmp_path / "longer.onnx"
    sha256 = write_model(longer, length=12).spec.sha256
    box.registry.install(longer)
    box.ask("promote", model=sha256)
    box.look(20)
    assert box.running == box.shas[0]
    box.look(20)
    assert box.running == sha256


def test_an_asset_that_comes_while_another_model_runs_beside_is_watched_by_both(box: RolloutBox) -> None:
    box.ask("shadow", model=installed(box))
    box.assets = ("p1", "p2")
    box.feed(*[CALM] * 6).look().feed(*[CALM] * 6)
    (folder,) = box.ask("models")["folders"]
    assert folder["beside"]["assets"] == 2


def test_what_people_ask_of_an_asset_holds_for_the_model_beside_too(box: RolloutBox) -> None:
    box.ask("shadow", model=installed(box))
    box.send(("edge-ae/n1/p1/cmd/budget", b'{"budget": "1/day"}'), ("edge-ae/n1/p1/cmd/shelve", b'{"one_shot": true}'))
    box.ask("promote", model=box.shas[1])
    pump = box.daemon.fleet.detectors["p1"]
    assert (pump.budget, pump.alert.silent) == ("1/day", True)


@pytest.mark.parametrize(
    ("name", "fields", "error"),
    [
        ("promote", {"model": "ffffffff"}, "ffffffff: no model begins so; edge-ae model list"),
        ("promote", {}, "model must be the first digits of its SHA-256, four or more"),
        ("promote", {"folder": "fan", "model": "ffff"}, "folder names none of the folders of models: "),
        ("rollback", {}, "there is no earlier model to go back to"),
        ("shadow", {"model": 7}, "model must be the first digits"),
    ],
)
def test_what_cannot_be_done_is_answered_with_a_sentence(
    box: RolloutBox, name: str, fields: dict[str, Any], error: str
) -> None:
    answer = box.ask(name, **fields)
    assert (answer["ok"], error in answer["error"]) == (False, True)
    box.feed(CALM, CALM)
    assert whole(box)


def test_a_hundred_swaps_by_command_lose_no_window_and_raise_nothing(box: RolloutBox) -> None:
    installed(box)
    for number in range(100):
        box.ask("promote", model=box.shas[(number + 1) % 2])
        box.feed(CALM)
    assert (whole(box), box.events, box.running) == (True, [], box.shas[0])


def test_health_tells_what_came_of_the_model_beside(box: RolloutBox) -> None:
    assert box.daemon.ingest.health_of("p1").beside is None
    box.ask("shadow", model=installed(box))
    box.feed(*[CALM] * 5, *[FAULT] * 3, *[CALM] * 30)
    assert box.daemon.ingest.health_of("p1").beside == (
        f"model {box.shas[1][:12]}: in 0.0106 h in use 1 alert, beside 1 alert, the same; 0 more, 0 fewer"
    )


def test_what_people_taught_is_known_to_the_model_beside_after_a_restart_too(box: RolloutBox) -> None:
    box.feed(*[FAULT] * 3, *[CALM] * 30)
    box.send(("edge-ae/n1/p1/cmd/feedback", b'{"label": "false_alarm"}'))
    taught = box.events[0].id
    box.ask("shadow", model=installed(box))
    for _ in range(2):
        assert list(box.daemon.ingest.shadows.fleet.detectors["p1"].lessons.known) == [taught]
        box.stop()
