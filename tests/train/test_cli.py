"""The trainer's command line as a person meets it: exit statuses, one sentence where something is wrong, quiet in a pipe."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_ae_train.cli import main
from edge_ae_train.models import families
from edge_ae_train.options import EXAMPLES, FAMILIES

from edge_ae.core.detector import Watch
from edge_ae.core.rules import AlertRules
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import score_table
from edge_ae.store.recording_csv import read_csv
from tests.train.conftest import Small

WEEKLY = AlertRules(interval_ns=7 * 86_400 * 10**9)


def output_of(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_of_every_command_has_an_example_of_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"example: {EXAMPLES[command]}" in capsys.readouterr().out
    assert EXAMPLES[command].startswith(f"edge-ae-train {command} ")


def test_families_to_ask_for_are_those_there_are() -> None:
    assert set(FAMILIES) == set(families.FAMILIES)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from edge_ae_train.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print([n for n in ('torch', 'numpy', 'onnx', 'rich', 'pydantic') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n[]\n")


def test_device_without_the_packages_for_a_report_is_shown_which_to_install() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from edge_ae_train.__main__ import main\n"
        "sys.exit(main(['report', '--model', 'm.onnx', '--data', 'a.csv', '--out', 'r']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == "edge-ae-train: matplotlib is not installed; in the checkout: pip install '.[train]' ./train\n"
    )


def test_evaluation_is_shown_and_written_as_json(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    options = ("--label", "anomaly", "--budget", "1/hour", "--json", out)
    code, shown, notes = output_of(capsys, "evaluate", "--model", small.model, "--data", small.faulty, *options)
    assert (code, notes) == (0, "")
    assert "1 of 1" in shown
    facts = json.loads(out.read_text())
    assert facts["alerts_per_week"]["budget"] == 168.0
    assert facts["total"]["events_found"] == 1


def test_brackets_in_a_name_are_shown_as_they_are(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "hall [red] pump[bar].csv"
    data.write_bytes(small.normal.read_bytes())
    assert "hall [red] pump[bar]" in output_of(capsys, "evaluate", "--model", small.model, "--data", data)[1]


def test_channels_that_report_on_change_hold_their_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A flow each second; a valve that speaks where it moves, each minute or so."""
    rng = np.random.default_rng(0)
    valve, data, model = 0.0, tmp_path / "on-change.csv", tmp_path / "m.onnx"
    lines = ["t,flow,valve"]
    for second in range(1200):
        moves = second % 50 == 0
        valve = round(rng.normal(), 2) if moves else valve
        lines.append(f"{1_700_000_000 + second},{valve + 0.1 * rng.normal():.3f},{valve if moves else ''}")
    data.write_text("\n".join(lines) + "\n")
    fit = ("fit", "--family", "pca", "--length", "16", "--data", data, "--out", model, "--hold", "60")
    assert "--hold needs --period" in output_of(capsys, *fit)[2]
    assert output_of(capsys, *fit, "--period", "1")[0] == 0
    spec = OnnxModel.load(model).spec
    assert spec.hold_rows == 60
    assert spec.channels[1].missing_rows == 0
    result = score_table(read_csv(data), OnnxModel.load(model), Watch(OnnxModel.load(model), WEEKLY))
    assert np.isfinite(result.score[16:]).all()


