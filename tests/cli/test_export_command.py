"""`edge-ae export`: recorded rows by asset and time, from both kinds of files, into one that is whole or not there."""

import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edge_ae.cli.main import main
from edge_ae.core.timestamps import SECOND
from edge_ae.store import recording_export as module
from edge_ae.store.columnar.recorder import ColumnRecorder
from edge_ae.store.recorder import Recorder
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording_csv import read_csv

NOON = 1_795_435_200 * SECOND  # 2026-11-23T12:00:00Z


def recorded(folder: Path) -> Path:
    """A pump by two versions, the newer with one more channel, and a fan."""
    older = Recorder(folder, 10**9)
    older.push("pump", NOON, {"flow": 0.1 + 0.2})
    older.close()
    newer = ColumnRecorder(folder, 10**9)
    for asset in ("pump", "fan"):
        newer.push(asset, NOON + SECOND, {"flow": 2.0, "speed": 1450.0})
        newer.push(asset, NOON + 2 * SECOND, {"speed": 1451.5})
    newer.close()
    return folder


def export(folder: Path, out: Path, *more: str) -> int:
    return main(["export", "--from", str(folder), "--out", str(out), *more])


def test_all_assets_are_one_file_with_a_column_that_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "all.csv"
    assert export(recorded(tmp_path / "kept"), out) == 0
    assert capsys.readouterr().out == f"{out}: 5 lines of 2 assets, 2 channels\n"
    assert out.read_text().splitlines() == [
        "timestamp,asset,flow,speed",
        "2026-11-23T12:00:01.000Z,fan,2.0,1450.0",
        "2026-11-23T12:00:02.000Z,fan,,1451.5",
        "2026-11-23T12:00:00.000Z,pump,0.30000000000000004,",
        "2026-11-23T12:00:01.000Z,pump,2.0,1450.0",
        "2026-11-23T12:00:02.000Z,pump,,1451.5",
    ]


def test_one_asset_between_two_times_both_included(tmp_path: Path) -> None:
    out = tmp_path / "pump.csv.gz"
    times = ("--since", "2026-11-23T12:00:01Z", "--until", "2026-11-23T12:00:01Z")
    assert export(recorded(tmp_path / "kept"), out, "--asset", "pump", *times) == 0
    table = read_csv(out)
    assert (table.names, table.t_ns.tolist(), table.values.tolist()) == (
        ("flow", "speed"),
        [NOON + SECOND],
        [[2.0, 1450.0]],
    )


def test_parquet_holds_what_csv_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    from edge_ae_train.data.parquet import read_parquet

    monkeypatch.setattr(module, "GROUP_LINES", 2)
    folder = recorded(tmp_path / "kept")
    for end in ("csv", "parquet"):
        assert export(folder, tmp_path / f"all.{end}") == 0
    text, columns = (
        read(tmp_path / f"all.{end}", ReadOptions(asset="asset"))
        for end, read in (("csv", read_csv), ("parquet", read_parquet))
    )
    assert (text.names, text.t_ns.tolist(), text.assets) == (columns.names, columns.t_ns.tolist(), columns.assets)
    np.testing.assert_array_equal(text.values, columns.values)


def test_what_cannot_be_exported_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = recorded(tmp_path / "kept")

    def refused(out: Path, *more: str) -> str:
        assert export(folder, out, *more) == 1
        assert not out.exists()
        return capsys.readouterr().err

    assert "should end in .csv, .csv.gz or .parquet" in refused(tmp_path / "all.xlsx")
    assert "is in the folder that is read" in refused(folder / "pump" / "all.csv")
    assert "holds nothing of 'motor', but of fan, pump" in refused(tmp_path / "a.csv", "--asset", "motor")
    assert "cannot be written" in refused(tmp_path / "no" / "a.csv")
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    assert "Parquet needs pyarrow, which is not installed" in refused(tmp_path / "a.parquet")
    newer = ColumnRecorder(folder, 10**9)
    newer.push("pump", NOON, {"asset": 1.0})
    newer.close()
    assert "has a channel called 'asset'" in refused(tmp_path / "a.csv")
    with pytest.raises(SystemExit):
        export(folder, tmp_path / "a.csv", "--since", "yesterday")
    assert "'yesterday' is no time" in capsys.readouterr().err


def test_a_stretch_without_rows_is_an_empty_file_and_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(recorded(tmp_path / "kept"), tmp_path / "a.csv", "--until", "2020-01-01") == 1
    assert "no row was recorded between --since and --until" in capsys.readouterr().err


def test_damage_is_noted_and_the_rest_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = recorded(tmp_path / "kept")
    (path,) = (folder / "fan").iterdir()
    path.write_bytes(path.read_bytes() + b"torn")
    assert export(folder, tmp_path / "a.csv") == 0
    assert "its last 4 bytes are no whole block" in capsys.readouterr().err


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    folder, out = recorded(tmp_path / "kept"), tmp_path / "a.csv"
    command = [sys.executable, "-m", "edge_ae", "export", "--from", str(folder), "--out", str(out)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)),
    )
    assert (done.returncode, done.stderr) == (1, f"edge-ae: {out}: cannot be written (File too large)\n")
    assert [path.name for path in tmp_path.iterdir() if "a.csv" in path.name] == []


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    recorder = ColumnRecorder(tmp_path / "kept", 10**9)
    for second in range(30_000):
        recorder.push("pump", NOON + second * SECOND, {"a": second % 100 / 8, "b": 1.0})
        if second % 300 == 299:
            recorder.flush()
    assert export(tmp_path / "kept", tmp_path / "warm.csv") == 0
    tracemalloc.start()
    assert export(tmp_path / "kept", tmp_path / "a.csv") == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000  # the rows alone are 720,000 bytes of doubles, and 3 MB of lines
