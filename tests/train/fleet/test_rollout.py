"""Waves as folders that prove themselves; the next one goes where alerts have not risen, and says why not."""

import hashlib
import json
from pathlib import Path

import pytest
from edge_ae_train.cli import main
from edge_ae_train.fleet.cli import STOPPED
from edge_ae_train.fleet.jobs import DONE, JobRow
from edge_ae_train.fleet.ledger import ledger
from edge_ae_train.fleet.models import model_folder
from edge_ae_train.fleet.rollout import DeviceRecord, Rise, Rollout, decide, waves_of
from edge_ae_train.signing import keygen

from edge_ae.cli.main import main as device_main
from edge_ae.model.signature import verifier
from tests.models import hand_made
from tests.train.fleet.test_judged import FACTS

SHA = "a" * 64


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model of a class of ten."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "make.onnx").write_bytes(hand_made(tmp_path_factory).read_bytes())
    lines = [f"pump-{n},make" for n in range(10)]
    (folder / "classes.csv").write_text("\n".join(["asset,class", *lines]) + "\n")
    return folder


def test_waves_hold_every_device_once_and_grow() -> None:
    devices = [f"d{n}" for n in range(100)]
    waves = waves_of(devices)
    assert [len(wave) for wave in waves] == [5, 20, 75]
    assert sorted(device for wave in waves for device in wave) == sorted(devices)
    assert waves_of(devices) == waves
    assert [len(wave) for wave in waves_of(["one"])] == [1]
    assert waves[0] != devices[:5]


