"""What of a file is refused, and in which words; and what is neither refused nor taken for something else."""

from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_ae.errors import BadData
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording_csv import Table, read_csv

DAY = "2026-03-02 10:00"
FOLDER_STAYS = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(tmp_path: Path, content: str | bytes, **options: object) -> Table:
    path = tmp_path / "r.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_csv(path, ReadOptions(**options))  # type: ignore[arg-type]


def refusal(tmp_path: Path, content: str | bytes, **options: object) -> str:
    with pytest.raises(BadData) as caught:
        read(tmp_path, content, **options)
    return str(caught.value).removeprefix(str(tmp_path / "r.csv"))


def lines(header: str, *rows: str) -> str:
    return header + "\n" + "".join(f"{DAY}:{second:02d},{row}\n" for second, row in enumerate(rows))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "time,a\n46083.0,1\n46084.0,2\n".replace(".0", ""),
            ", line 2, column 1 ('time'): '46083' is 1970-01-01T12:48:03Z as an epoch time; is this the column of the "
            "times? --time-column names another",
        ),
        (
            "time,a\n02/03/2026 10:00,1\n02/03/2026 10:01,2\n",
            ", column 1 ('time'): '02/03/2026 10:00' may be day, month, year or month, day, year; say which with "
            "--date-order dmy or mdy",
        ),
        (
            "time,a\n30.02.2026 10:00,1\n31.02.2026 10:01,2\n",
            ", line 2, column 1 ('time'): '30.02.2026 10:00' is no time: there is no such date or time of day",
        ),
        (
            "clock,a\n10:00:00,1\n10:00:01,2\n",
            ", line 2, column 1 ('clock'): '10:00:00' is a time of day without a date; name both columns: "
            "--time-column DATE+TIME",
        ),
        (
            f"a,from,to\n1,{DAY},{DAY}\n2,{DAY},{DAY}\n",
            ": 'from', 'to' all hold times; name the one to go by: --time-column",
        ),
        (
            lines("t,flow,pump", "1,p1", "2,p2", "3,p1", "4,p2"),
            ", line 2, column 3 ('pump'): holds names ('p1', 'p2'): --asset-column pump if it names the asset, --words "
            "p1=0,p2=1 if these are states, --long pump,flow if each line has one value of that name, --ignore pump otherwise",
        ),
        (
            lines("t;a", "1").replace(",", ";") + f"{DAY}:01;1.234,5\n",
            ", line 3, column 2 ('a'): '1.234,5' has a thousands separator, or may have one; export numbers without",
        ),
        (
            f"t;a;b\n{DAY};1.234;0,5\n{DAY};2.345;0,7\n",
            ": column 'a' holds '1.234' where column 'b' has decimal commas: is that point one of thousands? Export "
            "numbers without thousands separators",
        ),
        (
            lines("t,a", "20 °C", "68 °F"),
            ", line 3, column 2 ('a'): '68 °F' is in °F, the numbers before it are in °C",
        ),
        (
            "host,tag,time,value\n" + "".join(f"{host},flow,{DAY},1\n" for host in "ab"),
            ": 'flow' comes with host 'a' and with host 'b': --asset-column host if it names the asset, --ignore host "
            "otherwise",
        ),
        ('{"ts": 1, "a": 2}\n', ": is JSON; export the recording as CSV"),
        (
            "t,a,b\n2026-03-02,1,5,2,5\n",
            ", line 2: has 5 fields where the header has 3; are its commas decimal ones, too? Export it with another "
            "delimiter",
        ),
        ("\0\0\0", ": is empty; a header line and at least one line of values are needed"),
        (b"\xd0\xcf\x11\xe0\xa1", ": is an Excel workbook; save it as CSV"),
    ],
)
def test_refusal_names_the_place_and_what_to_do(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    assert refusal(tmp_path, content) == sentence


def test_order_of_day_and_month_is_decided_over_the_whole_file(tmp_path: Path) -> None:
    table = read(tmp_path, "t,a\n02/03/2026 23:00,1\n03/03/2026 01:00,2\n")
    assert np.diff(table.t_ns).tolist() == [2 * 3600 * 10**9]
    assert refusal(tmp_path, "t,a\n12/13/2026,1\n13/12/2026,2\n").startswith(", line 3, column 1 ('t')")


def test_order_of_day_and_month_can_be_said(tmp_path: Path) -> None:
    days = [read(tmp_path, "t,a\n02/03/2026,1\n", date_order=order).t_ns[0] for order in ("dmy", "mdy")]
    assert (days[0] - days[1]) // (86_400 * 10**9) == 27  # 2 March, 3 February


def test_column_of_times_is_the_one_that_is_named(tmp_path: Path) -> None:
    content = f"a,from,to\n1,{DAY}:00,{DAY}:30\n2,{DAY}:10,{DAY}:40\n"
    assert list(read(tmp_path, content, time=["to"], ignore=["from"]).times) == [f"{DAY}:30", f"{DAY}:40"]
    assert refusal(tmp_path, content, time=["until"]) == ": has no column 'until'; it has a, from, to"


def test_column_of_times_cannot_be_left_out(tmp_path: Path) -> None:
    content = f",when,a\n0,{DAY}:00,1\n1,{DAY}:10,2\n"
    assert refusal(tmp_path, content, ignore=["when"]) == (
        ": 'when' is the column of the times; --time-column names another"
    )


def test_words_are_numbers_by_a_table_and_ones_own_before_it(tmp_path: Path) -> None:
    content = lines("t,valve,mode", "open,auto", "closed,manual", "OPEN,auto")
    table = read(tmp_path, content, words={"auto": 1.0, "manual": 0.0})
    assert table.values.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]
    assert table.notes[0].endswith("'valve': open = 1, closed = 0; 'mode': auto = 1, manual = 0")


