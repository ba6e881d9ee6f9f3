"""What a pass makes of recordings: first models, classes, later rounds; and what keeps it from making any."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.learn import workplace
from edge_ae_train.learn.rounds import due_ns
from edge_ae_train.learn.workplace import COMPARISONS, DAMAGED, LOCK, SCRATCH, alone

from edge_ae.core.learned_time import Goals
from edge_ae.errors import BadData
from edge_ae.model.assignments import COPY, FILE, Assignments, Round
from edge_ae.model.learned_models import LearnedModels
from edge_ae.model.registry import Registry
from tests.train.learn.scene import FIRST_S, SETTINGS, Device, signals


def in_use(device: Device, asset: str) -> str:
    """The digest of the model that a daemon watches the asset with; empty: it has none."""
    folder = LearnedModels(device.models, None, lambda model: model).folder_of(asset)
    return "" if folder is None else folder.running


def trained(folder: Path) -> Device:
    """A device whose asset p1 has its first model."""
    device = Device(folder)
    device.record("p1", signals(700))
    device.count({"p1": 700})
    device.learn()
    return device


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("once") / "device").folder


@pytest.fixture
def device(once: Path, tmp_path: Path) -> Device:
    """A copy of one whose asset p1 has its first model."""
    shutil.copytree(once, tmp_path / "device", symlinks=True)
    return Device(tmp_path / "device")


# -- when ------------------------------------------------------------------------------------------------------


def test_models_are_due_by_what_was_learned_and_by_what_was_tried() -> None:
    goals, day = Goals(24, 168, 160), Assignments()
    assert due_ns(day, "p1", goals) == 24
    assert due_ns(Assignments(tried={"p1": 30}), "p1", goals) == 33
    first = Assignments({"p1": "p1"}, {"p1": Round(25, "")})
    assert due_ns(first, "p1", goals) == 168
    assert due_ns(Assignments({"p1": "p1"}, {"p1": Round(170, "")}), "p1", goals) == 330
    assert due_ns(Assignments({"p1": "p1"}, {"p1": Round(170, "")}, {}, {"p1": 340}), "p1", goals) == 343


def test_before_its_time_nothing_is_made_and_it_is_said_what_is_waited_for(tmp_path: Path) -> None:
    device = Device(tmp_path / "device")
    assert device.learn() == ["plant/{asset}/t: nothing has come yet; the daemon, edge-ae run, notes what does"]
    device.record("p1", signals(300))
    device.count({"p1": 300})
    expected = ["plant/{asset}/t: 1 assets; the next model is that of p1, when 300 s more of rows have come"]
    assert device.learn() == expected
    assert not (device.models / FILE).exists()


def test_without_a_stream_that_learns_there_is_nothing_to_do(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", 'node = "n1"\nstate_dir = "state"\n[[streams]]\ntopic = "a"\n')
    assert device.learn() == ['no stream has model = "auto": there is nothing to learn here']


# -- first models ----------------------------------------------------------------------------------------------


def test_the_first_model_is_in_use_at_once_and_is_made_once(device: Device) -> None:
    assert device.made.classes == {"p1": "p1"}
    sha256 = in_use(device, "p1")
    assert len(sha256) == 64
    assert not (device.models / SCRATCH).exists()
    assert device.learn() == [
        "plant/{asset}/t: 1 assets; the next model is that of p1, when 500 s more of rows have come"
    ]
    assert in_use(device, "p1") == sha256


def test_assets_that_are_alike_share_a_model_others_have_their_own_and_a_newcomer_joins(tmp_path: Path) -> None:
    device = Device(tmp_path / "device")
    for number, name in enumerate(("p1", "p2", "p3")):
        device.record(name, signals(1000, seed=number))
    device.record("fan", signals(1000, seed=7, gain=-5.0), ("flow", "power"))
    device.count(dict.fromkeys(("p1", "p2", "p3", "fan"), 700))
    device.learn()
    classes = dict(device.made.classes)
    assert classes["p1"] == classes["p2"] == classes["p3"] != classes["fan"]
    device.record("p4", signals(1000, seed=9))
    device.count({"p4": 700})
    said = device.learn()
    assert device.made.classes["p4"] == classes["p1"]
    assert said[0] == f"p4: is watched with the model of {classes['p1']}, which serves it as well as its own would"


def test_an_asset_called_as_a_class_or_as_no_file_may_be_has_its_own_folder(tmp_path: Path) -> None:
    device = Device(tmp_path / "device")
    (device.models / "class-1").mkdir(parents=True)
    device.record("class-1", signals(700))
    device.count({"class-1": 700})
    device.learn()
    assert device.made.classes == {"class-1": "class-1-2"}
    assert in_use(device, "class-1") != ""


# -- recordings that make no model -----------------------------------------------------------------------------


def test_what_stands_still_is_a_sentence_and_is_tried_again_later(tmp_path: Path) -> None:
    device, reason = Device(tmp_path / "device"), "no channel ever moves"
    device.record("p1", np.tile([1.0, 2.0], (700, 1)))
    device.count({"p1": 700})
    said = device.learn()
    assert said[0].startswith("p1: no new model: ")
    assert reason in said[0]
    assert reason in device.made.notes["p1"]
    assert device.learn() == [said[-1]]
    device.record("p1", signals(700), first_s=700)
    device.count({"p1": 700 + FIRST_S // 8})
    device.learn()
    assert (in_use(device, "p1") != "", device.made.notes, device.made.tried) == (True, {}, {})


@pytest.mark.parametrize("rows", [0, 40])
def test_rows_that_were_counted_and_are_not_on_the_disk_yet_are_learned_from_as_soon_as_they_are(
    tmp_path: Path, rows: int
) -> None:
    device = Device(tmp_path / "device")
    if rows:
        device.record("p1", signals(rows))
    device.count({"p1": 700})
    said = device.learn()
    assert ("0.0108 of the 0.194 hours that were counted" if rows else "is not there") in said[0]
    assert device.made.notes["p1"] in said[0]
    device.record("p1", signals(700)[rows:], first_s=rows)
    device.learn()
    assert (in_use(device, "p1") != "", device.made.notes, device.made.tried) == (True, {}, {})


def test_an_asset_without_recordings_is_a_sentence(tmp_path: Path) -> None:
    device = Device(tmp_path / "device")
    device.count({"p1": 700})
    device.learn()
    assert "recording" in device.made.notes["p1"]


def test_a_machine_that_still_shows_new_modes_is_waited_for_until_the_second_goal(tmp_path: Path) -> None:
    device = Device(tmp_path / "device")
    values = signals(1300)
    values[600:, 0] *= 0.5
    device.record("p1", values[:700])
    device.count({"p1": 700})
    assert "it still shows new modes, and more is waited for" in device.learn()[0]
    assert in_use(device, "p1") == ""
    device.record("p1", values[700:], first_s=700)
    device.count({"p1": 1300})
    device.learn()
    assert in_use(device, "p1") != ""


# -- later rounds ----------------------------------------------------------------------------------------------

TRIED_OUT = "p1: a new model is no worse, and runs beside the one in use until it takes its place"


def test_a_challenger_that_is_no_worse_runs_in_the_champions_shadow(device: Device) -> None:
    first = in_use(device, "p1")
    device.record("p1", signals(1300, seed=1), first_s=700)
    device.count({"p1": 2000})
    said = device.learn()
    assert said[0] == TRIED_OUT
    current, _, shadow = Registry(device.models / "p1").links()
    assert (current, shadow not in (None, first)) == (first, True)
    (line,) = (device.models / "p1" / COMPARISONS).read_text().splitlines()
    assert json.loads(line)["replaced"] is True
    assert device.made.rounds["p1"].replaced


def test_a_challenger_that_is_worse_is_not_taken_and_the_comparison_is_kept(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ae_train.retrain.LOSS", -2.0)  # nothing finds so many more
    first = in_use(device, "p1")
    device.record("p1", signals(1300, seed=1), first_s=700)
    device.count({"p1": 2000})
    said = device.learn()
    assert said[0].startswith("p1: the model stays: it finds ")
    assert in_use(device, "p1") == first
    (line,) = (device.models / "p1" / COMPARISONS).read_text().splitlines()
    assert json.loads(line)["replaced"] is False
    assert device.learn() == [said[-1]]


def test_recordings_of_other_channels_are_a_sentence_and_the_old_model_runs_on(device: Device) -> None:
    first = in_use(device, "p1")
    shutil.rmtree(device.state / "recordings")
    device.record("p1", signals(1300, seed=1), ("flow", "torque"), first_s=700)
    device.count({"p1": 2000})
    said = device.learn()
    assert "the recordings lack speed, which the model watches" in said[0]
    assert (in_use(device, "p1"), "speed" in device.made.notes["p1"]) == (first, True)


def test_recordings_at_another_pace_are_a_sentence_and_the_old_model_runs_on(device: Device) -> None:
    first = in_use(device, "p1")
    shutil.rmtree(device.state / "recordings")
    device.record("p1", signals(1300, seed=1), first_s=700, step_s=10)
    device.count({"p1": 13_000})
    assert device.learn()[0].startswith("p1: no new model: ")
    assert in_use(device, "p1") == first


# -- what goes wrong -------------------------------------------------------------------------------------------


def test_two_trainers_never_work_at_once(device: Device) -> None:
    with alone(device.models.parent), pytest.raises(BadData, match="another edge-ae-train learn is at work here"):
        device.learn()
    assert device.learn() != []
    assert (device.models.parent / LOCK).exists()


def test_the_command_says_in_one_line_that_another_one_is_at_work(device: Device) -> None:
    command = [sys.executable, "-m", "edge_ae_train", "learn", "--once", "--config", str(device.config)]
    with alone(device.models.parent):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert line.endswith("another edge-ae-train learn is at work here; wait for its end")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_hindered_machine_waits_and_says_why(tmp_path: Path) -> None:
    device = Device(tmp_path / "device")
    device.record("p1", signals(700))
    device.count({"p1": 700})
    battery = tmp_path / "sys" / "class" / "power_supply" / "BAT0"
    battery.mkdir(parents=True)
    (battery / "type").write_text("Battery\n")
    (battery / "status").write_text("Discharging\n")
    assert device.learn(tmp_path / "sys") == ["waits: the machine runs on battery (learn.on_battery)"]
    assert in_use(device, "p1") == ""


def test_a_spoilt_file_of_assets_is_read_from_its_copy_and_without_that_all_is_made_anew(device: Device) -> None:
    first = in_use(device, "p1")
    (device.models / FILE).write_bytes(b"spoilt")
    assert len(device.learn()) == 1
    assert in_use(device, "p1") == first
    (device.models / FILE).write_bytes(b"spoilt")
    (device.models / COPY).write_bytes(b"spoilt")
    said = device.learn()
    assert said[0].endswith("edge-ae-train learn makes it anew")
    assert (device.models / DAMAGED).exists()
    assert device.made.classes == {"p1": "p1-2"}
    assert in_use(device, "p1") != ""


def test_a_disk_that_is_full_is_one_sentence_and_the_old_model_stays(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    first = in_use(device, "p1")
    device.record("p1", signals(1300, seed=1), first_s=700)
    device.count({"p1": 2000})
    monkeypatch.setattr(workplace, "write_whole", full)
    monkeypatch.setattr(workplace, "write_assignments", full)
    with pytest.raises(BadData, match="No space left on device; the models in use are what they were"):
        device.learn()
    monkeypatch.undo()
    assert in_use(device, "p1") == first
    assert device.learn()[0] == TRIED_OUT


def test_what_an_interrupted_round_left_is_removed(device: Device) -> None:
    for name in (SCRATCH, "class-7"):
        (device.models / name).mkdir()
        (device.models / name / "half").write_bytes(b"x")
    device.learn()
    assert sorted(path.name for path in device.models.iterdir()) == [FILE, COPY, "p1"]


def test_settings_are_those_that_the_daemon_reads() -> None:
    assert 'model = "auto"' in SETTINGS
