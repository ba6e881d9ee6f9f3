"""Rows of the daemon on disk: what was pushed is read again, after a crash too, and flash and disk are spared."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.store.columnar import block as blocks
from edge_ae.store.columnar import recorder as module
from edge_ae.store.columnar.block import Mark
from edge_ae.store.columnar.recorder import ColumnRecorder
from edge_ae.store.columnar.rows_file import read_rows
from edge_ae.store.recorder import Recorder
from edge_ae.store.recordings import marks_below, recorded_files, tables
from tests.disks import files_no_longer_than

NOON = 1_795_435_200 * SECOND  # 2026-11-23T12:00:00Z
DAY = 86_400 * SECOND


def values(folder: Path, asset: str = "pump") -> list[list[float]]:
    """All that was recorded of an asset, NaN as None."""
    found = [table for file in recorded_files(folder, asset) for table in tables(file)]
    return [[None if np.isnan(v) else v for v in row] for table in found for row in table.values.tolist()]  # type: ignore[misc]


def test_what_was_pushed_is_read_again(tmp_path: Path) -> None:
    recorder = ColumnRecorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"flow": 1.5, "speed": 1450.0})
    recorder.push("pump", NOON + 123_456_789, {"flow": 0.1 + 0.2})
    recorder.close()
    table = read_rows(tmp_path / "pump" / "20261123T120000.rows")
    assert (table.names, table.t_ns.tolist()) == (("flow", "speed"), [NOON, NOON + 123_456_789])
    np.testing.assert_array_equal(table.values, [[1.5, 1450.0], [0.1 + 0.2, np.nan]])
    assert recorder.counts["rows"] == 2


ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.dictionaries(st.sampled_from("abc"), st.floats(allow_nan=False, allow_infinity=False), min_size=1),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@given(ROWS)
def test_any_rows_come_back_each_value_at_its_time(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, dict[str, float], bool]]
) -> None:
    folder = tmp_path_factory.mktemp("recorded")
    recorder, t_ns, pushed = ColumnRecorder(folder, 10**9), NOON, []
    for step, row, flushed in rows:
        t_ns += step * SECOND
        recorder.push("pump", t_ns, row)
        pushed += [(t_ns, name, value) for name, value in row.items()]
        if flushed:
            recorder.flush()
    recorder.close()
    back = [
        (int(t), name, value)
        for file in recorded_files(folder)
        for table in tables(file)
        for t, line in zip(table.t_ns, table.values.tolist(), strict=True)
        for name, value in zip(table.names, line, strict=True)
        if not np.isnan(value)
    ]
    assert sorted(back) == sorted(pushed)


def test_channels_that_come_one_by_one_at_the_same_time_are_one_row(tmp_path: Path) -> None:
    recorder = ColumnRecorder(tmp_path, 10**6)
    for t_ns, name, value in (
        (NOON, "a", 1.0),
        (NOON, "b", 2.0),
        (NOON + 1, "b", 4.0),
        (NOON + 1, "a", 3.0),
        (NOON + 1, "a", 5.0),
    ):
        recorder.push("pump", t_ns, {name: value})
    recorder.close()
    assert values(tmp_path) == [[1.0, 2.0], [3.0, 4.0], [5.0, None]]


def test_rows_of_some_minutes_are_one_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [1_000.0]
    monkeypatch.setattr("edge_ae.store.columnar.recorder.time.monotonic", lambda: now_s[0])
    recorder = ColumnRecorder(tmp_path, 10**6, flush_s=300.0)
    for second in range(3_601):
        now_s[0] += 1.0
        recorder.push("pump", NOON + second * SECOND, {"a": second / 8})
        recorder.tick()
    assert recorder.counts["appends"] == 12
    assert recorder.report()["bytes_a_day"] == round(recorder.counts["bytes"] * 86_400 / 3_601)


def test_a_day_has_a_file_and_a_restart_goes_on_with_it(tmp_path: Path) -> None:
    for hour in (0, 6, 13, 14):
        recorder = ColumnRecorder(tmp_path, 10**6)
        recorder.push("pump", NOON + hour * 3600 * SECOND, {"a": float(hour)})
        recorder.close()
    assert [(file.path.name, len(read_rows(file.path))) for file in recorded_files(tmp_path)] == [
        ("20261123T120000.rows", 2),
        ("20261124T010000.rows", 2),
    ]


def test_a_new_channel_needs_no_new_file(tmp_path: Path) -> None:
    recorder = ColumnRecorder(tmp_path, 10**6)
    for second, name in enumerate("ab"):
        recorder.push("pump", NOON + second * SECOND, {name: 1.0})
        recorder.flush()
    assert read_rows(tmp_path / "pump" / "20261123T120000.rows").names == ("a", "b")


def test_what_a_crash_tore_off_is_cut_off_before_the_next_append(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crashed = ColumnRecorder(tmp_path, 10**6)
    crashed.push("pump", NOON, {"a": 1.0})
    crashed.flush()
    path = tmp_path / "pump" / "20261123T120000.rows"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-3])
    recorder = ColumnRecorder(tmp_path, 10**6)
    recorder.push("pump", NOON + SECOND, {"a": 2.0})
    recorder.close()
    table = read_rows(path)
    assert (table.values[:, 0].tolist(), table.notes) == ([1.0, 2.0], ())
    assert recorder.counts["tails_cut"] == 1
    assert "cut off by a power cut" in caplog.text


def test_the_oldest_files_of_either_kind_go_when_there_is_no_room(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    older = Recorder(tmp_path, 10**6)
    for second in range(200):
        older.push("pump", NOON - DAY + second * SECOND, {"a": float(rng.normal())})
    older.close()
    recorder = ColumnRecorder(tmp_path, 4_000)
    for second in range(2_000):
        recorder.push("pump", NOON + second * SECOND, {"a": float(rng.normal())})
        if second % 20 == 19:
            recorder.flush()
    recorder.close()
    left = [file.path for file in recorded_files(tmp_path)]
    assert {path.suffix for path in left} == {".rows"}
    assert sum(path.stat().st_size for path in left) <= 4_000
    assert recorder.counts["files_dropped"] > 0
    assert read_rows(left[-1]).t_ns[-1] == NOON + 1_999 * SECOND


def test_what_an_earlier_version_recorded_is_read_with_the_rest(tmp_path: Path) -> None:
    older = Recorder(tmp_path, 10**6)
    older.push("pump", NOON - DAY, {"a": 1.0})
    older.flush()  # and crashes
    recorder = ColumnRecorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"a": 2.0})
    recorder.close()
    assert values(tmp_path) == [[1.0], [2.0]]
    assert recorder.counts["files_recovered"] == 1


def test_a_full_disk_costs_rows_that_are_counted_and_leaves_what_was_there(tmp_path: Path) -> None:
    recorder = ColumnRecorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"a": 1.0})
    recorder.flush()
    path = tmp_path / "pump" / "20261123T120000.rows"
    with files_no_longer_than(path.stat().st_size + 5):
        recorder.push("pump", NOON + SECOND, {"a": 2.0})
        recorder.mark("pump", NOON, NOON, "alert 1")
        recorder.flush()
        assert str(path) in (recorder.fault or "")
    recorder.push("pump", NOON + 2 * SECOND, {"a": 3.0})
    recorder.close()
    assert read_rows(path).values[:, 0].tolist() == [1.0, 3.0]
    assert (recorder.counts["rows"], recorder.counts["rows_lost"], recorder.counts["marks_lost"]) == (2, 1, 1)
    assert recorder.fault is None


def test_a_disk_that_refuses_one_asset_records_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "pump").write_text("a file where a folder should be")
    recorder = ColumnRecorder(tmp_path, 10**6)
    for second in range(2):
        recorder.push("pump", NOON + second * SECOND, {"a": 1.0})
        recorder.push("fan", NOON + second * SECOND, {"a": 1.0})
        recorder.flush()
    assert "pump" in (recorder.fault or "")
    assert (recorder.counts["rows"], recorder.counts["rows_lost"]) == (2, 2)
    assert len([message for message in caplog.messages if "rows are not recorded" in message]) == 1


def test_a_folder_that_is_taken_away_meanwhile_is_made_again(tmp_path: Path) -> None:
    recorder = ColumnRecorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"a": 1.0})
    recorder.flush()
    for path in (tmp_path / "pump").iterdir():
        path.unlink()
    (tmp_path / "pump").rmdir()
    recorder.push("pump", NOON + SECOND, {"a": 2.0})
    recorder.close()
    assert values(tmp_path) == [[2.0]]


def test_memory_is_bounded_for_one_asset_and_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", 10)
    monkeypatch.setattr(module, "MOST_CELLS_OF_ALL", 25)
    monkeypatch.setattr(module, "MOST_MARKS", 2)
    recorder = ColumnRecorder(tmp_path, 10**6)
    for second in range(10):
        recorder.push("pump", NOON + second * SECOND, {"a": 1.0})
    assert recorder.counts["rows"] == 10
    for asset in range(25):
        recorder.push(f"fan-{asset}", NOON, {"a": 1.0})
    assert recorder.counts["rows"] == 11
    for _ in range(3):
        recorder.mark("pump", NOON, NOON, "alert 1")
    assert recorder.counts["marks_lost"] == 1


def test_channels_beyond_what_an_asset_may_have_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ae.store.columnar.buffer.MOST_CHANNELS", 2)
    recorder = ColumnRecorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"a": 1.0, "b": 2.0, "c": 3.0})
    recorder.close()
    assert values(tmp_path) == [[1.0, 2.0]]
    assert recorder.counts["values_left_out"] == 1


def test_of_marks_that_go_on_the_longest_counts(tmp_path: Path) -> None:
    recorder = ColumnRecorder(tmp_path, 10**6)
    recorder.mark("pump", NOON, NOON + SECOND, "alert 7")
    recorder.flush()
    recorder.mark("pump", NOON, NOON + 9 * SECOND, "alert 7")
    recorder.mark("pump", NOON, NOON + 2 * SECOND, "sick a")
    recorder.close()
    assert marks_below(tmp_path) == {
        "pump": [Mark(NOON, NOON + 2 * SECOND, "sick a"), Mark(NOON, NOON + 9 * SECOND, "alert 7")]
    }


def test_what_is_asked_for_of_others_is_refused_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="holds no recordings"):
        recorded_files(tmp_path)
    recorder = ColumnRecorder(tmp_path, 10**6)
    recorder.push("pump", NOON, {"a": 1.0})
    recorder.close()
    with pytest.raises(BadData, match="holds nothing of 'fan', but of pump"):
        recorded_files(tmp_path, "fan")


def test_a_block_holds_no_more_than_a_reader_takes() -> None:
    assert module.MOST_CELLS <= blocks.MOST_LINES