def test_words_for_missing_are_known_and_counted_and_ones_own_with_them(tmp_path: Path) -> None:
    content = lines(
        "t,a", "Bad Input", "-1.#IND", "1.#QNAN", "Comm Fail", "unavailable", "---", "\\N", "?", "kaputt", "1"
    )
    table = read(tmp_path, content, missing=["kaputt"])
    assert np.isnan(table.values[:, 0]).tolist() == [True] * 9 + [False]
    assert "9 cells ('Bad Input', " in table.notes[0]


def test_number_with_its_unit_gives_both(tmp_path: Path) -> None:
    table = read(tmp_path, lines("t,a", "20.5 °C", "21 °C"))
    assert (table.values.tolist(), table.units) == ([[20.5], [21.0]], {"a": "°C"})


def test_broken_line_in_the_middle_is_a_fault_and_before_a_restart_is_none(tmp_path: Path) -> None:
    assert refusal(tmp_path, lines("t,a,b", "1,2", "1", "1,2")) == ", line 3: has 2 fields where the header has 3"
    assert len(read(tmp_path, lines("t,a,b", "1,2", "1") + lines("t,a,b", "1,2"))) == 2


def test_names_of_a_long_file_can_be_left_out(tmp_path: Path) -> None:
    content = f"tag,time,value\nflow,{DAY},1\nmode,{DAY},heating\nflow,{DAY}:20,2\n"
    assert read(tmp_path, content, ignore=["mode"]).names == ("flow",)
    assert "'heating' is no number; --ignore mode leaves the column out" in refusal(tmp_path, content)
    assert refusal(tmp_path, content, ignore=["mode", "x"]) == ": has no 'x'; it has flow"


def test_columns_of_a_long_file_can_be_named(tmp_path: Path) -> None:
    content = f"was,wann,wieviel\nflow,{DAY},1\npressure,{DAY},2\n"
    table = read(tmp_path, content, long=("was", "wieviel"))
    assert (table.names, table.values.tolist()) == (("flow", "pressure"), [[1.0, 2.0]])


def test_column_with_one_text_is_left_out_and_with_another_far_below_refused(tmp_path: Path) -> None:
    rows = [f"{DAY[:11]}1{line // 60}:{line % 60:02d},pump,{line}" for line in range(100)]
    table = read(tmp_path, "\n".join(["t,name,a", *rows]))
    assert (table.names, table.notes[0].rpartition(": ")[2]) == (
        ("a",),
        "column 2 ('name') says 'pump' in each line and is left out",
    )
    assert refusal(tmp_path, "\n".join(["t,name,a", *rows, rows[-1].replace("pump", "fan")])).startswith(
        ", line 102, column 2 ('name'): holds names ('pump', 'fan'): --asset-column name"
    )


