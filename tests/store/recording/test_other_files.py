"""Files that are nearly tables, or none: read where that is clear, else refused in words that lead to the cause."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording_csv import Table, read_csv

TEN = 1_772_445_600  # 2026-03-02 10:00 UTC
MINUTES = range(20)


def read(tmp_path: Path, lines: list[str], **options: object) -> Table:
    path = tmp_path / "r.txt"
    path.write_text("\n".join(lines) + "\n")
    return read_csv(path, ReadOptions(**options))  # type: ignore[arg-type]


def refusal(tmp_path: Path, lines: list[str], **options: object) -> str:
    with pytest.raises(BadData) as caught:
        read(tmp_path, lines, **options)
    return str(caught.value).removeprefix(str(tmp_path / "r.txt"))


def zoned(zone: str, of: str = "time,a") -> list[str]:
    return [of, *(f"2026-03-02 10:{minute:02d}:00 {zone},{minute}" for minute in MINUTES)]


@pytest.mark.parametrize(("zone", "hours"), [("UTC", 0), ("GMT", 0), ("Z", 0), ("UTC+02:00", 2), ("GMT-0500", -5)])
def test_zone_behind_a_time_is_read_where_it_says_its_offset(zone: str, hours: int, tmp_path: Path) -> None:
    assert read(tmp_path, zoned(zone)).t_ns[0] // SECOND == TEN - hours * 3600


def test_name_of_a_zone_behind_a_time_asks_for_the_zone_and_is_read_with_it(tmp_path: Path) -> None:
    assert refusal(tmp_path, zoned("CET")) == (
        ", line 2, column 1 ('time'): '2026-03-02 10:00:00 CET' says CET, which is no offset; name the zone, such as "
        "--time-zone Europe/Berlin"
    )
    assert read(tmp_path, zoned("CET"), time_zone=ZoneInfo("Europe/Berlin")).t_ns[0] // SECOND == TEN - 3600


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("time flow pressure", "2026-03-02T10:{:02d}:00Z {} 2.5"),
        ("  date      time   flow   pressure", "  2026-03-02 10:{:02d}:00   {}    2.5  "),
        ("time flow pressure", "2026-03-02 10:{:02d}:00   {}   2,5"),
        ("# date time flow pressure", "02.03.2026 10:{:02d}:00 {} 2.5"),
    ],
)
def test_fields_may_be_parted_by_blanks(header: str, line: str, tmp_path: Path) -> None:
    table = read(tmp_path, [header, *(line.format(minute, minute) for minute in MINUTES)])
    assert (table.names, table.t_ns[0] // SECOND) == (("flow", "pressure"), TEN)
    assert table.values[:2].tolist() == [[0.0, 2.5], [1.0, 2.5]]


def test_file_of_times_alone_has_no_channel_made_of_their_halves(tmp_path: Path) -> None:
    times = [f"2026-03-02 10:{minute:02d}:00" for minute in MINUTES]
    assert ": has only one column" in refusal(tmp_path, ["time", *times])


@pytest.mark.parametrize(
    "line",
    [
        "plant/pump/flow {}",
        'plant/pump {{"flow": {}, "p": 3}}',
        "2026-03-02T10:00:00+0000 plant/pump/flow {}",
        '10:00:00.123 MQT: tele/tasmota/SENSOR = {{"ENERGY":{{"Total":{}}}}}',
        '10:00:00.123 RSL: SENSOR = {{"ENERGY":{{"Total":{}}}}}',
    ],
)
def test_log_of_messages_is_called_one(line: str, tmp_path: Path) -> None:
    lines = [line.format(minute) for minute in MINUTES]
    assert refusal(tmp_path, lines) == ": is a log of messages and no table; record the topics with edge-ae record"


def test_dates_with_slashes_are_no_topics(tmp_path: Path) -> None:
    lines = ["Date/Time m/s", *(f"2026/03/02T10:{minute:02d}:00Z {minute}" for minute in MINUTES)]
    assert read(tmp_path, lines).names == ("m/s",)


def lvm(first: int) -> list[str]:
    preamble = ["LabVIEW Measurement\t", "Separator\tTab", "Date\t2026/03/02", "Time\t10:00:00.1"]
    lines = (f"{first + minute * 60}.000000\t{minute}.5\t2.5\t" for minute in MINUTES)
    return [*preamble, "***End_of_Header***\t", "", "X_Value\tflow\tpressure\tComment", *lines]


def test_times_of_labview_count_from_1904(tmp_path: Path) -> None:
    table = read(tmp_path, lvm(TEN + 2_082_844_800))
    assert (table.t_ns[0] // SECOND, table.names[:2]) == (TEN, ("flow", "pressure"))
    assert "times are seconds since 1904, as LabVIEW counts them" in table.notes[0]


def test_times_of_labview_that_count_from_its_preamble_are_named(tmp_path: Path) -> None:
    assert "whose times count from a moment that its preamble names; write it with absolute times" in refusal(
        tmp_path, lvm(0)
    )


@pytest.mark.parametrize(
    ("header", "date"),
    [("year,month,day", "2026,3,2"), ("day,month,year", "2,3,2026"), ("Jahr,Monat,Tag", "2026,03,02")],
)
def test_year_month_and_day_in_columns_of_their_own_are_to_be_joined(header: str, date: str, tmp_path: Path) -> None:
    lines = [f"{header},hour,minute,flow", *(f"{date},10,{minute},1.5" for minute in MINUTES)]
    assert refusal(tmp_path, lines) == (
        f": year, month and day are in columns of their own ({', '.join(map(repr, header.split(',')))}); join them and "
        "the time of day to one, such as 2026-03-02 10:00:00"
    )


def test_parts_of_a_date_beside_a_time_are_channels(tmp_path: Path) -> None:
    lines = ["time,year,month,day,a", *(f"2026-03-02 10:{minute:02d}:00,2026,3,2,1" for minute in MINUTES)]
    assert read(tmp_path, lines).names == ("year", "month", "day", "a")
