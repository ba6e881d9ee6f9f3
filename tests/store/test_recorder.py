"""Recordings: what was pushed is read again, after a crash too, and the disk is never filled."""

from pathlib import Path

import numpy as np
import pytest

from edge_ae.core.timestamps import SECOND
from edge_ae.store import recorder as module
from edge_ae.store.recorder import Recorder, whole_members
from edge_ae.store.recording_csv import read_csv
from edge_ae.store.recording_room import DONE
from tests.disks import files_no_longer_than

NOON = 1_795_435_200 * SECOND  # 2026-11-23T12:00:00Z


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_what_was_pushed_is_read_again(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"flow": 1.5, "speed": 1450.0})
    recorder.push("pump", NOON + 123_456_789, {"flow": 0.1 + 0.2})
    recorder.close()
    (path,) = files(tmp_path)
    assert path == tmp_path / "pump" / "20261123T120000.csv.gz"
    table = read_csv(path)
    assert table.names == ("flow", "speed")
    assert table.t_ns.tolist() == [NOON, NOON + 123_456_789]
    np.testing.assert_array_equal(table.values, [[1.5, 1450.0], [0.1 + 0.2, np.nan]])
    assert recorder.counts["rows"] == 2


def test_a_new_channel_begins_a_new_file_with_all_columns(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"a": 1.0})
    recorder.flush()
    recorder.push("pump", NOON + SECOND, {"b": 2.0})
    recorder.close()
    assert [read_csv(path).names for path in files(tmp_path)] == [("a",), ("a", "b")]


def test_channels_are_logged_as_they_first_come(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    recorder = Recorder(tmp_path, 10**6)
    for day, channel in enumerate(("a", "a", "b")):
        recorder.push("pump", NOON + day * 86_400 * SECOND, {channel: 1.0})
    recorder.close()
    assert caplog.messages == ["recording pump: a", "recording pump: a, b"]


def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 10**6)
    for hour in (0, 6, 13, 14):
        recorder.push("pump", NOON + hour * 3600 * SECOND, {"a": float(hour)})
    recorder.close()
    assert [read_csv(path).values[:, 0].tolist() for path in files(tmp_path)] == [[0.0, 6.0], [13.0, 14.0]]


def test_two_files_of_one_second_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        recorder = Recorder(tmp_path, 10**6)
        recorder.push("pump", NOON, {"a": value})
        recorder.close()
    assert sorted(read_csv(path).values[0, 0] for path in files(tmp_path)) == [1.0, 2.0]


def test_after_a_crash_all_that_was_flushed_is_kept(tmp_path: Path) -> None:
    crashed = Recorder(tmp_path, 10**6)
    for second in range(3):
        crashed.push("pump", NOON + second * SECOND, {"a": float(second)})
        crashed.flush()
    (part,) = files(tmp_path)
    assert part.suffix == ".part"
    part.write_bytes(part.read_bytes() + b"\x1f\x8b\x08torn")
    assert Recorder(tmp_path, 10**6).counts["files_recovered"] == 1
    (path,) = files(tmp_path)
    assert read_csv(path).values[:, 0].tolist() == [0.0, 1.0, 2.0]


def test_a_torn_member_is_found_at_every_length(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"a": 1.0})
    recorder.flush()
    first = files(tmp_path)[0].read_bytes()
    for cut in range(len(first)):
        assert whole_members(first + first[:cut]) == len(first)
    assert whole_members(first + first) == 2 * len(first)


def test_the_oldest_files_go_when_there_is_no_room(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 4_000)
    rng = np.random.default_rng(1)
    for second in range(2_000):
        recorder.push("pump", NOON + second * SECOND, {"a": float(rng.normal())})
        if second % 20 == 19:
            recorder.flush()
    recorder.close()
    left = files(tmp_path)
    assert sum(path.stat().st_size for path in left) <= 4_000
    assert recorder.counts["files_dropped"] > 0
    assert read_csv(left[-1]).t_ns[-1] == NOON + 1_999 * SECOND


def test_a_disk_that_refuses_costs_rows_and_is_reported(tmp_path: Path) -> None:
    (tmp_path / "pump").write_text("a file where a folder should be")
    recorder = Recorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"a": 1.0})
    recorder.push("fan", NOON, {"a": 1.0})
    recorder.flush()
    fault = recorder.fault or ""
    assert "pump" in fault
    assert recorder.counts == {"rows": 1, "rows_lost": 1}
    (tmp_path / "pump").unlink()
    recorder.push("pump", NOON, {"a": 2.0})
    recorder.close()
    assert recorder.fault is None
    assert recorder.counts == {"rows": 2, "rows_lost": 1}


def test_a_file_that_could_not_be_begun_is_begun_anew_with_its_header(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"a": 1.0})
    with files_no_longer_than(0):
        recorder.flush()
    assert recorder.counts == {"rows_lost": 1}
    recorder.push("pump", NOON + SECOND, {"a": 2.0})
    recorder.close()
    tables = [read_csv(path) for path in tmp_path.rglob(f"*{DONE}")]
    assert [table.values[:, 0].tolist() for table in tables] == [[2.0]]


def test_a_write_cut_short_by_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"a": 1.0})
    recorder.flush()
    with files_no_longer_than(files(tmp_path)[0].stat().st_size + 5):
        recorder.push("pump", NOON + SECOND, {"a": 2.0})
        recorder.flush()
    recorder.push("pump", NOON + 2 * SECOND, {"a": 3.0})
    recorder.close()
    (path,) = files(tmp_path)
    assert read_csv(path).values[:, 0].tolist() == [1.0, 3.0]
    assert recorder.counts == {"rows": 2, "rows_lost": 1}


def test_a_silent_assets_rows_go_to_disk_while_others_speak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_S", -1.0)
    recorder = Recorder(tmp_path, 10**6)
    for asset in ("silent", "a", "b", "a", "b"):
        recorder.push(asset, NOON, {"x": 1.0})
    assert (tmp_path / "silent").exists()


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 10)
    recorder = Recorder(tmp_path, 10**6)
    for second in range(10):
        recorder.push("pump", NOON + second * SECOND, {"a": 1.0})
    assert recorder.counts["rows"] == 10
