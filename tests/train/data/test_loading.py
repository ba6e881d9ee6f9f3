"""Files to tables: what they hold, matched by name; what cannot be read is refused in a sentence."""

from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from edge_ae_train.data import loading

from edge_ae.errors import BadData
from edge_ae.store.recording.options import ReadOptions
from tests.train.data.written import T0, make


def test_directory_means_its_recordings_in_counting_order(tmp_path: Path) -> None:
    for name in ("10.csv", "2.csv", "notes.txt", ".hidden.csv"):
        make(tmp_path, "t,a\n1,2\n2,3\n", f"d/{name}")
    assert [table.path.name for table in loading.load([tmp_path / "d"])] == ["2.csv", "10.csv"]


def test_channels_are_matched_by_name(tmp_path: Path) -> None:
    one, two = make(tmp_path, "t,a,b\n1,2,3\n", "1.csv"), make(tmp_path, "t,b,a\n1,3,2\n", "2.csv")
    tables = loading.load([one, two])
    assert tables[1].names == ("a", "b")
    assert tables[1].values.tolist() == [[2.0, 3.0]]


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "a": pa.array([1.0, None, 3.0]),
        "l": pa.array([False, True, False]),
        "pump": pa.array(["x", "x", "x"]),
        "when": pa.array([1_600_000_000_000_000 + i for i in (0, 1_000_000, 2_000_000)], pa.timestamp("us", "UTC")),
    }
    parquet.write_table(pa.table(columns), tmp_path / "r.parquet")
    csv = make(tmp_path, "t,a,l,pump\n1600000000,1,0,x\n1600000001,,1,x\n1600000002,3,0,x\n")
    got = loading.read_table(tmp_path / "r.parquet", ReadOptions(label="l", asset="pump"))
    want = loading.read_table(csv, ReadOptions(label="l", asset="pump"))
    assert (got.names, got.t_ns.tolist(), got.assets) == (want.names, want.t_ns.tolist(), want.assets)
    np.testing.assert_array_equal(got.values, want.values)
    assert got.labels is not None
    assert got.labels.tolist() == [False, True, False]
    assert got.times[0] == "2020-09-13T12:26:40.000Z"


def test_texts_of_parquet_are_read_by_the_law_of_csv(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "flow": ["1.5", "Bad Input", "2"],
        "valve": ["open", "closed", None],
        "when": ["01.11.2026 10:00", "01.11.2026 10:01", "01.11.2026 10:02"],
    }
    parquet.write_table(pa.table(columns), tmp_path / "r.parquet")
    table = loading.read_table(tmp_path / "r.parquet", ReadOptions(time=["when"], time_zone=ZoneInfo("Europe/Berlin")))
    np.testing.assert_array_equal(table.values, [[1.5, 1.0], [np.nan, 0.0], [2.0, np.nan]])
    assert table.times[0] == "2026-11-01T09:00:00.000Z"
    assert [part.strip() for part in table.notes[0].partition(": ")[2].split(";")] == [
        "times such as '01.11.2026 10:00' are day, month, year",
        "times without an offset are those of Europe/Berlin",
        "'valve': open = 1, closed = 0",
        "1 cell ('Bad Input') taken for missing",
    ]


def test_parquet_that_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    broken = tmp_path / "b.parquet"
    broken.write_bytes(b"PAR1 and no more")
    with pytest.raises(BadData, match="is no readable Parquet file"):
        loading.load([broken])
    parquet.write_table(pa.table({"t": [T0, T0 + 1], "a": ["x", "y"]}), tmp_path / "s.parquet")
    with pytest.raises(BadData, match="column 'a' of type string holds what is no number"):
        loading.load([tmp_path / "s.parquet"])
    with pytest.raises(BadData, match="has no column 'z'; it has a"):
        loading.load([tmp_path / "s.parquet"], ReadOptions(ignore=["z"]))
    parquet.write_table(pa.table([pa.array([1, 2])] * 3, names=["t", "a", "a"]), tmp_path / "d.parquet")
    with pytest.raises(BadData, match="the column name 'a' is there twice"):
        loading.load([tmp_path / "d.parquet"])
    parquet.write_table(pa.table({"t": [T0, T0 + 1], "a": [1, 2], "l": [0, 2]}), tmp_path / "l.parquet")
    with pytest.raises(BadData, match="column 'l' holds 2, which is no label"):
        loading.load([tmp_path / "l.parquet"], ReadOptions(label="l"))
    parquet.write_table(pa.table({"t": pa.array([1, None], pa.timestamp("us")), "a": [1, 2]}), tmp_path / "n.parquet")
    with pytest.raises(BadData, match="the time column holds what is no time: 1 of 2 rows have none"):
        loading.load([tmp_path / "n.parquet"])
    far = pa.array([2**60, 2**60], pa.timestamp("us"))
    parquet.write_table(pa.table({"t": far, "a": [1, 2]}), tmp_path / "f.parquet")
    with pytest.raises(BadData, match="the time column holds what is no time"):
        loading.load([tmp_path / "f.parquet"])


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    one, two = make(tmp_path, "t,a,b\n1,2,3\n", "1.csv"), make(tmp_path, "t,a\n1,3\n", "2.csv")
    with pytest.raises(BadData, match=r"2\.csv: lacks b, which .*1\.csv has"):
        loading.load([one, two])
    with pytest.raises(BadData, match=r"1\.csv: has b, which .*2\.csv lacks; leave out with --ignore"):
        loading.load([two, one])
    assert [table.names for table in loading.load([two, one], ReadOptions(ignore=["b"]))] == [("a",), ("a",)]
    with pytest.raises(BadData, match=r"2\.csv and 1 more: none has a column 'z'"):
        loading.load([two, one], ReadOptions(ignore=["b", "z"]))


def test_nothing_to_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no recording was named"):
        loading.load([])
    with pytest.raises(BadData, match="holds no recording"):
        loading.load([tmp_path])
