"""What loggers, clouds and historians put beside their values: zones in headers, events, counts of lines, quality."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.zones import zone_in
from edge_ae.store.recording_csv import Table, read_csv

TEN = 1_772_445_600  # 2026-03-02 10:00 UTC


def read(tmp_path: Path, content: str, **options: object) -> Table:
    path = tmp_path / "r.csv"
    path.write_text(content)
    return read_csv(path, ReadOptions(**options))  # type: ignore[arg-type]


def refusal(tmp_path: Path, content: str, **options: object) -> str:
    with pytest.raises(BadData) as caught:
        read(tmp_path, content, **options)
    return str(caught.value).removeprefix(str(tmp_path / "r.csv"))


def minutes(count: int = 60) -> list[str]:
    return [f"2026-03-02 {10 + minute // 60}:{minute % 60:02d}:00" for minute in range(count)]


def hobo(lines: int, events: int = 1) -> str:
    header = '"#","Date Time, GMT+02:00","Temp, °C (LGR S/N: 1, SEN S/N: 2)","Coupler Detached (LGR S/N: 1)"\n'
    rows = (
        f"{place + 1},{time},{20 + place / 10},{'Logged' if place >= lines - events else ''}\n"
        for place, time in enumerate(minutes(lines))
    )
    return '"Plot Title: pump7"\n' + header + "".join(rows)


def test_offset_in_the_header_is_that_of_times_without_one(tmp_path: Path) -> None:
    table = read(tmp_path, hobo(60))
    assert table.t_ns[0] // SECOND == TEN - 2 * 3600
    assert "times without an offset are those of UTC+02:00, as the header says" in table.notes[0]


def test_zone_of_a_header_that_says_no_offset_is_said_to_be_open(tmp_path: Path) -> None:
    content = "\n".join(["Time (CET),a", *(f"{time},1" for time in minutes())])
    said = "the header says CET, which is no offset: times are taken for UTC unless --time-zone names the zone"
    assert said in read(tmp_path, content).notes[0]
    assert "the header says CET" not in read(tmp_path, content, time_zone=ZoneInfo("Europe/Berlin")).notes[0]


def test_zone_that_is_asked_for_goes_before_the_headers(tmp_path: Path) -> None:
    assert read(tmp_path, hobo(60), time_zone=ZoneInfo("America/New_York")).t_ns[0] // SECOND == TEN + 5 * 3600


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("Date Time, GMT-04:00", -4),
        ("Time (UTC+1)", 1),
        ("UTC-5", -5),
        ("Time (UTC)", 0),
        ("time [UTC+05:30]", 5.5),
        ("time_utc", 0),
    ],
)
def test_offset_is_found_in_names_of_times(name: str, hours: float) -> None:
    zone = zone_in(name)
    assert zone is not None
    assert zone.utcoffset(None) == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["time", "Date/Time", "Etc/GMT+2", "UTC+99", "gmtime", "Outcome"])
def test_names_without_a_zone_say_none(name: str) -> None:
    assert zone_in(name) is None


def test_place_in_the_header_is_its_zone() -> None:
    assert zone_in("Date/Time (Europe/Berlin)") == ZoneInfo("Europe/Berlin")


def test_column_with_words_in_a_few_lines_and_no_number_is_one_of_events(tmp_path: Path) -> None:
    table = read(tmp_path, hobo(400, events=2))
    column = "column 4 ('Coupler Detached (LGR S/N: 1)')"
    assert f"{column} holds a word ('Logged') in 2 of 400 lines, and no number: left out" in table.notes[0]
    assert np.isnan(table.values[:, 1]).all()


def test_words_in_most_lines_are_no_events_and_refused_as_names(tmp_path: Path) -> None:
    assert "holds names ('Logged')" in refusal(tmp_path, hobo(40, events=30))


def test_word_among_numbers_is_refused_wherever_the_numbers_stand(tmp_path: Path) -> None:
    times = [str(TEN + second) for second in range(20_000)]
    below = "time,a,b\n" + "".join(
        f"{time},1,{'oh' if place == 5 else place if place > 15_000 else ''}\n" for place, time in enumerate(times)
    )
    assert refusal(tmp_path, below) == (
        ", line 7, column 3 ('b'): holds a word, and numbers below it; --ignore b leaves the column out"
    )
    above = "time,a,b\n" + "".join(f"{time},1,{'oh' if time == times[-1] else time}\n" for time in times)
    assert ", line 20001, column 3 ('b'): 'oh' is no number" in refusal(tmp_path, above)


def test_events_are_not_blamed_for_the_fault_of_another_column(tmp_path: Path) -> None:
    rows = [f"{time},{'Logged' if place == 3 else ''},{place}" for place, time in enumerate(minutes())]
    content = "\n".join(["time,event,a", *rows, f"{TEN + 4000},,1.2.3", ""])
    assert "line 62, column 3 ('a'): '1.2.3' is no number" in refusal(tmp_path, content)


def test_unit_behind_a_comma_in_a_name_is_the_channels(tmp_path: Path) -> None:
    table = read(tmp_path, 'time,"RH, % (S/N: 1)","Temp, °C","Pump, left"\n' + f"{TEN},1,2,3\n{TEN + 1},1,2,3\n")
    assert table.units == {"RH, % (S/N: 1)": "%", "Temp, °C": "°C"}


@pytest.mark.parametrize("name", ["entry_id", "id", "#", "nr", "row", "record", "seq"])
@pytest.mark.parametrize("step", [1, -1])
def test_count_of_the_lines_is_no_channel_wherever_it_stands(name: str, step: int, tmp_path: Path) -> None:
    rows = [f"{time} UTC,{700 + place},{place % 7},," for place, time in enumerate(minutes())]
    table = read(tmp_path, "\n".join([f"created_at,{name},field1,latitude,status", *rows[::step]]))
    assert table.names == ("field1", "latitude", "status")
    assert f"column 2 ({name!r}) counts the lines and is left out" in table.notes[0]


@pytest.mark.parametrize(("name", "counts"), [("starts", [1, 2, 3, 4]), ("id", [1, 2, 4, 5]), ("id", [1, 2])])
def test_numbers_without_the_name_or_the_step_of_a_count_are_a_channel(
    name: str, counts: list[int], tmp_path: Path
) -> None:
    rows = [f"{time},{count},5" for count, time in zip(counts, minutes(), strict=False)]
    assert read(tmp_path, "\n".join([f"time,{name},a", *rows])).names == (name, "a")


def wincc(validity: str = "1") -> str:
    rows = [
        f'"{name}";"02.03.2026 10:0{minute}:00";{minute},5;{validity if minute == 3 else 1};{46083416 + minute},7\n'
        for minute in range(9)
        for name in ("flow", "pressure")
    ]
    end = '"$RT_OFF$";"02.03.2026 10:59:00";0;2;46083458,3\n"$RT_COUNT$";18;;;\n'
    return '"VarName";"TimeString";"VarValue";"Validity";"Time_ms"\n' + "".join(rows) + end


def test_what_wincc_says_of_itself_is_no_channel(tmp_path: Path) -> None:
    table = read(tmp_path, wincc())
    assert (table.names, len(table)) == (("flow", "pressure"), 9)
    assert "2 lines of WinCC's own ($RT_...$) left out" in table.notes[0]


def test_value_that_wincc_calls_invalid_is_missing(tmp_path: Path) -> None:
    assert np.flatnonzero(np.isnan(read(tmp_path, wincc(validity="0")).values[:, 0])).tolist() == [3]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("quality", "Good", "Bad"),
        ("Quality", "Good", "Bad: not connected"),
        ("QualityDetail", "192", "24"),
        ("quality", "192", "0"),
        ("StatusCode", "0", "2150891520"),
        ("good", "True", "False"),
    ],
)
def test_value_that_is_called_bad_is_missing_and_said(name: str, good: str, bad: str, tmp_path: Path) -> None:
    rows = [
        f"{tag},{time},{place},{bad if place == 1 else good}" for place, time in enumerate(minutes()) for tag in "ab"
    ]
    table = read(tmp_path, "\n".join([f"tag,timestamp,value,{name}", *rows]))
    assert np.flatnonzero(np.isnan(table.values).all(axis=1)).tolist() == [1]
    assert f"2 values taken for missing that column 4 ({name!r}) calls bad ({bad!r})" in table.notes[0]


@pytest.mark.parametrize(("name", "codes"), [("quality", ["0", "1"]), ("status", ["running", "error"])])
def test_what_is_not_clearly_bad_stays(name: str, codes: list[str], tmp_path: Path) -> None:
    rows = [f"a,{time},{place},{codes[place % 2]}" for place, time in enumerate(minutes())]
    assert not np.isnan(read(tmp_path, "\n".join([f"tag,timestamp,value,{name}", *rows])).values).any()


def test_names_beside_one_column_of_numbers_may_be_those_of_values(tmp_path: Path) -> None:
    rows = [f"{tag},{time},{place}" for place, time in enumerate(minutes()) for tag in ("flow", "pressure")]
    content = "\n".join(["what,when,much", *rows])
    assert "--long what,much if each line has one value of that name" in refusal(tmp_path, content)
    assert read(tmp_path, content, long=("what", "much")).names == ("flow", "pressure")