def test_texts_that_are_all_written_otherwise_are_refused_at_once(tmp_path: Path) -> None:
    words = np.random.default_rng(0).choice(list("abcdefgh"), size=(20_000, 12))
    content = lines("t,a", "1") + "".join(f"{''.join(word)},1\n" for word in words)
    assert ", line 3, column 1 ('t'): " in refusal(tmp_path, content)


def test_file_of_500_columns_and_one_of_a_single_line_are_read(tmp_path: Path) -> None:
    names = ",".join(f"c{column}" for column in range(500))
    assert read(tmp_path, lines(f"t,{names}", ",".join("1" * 500))).values.shape == (1, 500)


def test_numeric_names_are_names(tmp_path: Path) -> None:
    assert read(tmp_path, lines("t,0,1,2", "1,2,3", "4,5,6")).names == ("0", "1", "2")


@FOLDER_STAYS
@given(
    st.binary(max_size=300)
    | st.text(alphabet='0123456789,;\t\n\r". -:#/ab\0', max_size=300).map(str.encode)
    | st.lists(st.sampled_from(["t", "a", "b", "1", DAY, "x", '"', ",", ";", "\n", "#", "\0", "1,5", "nan"])).map(
        lambda parts: "".join(parts).encode()
    )
)
def test_any_bytes_are_a_table_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    for options in (ReadOptions(), ReadOptions(time_zone=ZoneInfo("Europe/Berlin"), date_order="mdy", time=["t"])):
        try:
            table = read_csv(path, options)
        except BadData:
            continue
        assert len(table) == len(table.times) == len(table.values) > 0


def test_line_of_names_that_ends_before_the_times_is_refused(tmp_path: Path) -> None:
    content = f"1,{DAY}:01,2.5\n{DAY}:00\n{DAY}:00,01/02/2026\n1,{DAY}:00,t\n1\na,01/02/2026\n"
    assert refusal(tmp_path, content, time=["t"]) == (
        ", line 6: names 2 columns, but the times are in column 3; name every column"
    )


def test_missing_value_that_is_a_number_is_missing_however_it_is_written(tmp_path: Path) -> None:
    table = read(
        tmp_path, "time,flow,label\n1780000000,-999,1\n1780000001,-999.00,0\n1780000002,1,1\n", missing=("-999",)
    )
    np.testing.assert_array_equal(table.values[:, 0], [np.nan, np.nan, 1.0])
    assert "2 cells ('-999') taken for missing" in table.notes[0]
    labelled = read(tmp_path, "time,flow,label\n1780000000,5,1\n1780000001,1,0\n", missing=("1",), label="label")
    assert (labelled.labels is not None and labelled.labels.tolist(), labelled.values[0, 0]) == ([True, False], 5.0)


@pytest.mark.parametrize("unset", ["0", "--", ""])
def test_lines_before_a_logger_had_its_clock_are_no_names(tmp_path: Path, unset: str) -> None:
    rows = [f"{unset},1", f"{unset},2", *(f"2026-03-01T00:00:{second:02d}Z,3" for second in range(20))]
    table = read(tmp_path, "\n".join(["time,a", *rows]))
    assert (table.names, len(table.times)) == (("a",), 20)
    assert "line 3 skipped" in table.notes[0]


def test_offset_of_a_day_or_more_is_no_time(tmp_path: Path) -> None:
    assert "line 3, column 1" in refusal(tmp_path, f"t,a\n{DAY}:00+14:00,1\n{DAY}:01+99:99,2\n")


def test_what_a_hole_has_left_of_the_line_behind_it_is_left_out(tmp_path: Path) -> None:
    table = read(tmp_path, "time,x,y\n1780000000,1,2\n1780000001,1\0\0\0\0,2\n1780000002,3,4\n")
    assert table.values.tolist() == [[1, 2], [3, 4]]
    assert "2 broken lines left out; 1 hole of NUL bytes left out" in table.notes[0]


@pytest.mark.parametrize("far", [0, 20_000])
def test_lines_behind_holes_keep_their_numbers(tmp_path: Path, far: int) -> None:
    rows = ["1780000000,1", "\0\0\0", "\0\x001780000001,1", *["1780000002,1"] * far, "1780000003,oh", ""]
    assert f"line {5 + far}, column 2" in refusal(tmp_path, "\n".join(["time,x", *rows]))