def test_label_left_in_is_noted_on_stderr(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, notes = output_of(capsys, "evaluate", "--model", small.model, "--data", small.faulty)
    assert code == 0
    assert "'anomaly' looks like a label" in notes


def test_report_says_what_to_open(small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = output_of(capsys, "report", "--model", small.model, "--out", tmp_path / "r")
    assert (code, shown) == (0, f"open {tmp_path / 'r' / 'report.html'}\n")


def test_fault_of_the_world_is_one_line_on_stderr_and_status_1(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere"
    faults = {
        ("evaluate", "--model", nowhere, "--data", small.normal): "nowhere: cannot be read: No such file or directory",
        ("evaluate", "--model", small.normal, "--data", small.normal): "copy the original again",
        ("evaluate", "--model", small.model, "--data", nowhere): "nowhere: cannot be read",
        ("fit", "--data", small.normal, "--out", nowhere / "m.onnx"): "m.onnx: cannot be written",
        ("evaluate", "--model", small.model, "--data", small.normal, "--json", nowhere / "f"): "f: cannot be written",
        ("fit", "--data", small.normal, "--out", tmp_path / "m.onnx", "--units", "flow=m3/h,sped=m/s"): (
            "--units: 'sped=m/s' should be one of the channels flow, speed, an equals sign, and its unit"
        ),
        ("fit", "--data", small.normal, "--out", tmp_path / "m.onnx", "--hop", "100"): "a hop of 100 passes over rows",
    }
    for arguments, sentence in faults.items():
        code, _, complaint = output_of(capsys, *arguments)
        assert code == 1
        *notes, last = complaint.splitlines()
        assert notes in ([], ["the sample period is 1 s"])
        assert last.startswith("edge-ae-train: ")
        assert sentence in last


def test_nothing_that_is_read_is_written_over(small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = small.model.read_bytes(), small.normal.read_bytes()
    words = tmp_path / "feedback.jsonl"
    words.touch()
    asked = [
        ("fit", "--data", small.normal, "--out", small.normal),
        ("evaluate", "--model", small.model, "--data", small.normal, "--json", small.model),
        ("generate", "--model", small.model, "--rows", "9", "--out", small.model),
        ("retrain", "--current", small.model, "--data", small.normal, "--out", small.normal),
        ("retrain", "--current", small.model, "--data", small.normal, "--out", small.model, "--json", small.model),
        ("retrain", "--current", small.model, "--data", small.normal, "--out", words, "--feedback", words),
    ]
    for arguments in asked:
        assert "is read from, and would be written over" in output_of(capsys, *arguments)[2]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert (
        "is no file, and a model is written as one"
        in output_of(capsys, "fit", "--data", small.normal, "--out", pipe)[2]
    )
    assert (small.model.read_bytes(), small.normal.read_bytes()) == before


def test_channel_that_hides_the_faults_of_the_others_is_named(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *lines = small.normal.read_text().splitlines()
    text = [f"{header},switch", *(f"{line},{int(n % 150 == 7)}" for n, line in enumerate(lines))]
    data = tmp_path / "switch.csv"
    data.write_text("\n".join(text) + "\n")
    arguments = ("fit", "--family", "cva", "--length", "16", "--out", tmp_path / "m.onnx", "--data", data)
    code, shown, _ = output_of(capsys, *arguments, "--ignore", "speed", "--kind", "switch=analog")
    assert code == 0
    assert "are found, for switch does now and then, in these recordings, what is as odd as a fault" in shown
    for others in (("--ignore", "speed,switch"), ("--ignore", "speed", "--kind", "switch=discrete")):
        assert "note: of the large faults" not in output_of(capsys, *arguments, *others)[1]


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["evaluate"],
        ["fit", "--data", "a.csv", "--out", "m", "--family", "best"],
        ["fit", "--data", "a.csv", "--out", "m", "--length", "0"],
        ["fit", "--data", "a.csv", "--out", "m", "--length", "18"],
        ["fit", "--data", "a.csv", "--out", "m", "--length", "4"],
        ["fit", "--data", "a.csv", "--out", "m", "--seed", "-1"],
        ["fit", "--data", "a.csv", "--out", "m", "--period", "1e-10"],
        ["evaluate", "--model", "m", "--data", "a.csv", "--budget", "seldom"],
        ["evaluate", "--model", "m", "--data", "a.csv", "--deadband", "1"],
        ["generate", "--model", "m", "--rows", "-1", "--out", "a.csv"],
    ],
)
def test_wrong_usage_is_status_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
