"""The folder of a daemon's recorder as --data: whole or damaged, of two versions, with parts that overlap."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.data import loading, prepare

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.store.columnar.recorder import ColumnRecorder
from edge_ae.store.recorder import Recorder
from edge_ae.store.recording.options import ReadOptions

T0 = 1_795_435_200  # 2026-11-23T12:00:00Z
DAY = 86_400


def record(recorder: ColumnRecorder | Recorder, asset: str, first_s: int, seconds: int) -> None:
    for second in range(first_s, first_s + seconds):
        recorder.push(asset, second * SECOND, {"a": second % 7 / 10, "b": float(second % 3)})
    recorder.flush()


def test_a_recorders_folder_is_read_as_it_is_old_files_and_new_ones(tmp_path: Path) -> None:
    older = Recorder(tmp_path, 10**9)
    record(older, "pump", T0, 50)
    older.close()
    newer = ColumnRecorder(tmp_path, 10**9)
    record(newer, "pump", T0 + 50, 50)
    record(newer, "pump", T0 + DAY, 50)
    record(newer, "fan", T0, 50)
    assert {path.suffix for path in tmp_path.glob("*/*")} == {".gz", ".rows"}
    recording = prepare.read([tmp_path])
    assert [(one.asset, one.start_slot, len(one)) for one in recording.segments] == [
        ("fan", T0, 50),
        ("pump", T0, 100),
        ("pump", T0 + DAY, 50),
    ]
    expected = [[second % 7 / 10, float(second % 3)] for second in range(T0, T0 + 100)]
    np.testing.assert_array_equal(recording.segments[1].values, np.array(expected, np.float32))


def test_rows_that_came_twice_count_once(tmp_path: Path) -> None:
    recorder = ColumnRecorder(tmp_path, 10**9)
    record(recorder, "pump", T0, 60)
    (path,) = tmp_path.rglob("*.rows")
    once = prepare.read([tmp_path]).segments
    shutil.copy(path, path.with_name("20261123T120000-2.rows"))
    record(recorder, "pump", T0 + 30, 30)
    (segment,) = prepare.read([tmp_path]).segments
    np.testing.assert_array_equal(segment.values, once[0].values)


def test_a_file_without_a_whole_block_is_left_out_of_the_folder(tmp_path: Path) -> None:
    recorder = ColumnRecorder(tmp_path, 10**9)
    record(recorder, "pump", T0, 60)
    (tmp_path / "pump" / "20261124T000000.rows").write_bytes(b"EAR1 and no more")
    (segment,) = prepare.read([tmp_path]).segments
    assert len(segment) == 60
    for path in tmp_path.rglob("*.rows"):
        path.write_bytes(b"EAR1 and no more")
    with pytest.raises(BadData, match=r"20261123T120000\.rows: its last 16 bytes are no whole block"):
        loading.load([tmp_path])


def test_columns_of_a_rows_file_are_ignored_as_those_of_any(tmp_path: Path) -> None:
    record(ColumnRecorder(tmp_path, 10**9), "pump", T0, 60)
    (table,) = loading.load([tmp_path], ReadOptions(ignore=["b"]))
    assert table.names == ("a",)
    with pytest.raises(BadData, match="has no column 'z'; it has a, b"):
        loading.load([tmp_path], ReadOptions(ignore=["z"]))
