"""Recordings as files: what is read, and what is refused in which words."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.timestamps import parse_time_ns, rfc3339, time_ns
from edge_ae.errors import BadData
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording_csv import Table, read_csv, suspicious_labels, write_csv

T0 = 1_600_041_600
NS_2020 = 1_583_748_873_000_000_000  # 2020-03-09T10:14:33Z


def make(tmp_path: Path, text: str, name: str = "r.csv") -> Path:
    """Times that are small numbers are seconds since T0."""
    path = tmp_path / name
    path.write_text(since_t0(text), encoding="utf-8")
    return path


def since_t0(text: str) -> str:
    return re.sub(r"^(\d)(?=[.,;\t])", lambda match: str(T0 + int(match[1])), text, flags=re.M)


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(BadData) as caught:
        read_csv(path, ReadOptions(**options))  # type: ignore[arg-type]
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiter_is_found_out(tmp_path: Path, delimiter: str) -> None:
    text = "time,a,b\n2020-03-09 10:14:33,1,-2.5\n2020-03-09T10:14:34Z,3e2,0\n".replace(",", delimiter)
    table = read_csv(make(tmp_path, text))
    assert table.names == ("a", "b")
    assert table.times == ["2020-03-09 10:14:33", "2020-03-09T10:14:34Z"]
    assert table.t_ns.tolist() == [NS_2020, NS_2020 + 10**9]
    assert table.values.tolist() == [[1.0, -2.5], [300.0, 0.0]]
    assert table.labels is None


def test_delimiter_is_the_one_that_splits_header_and_line_alike(tmp_path: Path) -> None:
    table = read_csv(make(tmp_path, "time;flow, mean, of the day\n1;2\n"))
    assert table.names == ("flow, mean, of the day",)


def test_missing_cells_are_nan_and_infinity_is_missing(tmp_path: Path) -> None:
    table = read_csv(make(tmp_path, "t,a,b,c\n1,,nan,NULL\n2,NA,inf,1\n"))
    np.testing.assert_array_equal(table.values, [[np.nan] * 3, [np.nan, np.nan, 1.0]])


def test_byte_order_mark_carriage_returns_blank_lines_and_quotes_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes('\ufeff"t","a"\r\n"1600000001","2"\r\n\r\n1600000003,4\r\n\r\n'.encode())
    table = read_csv(path)
    assert (table.names, table.times, table.values.tolist()) == (("a",), ["1600000001", "1600000003"], [[2.0], [4.0]])


def test_gzip_is_read_as_the_text_in_it(tmp_path: Path) -> None:
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress(b"t,a\n1600000001,2\n"))
    assert read_csv(path).values.tolist() == [[2.0]]


def test_label_and_ignored_columns_are_no_channels(tmp_path: Path) -> None:
    path = make(tmp_path, "t,note,a,anomaly\n1,hello,5,0\n2,world,6,1.0\n")
    table = read_csv(path, ReadOptions(ignore=["note"], label="anomaly"))
    assert table.names == ("a",)
    assert table.labels is not None
    assert table.labels.tolist() == [False, True]
    assert table.values.tolist() == [[5.0], [6.0]]


def test_asset_column_is_kept_as_text(tmp_path: Path) -> None:
    table = read_csv(make(tmp_path, "t,pump,a\n1,p1,5\n1,p2,6\n"), ReadOptions(asset="pump"))
    assert (table.names, table.assets) == (("a",), ["p1", "p2"])


def test_times_out_of_order_are_left_as_they_are(tmp_path: Path) -> None:
    assert (read_csv(make(tmp_path, "t,a\n5,0\n3,0\n4,0\n")).t_ns // 10**9 - T0).tolist() == [5, 3, 4]


def test_blocks_join_seamlessly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, "t,a,l\n" + "".join(f"{i},{i},{i % 2}\n" for i in range(1, 9)))
    whole = read_csv(path, ReadOptions(label="l"))
    for lines in (1, 3, 8):
        monkeypatch.setattr("edge_ae.store.recording.rows.BLOCK_LINES", lines)
        parts = read_csv(path, ReadOptions(label="l"))
        assert parts.values.tolist() == whole.values.tolist()
        assert parts.times == whole.times


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ": is empty; a header line and at least one line of values are needed"),
        ("t,a\n", ": has a header but no lines of values"),
        ("t,a\n\n\n", ": has a header but no lines of values"),
        ("t\n1\n", ", line 1: has only one column; a time and at least one channel are needed"),
        (
            "1600000000,2\n1600000001,4\n",
            ", line 1: has no header; the first line must name the columns, the time first",
        ),
        ("\ufeff1600000000,2\n3,4\n", ", line 1: has no header; the first line must name the columns, the time first"),
        ("t,a,a\n1,2,3\n", ", line 1, column 3: the name 'a' is there twice"),
        ("t,a,,b\n1,2,3,4\n", ", line 1, column 3: has no name"),
        ("t,a,\n1,2,3\n", ", line 2: has 3 fields where the header has 2"),
        ("t,a,b\n1,2,3\n1,2\n1,2,3\n", ", line 3: has 2 fields where the header has 3"),
        ("t,a,b\n1,2,3\n\n1,2,x\n", ", line 4, column 3 ('b'): 'x' is no number; --ignore b leaves the column out"),
        (
            't,a,b\n1,2,3\n1,2,"4,567"\n',
            ", line 3, column 3 ('b'): '4,567' has a thousands separator, or may have one; export numbers without",
        ),
        ("t,a,b\n1,2,1_0\n", ", line 2, column 3 ('b'): '1_0' is no number"),
        (
            "t,a\n1,2\nyesterday,2\n3,4\n",
            ", line 3, column 1 ('t'): 'yesterday' is no time: neither ISO 8601 nor an epoch time",
        ),
    ],
)
def test_broken_file_is_refused_with_line_and_column(tmp_path: Path, text: str, sentence: str) -> None:
    assert refusal(make(tmp_path, text)) == sentence


def test_fault_is_found_in_a_later_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ae.store.recording.rows.BLOCK_LINES", 2)
    path = make(tmp_path, "t,a\n1,1\n2,2\n3,3\n4,four\n")
    assert refusal(path) == ", line 5, column 2 ('a'): 'four' is no number; --ignore a leaves the column out"


def test_unknown_column_is_answered_with_those_there_are(tmp_path: Path) -> None:
    path = make(tmp_path, "t,a,b\n1,2,3\n")
    assert refusal(path, ignore=["x"], label="y") == ": has no column 'x', 'y'; it has a, b"
    assert refusal(path, ignore=["a", "b"]) == ": leaves no channel; its columns are t, a, b"


def test_label_other_than_0_or_1_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path, "t,a,l\n1,2,1\n2,3,2\n")
    assert refusal(path, label="l") == ", line 3, column 3 ('l'): '2' is no label; 0 or 1 is expected"


def test_file_that_is_no_text_not_there_or_cut_off_is_refused(tmp_path: Path) -> None:
    workbook = tmp_path / "b.csv"
    workbook.write_bytes(b"PK\x03\x04 and so on")
    assert "is an Excel workbook or another ZIP archive; save it as CSV" in refusal(workbook)
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "none.csv")
    assert "is a folder; name one of the recordings in it" in refusal(tmp_path)
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"t,a\n" + b"1600000000,2\n" * 1000)[:-12])
    assert "is a broken gzip file" in refusal(cut)


@pytest.mark.parametrize("name", ["w.csv", "w.csv.gz"])
def test_what_is_written_is_what_is_read(tmp_path: Path, name: str) -> None:
    values = np.array([[0.1, np.nan], [1e-300, -3.0]])
    write_csv(tmp_path / name, ["1600000001", "1600000002"], ["a", "b, c"], values)
    table = read_csv(tmp_path / name)
    assert (table.names, table.times) == (("a", "b, c"), ["1600000001", "1600000002"])
    np.testing.assert_array_equal(table.values, values)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_columns_that_look_like_labels_are_named(tmp_path: Path) -> None:
    header = "t,anomaly,is_fault,label,changepoint,faulty_unit,default_speed,anomaly_score"
    table = read_csv(make(tmp_path, f"{header}\n1,0,1,0,1,0,1,0.5\n2,0,0,1,1,1,0,0.7\n"))
    assert suspicious_labels(table) == ["anomaly", "is_fault", "label", "changepoint"]


@pytest.mark.parametrize(
    ("value", "t_ns"),
    [
        ("2020-03-09 10:14:33", NS_2020),
        ("2020-03-09T10:14:33Z", NS_2020),
        ("2020-03-09T11:14:33+01:00", NS_2020),
        ("2020-03-09T10:14:33.123456789Z", NS_2020 + 123_456_789),
        ("2020-03-09T10:14:33,5", NS_2020 + 500_000_000),
        ("2020-03-09", NS_2020 - (10 * 3600 + 14 * 60 + 33) * 10**9),
        ("1583748873", NS_2020),
        (" 1583748873 ", NS_2020),
        ("1583748873.000000001", NS_2020 + 1),
        ("1.583748873e9", NS_2020),
        (1_583_748_873, NS_2020),
        (1_583_748_873_000, NS_2020),
        (1_583_748_873_000_000, NS_2020),
        (NS_2020, NS_2020),
        (1_583_748_873.1, NS_2020 + 100_000_000),
        (1_583_748_873_000.25, NS_2020 + 250_000),
        (0, 0),
        (-1.5, -1_500_000_000),
        (99_999_999_999, 99_999_999_999 * 10**9 if 99_999_999_999 * 10**9 < 2**63 else None),
    ],
)
def test_time_is_read_to_the_nanosecond(value: str | int | float, t_ns: int | None) -> None:
    if t_ns is None:
        with pytest.raises(ValueError, match="outside"):
            time_ns(value)
    else:
        assert time_ns(value) == t_ns


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "NaT",
        "nan",
        "inf",
        "2020-13-01",
        "1_000",
        "12:00",
        "1e400",
        "1e-99999999999999999999",
        True,
        float("nan"),
        float("inf"),
    ],
)
def test_what_is_no_time_is_a_value_error(value: str | float) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reasons differ
        time_ns(value)


@given(st.integers(0, 2**32 * 10**6))
def test_float_seconds_are_exact_to_the_microsecond(t_us: int) -> None:
    assert time_ns(t_us / 1e6) == t_us * 1000


@given(st.integers(0, 4_000_000_000_000))
def test_time_written_is_time_read(t_ms: int) -> None:
    assert parse_time_ns(rfc3339(t_ms * 10**6)) == t_ms * 10**6


def test_table_has_the_length_of_its_lines() -> None:
    assert len(Table(Path("x"), ["1"], np.array([1]), ("a",), np.zeros((1, 1)))) == 1