def test_folder_of_a_device_has_its_signed_model_and_proves_it(models: Path, tmp_path: Path) -> None:
    public = keygen(tmp_path / "model.key")
    out = tmp_path / "rollout"
    words = ["fleet", "rollout", "--models", str(models), "--out", str(out), "--key", str(tmp_path / "model.key")]
    assert main(words) == 0
    folders = sorted(path for path in out.glob("wave-*/*"))
    assert [len(list(out.glob(f"wave-{n}/*"))) for n in (1, 2, 3)] == [1, 2, 7]
    for folder in folders:
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["device"] == folder.name
        assert [one["name"] for one in manifest["files"]] == ["make.onnx", "make.onnx.sig"]
        for one in manifest["files"]:
            data = (folder / one["name"]).read_bytes()
            assert (one["bytes"], one["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        verifier(public)((folder / "make.onnx").read_bytes(), folder / "make.onnx")


def test_device_installs_what_its_folder_holds_and_refuses_it_altered(models: Path, tmp_path: Path) -> None:
    public = keygen(tmp_path / "model.key")
    words = ["fleet", "rollout", "--models", str(models), "--out", str(tmp_path / "r")]
    assert main([*words, "--key", str(tmp_path / "model.key")]) == 0
    (file,) = (tmp_path / "r").glob("wave-1/*/make.onnx")
    install = ["model", "install", str(file), "--in", str(tmp_path / "device"), "--key", str(public), "--promote"]
    assert device_main(install) == 0
    assert (tmp_path / "device" / "current" / "model.onnx").read_bytes() == file.read_bytes()
    file.write_bytes((models / "make.onnx").read_bytes() + b" ")
    assert device_main(install) == 1


def test_devices_of_a_file_get_the_models_of_their_assets(models: Path, tmp_path: Path) -> None:
    (tmp_path / "devices.csv").write_text("device,asset\npi-1,pump-3\npi-2,make\n")
    words = ["fleet", "rollout", "--models", str(models), "--out", str(tmp_path / "r")]
    assert main([*words, "--devices", str(tmp_path / "devices.csv"), "--waves", "50,100"]) == 0
    assert len(list((tmp_path / "r").glob("wave-*/pi-*/make.onnx"))) == 2


def test_device_without_a_model_and_a_folder_in_use_are_refused(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "devices.csv").write_text("device,asset\npi-1,other\n")
    words = ["fleet", "rollout", "--models", str(models), "--out", str(tmp_path / "r")]
    assert main([*words, "--devices", str(tmp_path / "devices.csv")]) == 1
    assert "holds no model for 1 devices, such as pi-1" in capsys.readouterr().err
    assert (main(words), main(words)) == (0, 1)
    assert "is there already; a roll-out has a folder of its own" in capsys.readouterr().err


def rollout(*waves: list[str]) -> Rollout:
    return Rollout(waves, {device: SHA for wave in waves for device in wave})


def record(alerts: int, weeks: float = 4.0, sha256: str = SHA) -> DeviceRecord:
    return DeviceRecord(alerts, weeks, 1.0, sha256)


def test_next_wave_goes_where_alerts_are_those_to_be_expected_and_stops_where_they_rise() -> None:
    plan = rollout(["a"], ["b", "c"])
    before = {"a": record(4, sha256="old")}
    assert decide(plan, 0, {}, {}).go
    assert decide(plan, 1, before, {"a": record(6)}).go
    stop = decide(plan, 1, before, {"a": record(15)})
    assert not stop.go
    assert stop.reason == "alerts rise: 15 alerts on 1 devices in 4 weeks, 4 were to be expected; look at a first"
    assert decide(plan, 2, {}, {}).wave is None


def test_noisy_machine_is_held_to_what_it_was() -> None:
    plan = rollout(["a"], ["b"])
    assert decide(plan, 1, {"a": record(40, sha256="old")}, {"a": record(42)}).go


def test_next_wave_waits_for_devices_that_are_not_judged_with_their_new_model() -> None:
    plan = rollout(["a", "b"], ["c"])
    stop = decide(plan, 1, {}, {"a": record(1), "b": record(1, sha256="old")})
    assert (stop.go, stop.reason) == (False, "1 of 2 devices are not judged with their new models yet, such as b")
    assert "both before and since" in decide(plan, 1, {}, {"a": record(1), "b": record(1)}).reason


def test_rise_is_more_than_luck() -> None:
    assert Rise(1, 1.0, 3, 1.0).chance == pytest.approx(0.0803, abs=1e-4)
    assert not Rise(1, 1.0, 3, 1.0).is_one
    assert Rise(1, 1.0, 6, 1.0).is_one
    assert Rise(300, 1000.0, 1200, 1000.0).is_one
    assert Rise(300, 1000.0, 10_100, 10_000.0).chance == pytest.approx(0.1600, abs=1e-3)
    assert Rise(300, 1000.0, 10**9, 10_000.0).is_one


def test_next_reads_evaluations_and_files_and_its_status_says_go_or_stop(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    assert main(["fleet", "rollout", "--models", str(models), "--out", str(out)]) == 0
    plan = json.loads((out / "plan.json").read_text())
    ((first,), *_), sha256 = plan["waves"], next(iter(plan["models"].values()))["sha256"]
    with ledger(tmp_path / "since") as book:
        book.write_table([JobRow(first, DONE, facts=FACTS | {"model_sha256": sha256})])
    (tmp_path / "before.json").write_text(json.dumps({first: {"alerts": 2, "weeks": 4.0}}))
    (tmp_path / "worse.json").write_text(json.dumps({first: {"alerts": 20, "weeks": 4.0}}))
    capsys.readouterr()
    words = ["fleet", "rollout", "--out", str(out), "--next", "--gone", "1", "--before", str(tmp_path / "before.json")]
    assert main([*words, "--since", str(tmp_path / "since")]) == 0
    assert capsys.readouterr().out.startswith("go: wave 2: 1 alerts on 1 devices in 4 weeks")
    assert main([*words, "--since", str(tmp_path / "worse.json")]) == STOPPED
    assert capsys.readouterr().out.startswith("stop: wave 2: alerts rise")


def test_fewer_waves_than_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["fleet", "rollout", "--out", str(tmp_path), "--next", "--gone", "-4"])
    assert "'-4' should be how many waves have gone, 0 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "no JSON object of devices"),
        ('{"a": {"alerts": 1, "weeks": 0}}', "watched for no time"),
        ("{", "no JSON"),
        ('{"a": ' * 9000, "no JSON object of devices"),
        ('{"a": 3}', 'a: should be an object such as {"alerts": 2, "weeks": 1.5}'),
        ('{"a": {"alerts": Infinity, "weeks": 1}}', "a: alerts should be a number from 0 to 1e+09, not inf"),
        ('{"a": {"alerts": -1, "weeks": 1}}', "a: alerts should be a number from 0 to 1e+09, not -1"),
        ('{"a": {"alerts": 1, "weeks": 1, "budget_per_week": NaN}}', "a: budget_per_week should be a number"),
    ],
)
def test_file_that_is_no_record_of_devices_is_refused(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "since.json").write_text(text)
    words = ["fleet", "rollout", "--out", str(tmp_path), "--next", "--since", str(tmp_path / "since.json")]
    assert main(words) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"schema": 1, "waves": [["a"], ["b"]], "models": {}}',
        '{"schema": 1, "waves": [["a"]], "models": []}',
        '{"schema": 2, "waves": [], "models": {}}',
        '{"a": ' * 9000,
    ],
    ids=["list", "no models", "models", "schema", "deep"],
)
def test_plan_that_was_edited_by_hand_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.json").write_text(text)
    (tmp_path / "told.json").write_text('{"a": {"alerts": 1, "weeks": 1}}')
    told = ["--before", str(tmp_path / "told.json"), "--since", str(tmp_path / "told.json")]
    assert main(["fleet", "rollout", "--out", str(tmp_path), "--next", "--gone", "1", *told]) == 1
    assert "plan.json: cannot be read (it is not what rollout plan writes)" in capsys.readouterr().err


