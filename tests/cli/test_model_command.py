"""`edge-ae model`: a folder of models, as a person keeps it, and a daemon that takes up what was put to use."""

import json
import signal
from pathlib import Path

import pytest

from edge_ae.cli.main import main
from edge_ae.model.onnx_model import OnnxModel
from tests.cli.processes import started
from tests.cli.test_reload import SETTINGS
from tests.conftest import Broker, Subscriber, wait_for
from tests.models import hand_made, write_model


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    path = tmp_path / "newer.onnx"
    write_model(path, trained_at="2026-02-02T00:00:00Z", typical=0.3)
    return path


@pytest.fixture
def folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a model in use."""
    path = tmp_path / "pump"
    assert main(["model", "install", str(hand_made(tmp_path_factory)), "--in", str(path)]) == 0
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """Of a command: its status, and what it printed on stdout and stderr."""
    capsys.readouterr()
    status = main(["model", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_each_step_says_what_is_in_use_and_how_the_daemon_takes_it_up(
    folder: Path, newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(capsys, "install", newer, "--in", folder)
    digits = OnnxModel.load(newer).spec.sha256[:12]
    assert (status, out) == (
        0,
        f"installed: {digits}; edge-ae model promote {digits} --in {folder} puts it to use\n",
    )
    status, out, _ = run(capsys, "promote", digits, "--in", folder)
    assert out == (
        f"in use: {digits} (pump, hand, 2 channels, trained 2026-02-02T00:00:00Z); "
        "a running daemon follows within seconds\n"
    )
    status, out, _ = run(capsys, "rollback", "--in", folder)
    assert "trained 2026-01-01T00:00:00Z" in out


def test_a_list_marks_what_is_in_use_and_what_was_before(
    folder: Path, newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "install", newer, "--in", folder, "--promote")
    _, out, _ = run(capsys, "list", folder)
    newest, oldest = out.splitlines()
    assert ("in use" in newest, "2026-02-02" in newest) == (True, True)
    assert ("before" in oldest, "2026-01-01" in oldest) == (True, True)
    _, out, _ = run(capsys, "list", folder, "--json")
    assert [(one["current"], one["previous"]) for one in json.loads(out)] == [(True, False), (False, True)]


def test_a_model_in_the_shadow_is_marked_until_none_is(
    folder: Path, newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "install", newer, "--in", folder)
    digits = OnnxModel.load(newer).spec.sha256[:12]
    status, out, _ = run(capsys, "shadow", digits, "--in", folder)
    assert (status, out.startswith(f"in the shadow: {digits} (pump,")) == (0, True)
    _, out, _ = run(capsys, "list", folder)
    assert "shadow" in out.splitlines()[0]
    run(capsys, "shadow", "none", "--in", folder)
    _, out, _ = run(capsys, "list", folder)
    assert "shadow" not in out


def test_a_spoiled_model_is_a_line_of_the_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "current").resolve().joinpath("model.onnx").write_bytes(b"x")
    status, out, _ = run(capsys, "list", folder)
    assert status == 0
    assert "FAULT" in out


def test_an_empty_folder_says_how_it_gets_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = run(capsys, "list", tmp_path)
    assert (out, err) == ("", f"no model is there; edge-ae model install FILE --in {tmp_path} puts one there\n")


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "list", tmp_path / "nothing")
    assert (status, out) == (1, "")
    assert err.startswith(f"edge-ae: {tmp_path / 'nothing'}: is no folder of models; edge-ae model install FILE --in")


def test_only_what_differs_is_shown(folder: Path, newer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "diff", folder, newer)
    assert out == "trained  2026-01-01T00:00:00Z -> 2026-02-02T00:00:00Z\n"
    _, out, _ = run(capsys, "diff", folder, folder)
    assert out == "the same file\n"


def test_a_file_is_tried_out(newer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "verify", newer)
    assert (status, out) == (
        0,
        f"{newer}: whole, and computes on this machine as it should: "
        "pump, hand, 2 channels, trained 2026-02-02T00:00:00Z\n",
    )
    newer.write_bytes(newer.read_bytes()[:-1])
    status, _, err = run(capsys, "verify", newer)
    assert status == 1
    assert err.startswith(f"edge-ae: {newer}: ")


def test_a_daemon_takes_up_what_was_put_to_use_and_goes_back(
    tmp_path: Path, broker: Broker, listener: Subscriber, folder: Path, newer: Path
) -> None:
    config, log = tmp_path / "edge-ae.toml", tmp_path / "run.log"
    config.write_text(SETTINGS.format(state=tmp_path / "state", port=broker.port, model=folder))
    process = started(log, "run", "--config", config)
    wait_for(lambda: "ready: " in log.read_text(), "the daemon")
    rows = iter(range(1000))

    def is_alert_of(trained: str) -> bool:
        listener.publish("plant/p1/t", {"ts": 1_790_000_000_000 + 1000 * next(rows), "flow": 5000, "pressure": 2.5})
        found = listener.bodies("p1/alert")
        return bool(found) and found[-1]["model"]["version"].startswith(trained)

    wait_for(lambda: is_alert_of("2026-01-01"), "the first model")
    for action, trained in (("install", "2026-02-02"), ("rollback", "2026-01-01")):
        words = [str(newer), "--promote"] if action == "install" else []
        assert main(["model", action, *words, "--in", str(folder)]) == 0
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: is_alert_of(trained), f"the model of {trained}")  # noqa: B023
    assert "not taken up" not in log.read_text()