@pytest.mark.parametrize("waves", ["", ",", "abc", "5;100", "5,nan,100", "5,5", "100,5", "0,100", "5,25"])
def test_waves_that_are_no_rising_parts_are_refused_with_an_example(
    waves: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["fleet", "rollout", "--models", str(tmp_path), "--out", str(tmp_path), "--waves", waves])
    assert f"{waves!r} should be rising parts in %, the last 100, such as 5,25,100" in capsys.readouterr().err


def test_folder_of_a_roll_out_that_was_cut_short_is_not_added_to(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = tmp_path / "r" / "wave-1" / "pump-of-wave-3"
    left.mkdir(parents=True)
    assert main(["fleet", "rollout", "--models", str(models), "--out", str(tmp_path / "r")]) == 1
    assert f"{left.parent}: is of a roll-out that was cut short; remove {tmp_path / 'r'}" in capsys.readouterr().err


def test_model_files_of_any_name_are_rolled_out_without_a_table_of_classes(models: Path, tmp_path: Path) -> None:
    data, folder = (models / "make.onnx").read_bytes(), tmp_path / "models"
    folder.mkdir()
    for name in ("hall%2F1", "Pumpe Süd"):  # as a fit writes hall/1, and as a person copies a file there
        (folder / f"{name}.onnx").write_bytes(data)
    assert main(["fleet", "rollout", "--models", str(folder), "--out", str(tmp_path / "r"), "--waves", "100"]) == 0
    plan = json.loads((tmp_path / "r" / "plan.json").read_text())
    assert sorted(plan["models"]) == ["Pumpe Süd", "hall/1"]
    found = model_folder(folder).model_of("Pumpe Süd")
    assert found is not None
    assert found.path == str(folder / "Pumpe Süd.onnx")


def test_one_model_for_all_needs_the_devices_named(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fleet", "rollout", "--models", str(models / "make.onnx"), "--out", str(tmp_path / "r")]) == 1
    assert "is one model for all; say with --devices which devices there are" in capsys.readouterr().err
