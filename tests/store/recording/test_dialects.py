"""What many programs write of one recording is read as one Table: times, values, names, units."""

import gzip
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from edge_ae.core.timestamps import SECOND
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.table import BACKWARDS, newest_first, take
from edge_ae.store.recording_csv import Table, read_csv
from tests.store.recording import dialects
from tests.store.recording.dialects import DIALECTS, NAMES, Plain

T0_S = 1_772_495_700  # 2026-03-02T23:55:00Z: a midnight shows which number is the day
LINES = 40


@pytest.fixture
def plain() -> Plain:
    values = np.random.default_rng(0).normal(50, 5, size=(LINES, 2)).round(3)
    return Plain([T0_S + 20 * line for line in range(LINES)], values)


def read(tmp_path: Path, content: bytes, options: ReadOptions | None = None) -> Table:
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    return read_csv(path, options or ReadOptions())


def in_time(table: Table) -> Table:
    return take(table, BACKWARDS) if newest_first(table) else table


def notes(table: Table) -> str:
    assert len(table.notes) <= 1
    return "".join(table.notes).removeprefix(f"{table.path}: ")


@pytest.mark.parametrize("name", DIALECTS)
def test_dialect_is_read_as_the_plain_file(name: str, plain: Plain, tmp_path: Path) -> None:
    table = in_time(read(tmp_path, DIALECTS[name](plain)))
    assert table.names == NAMES
    assert (table.t_ns // SECOND).tolist() == plain.t_s
    np.testing.assert_array_equal(table.values, plain.values)


@pytest.mark.parametrize("name", DIALECTS)
def test_dialect_is_read_from_gzip_whatever_the_file_is_called(name: str, plain: Plain, tmp_path: Path) -> None:
    table = read(tmp_path, gzip.compress(DIALECTS[name](plain)))
    assert len(table) == LINES


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("plain", ""),
        ("epoch seconds", ""),
        ("dd.mm.yyyy", "times such as '02.03.2026 23:55:00' are day, month, year"),
        ("mm/dd/yyyy am, pm", "times such as '03/02/2026 11:55:00 PM' are month, day, year"),
        ("Excel's days", "times are Excel's day numbers"),
        (
            "German logger",
            "3 lines of preamble skipped; units taken from line 5; text in WINDOWS-1252; "
            "times such as '02.03.2026 23:55:00' are day, month, year; decimal comma",
        ),
        ("units row", "units taken from line 2"),
        ("pandas", "times in 'timestamp'; column 1 ('') counts the lines and is left out"),
        ("newest first", "newest first, put in order"),
        ("sep=", "sep=; in line 1"),
        ("trailing delimiter", "empty fields at the end of lines left out"),
        ("NUL tail", "1 hole of NUL bytes left out"),
        ("torn last line", "1 broken line left out"),
        ("restarted", "1 broken line left out; 1 hole of NUL bytes left out; 1 header again left out"),
        ("UTF-16", "text in UTF-16"),
        (
            "Home Assistant",
            "times in 'last_changed'; a line for each value: names in 'entity_id', values in 'state'",
        ),
    ],
)
def test_what_was_understood_is_said_in_one_note(name: str, note: str, plain: Plain, tmp_path: Path) -> None:
    assert notes(read(tmp_path, DIALECTS[name](plain))) == note


@pytest.mark.parametrize("name", ["German logger", "Campbell", "units row"])
def test_units_beside_the_names_are_the_channels(name: str, plain: Plain, tmp_path: Path) -> None:
    units = read(tmp_path, DIALECTS[name](plain)).units
    assert {channel: unit.replace("³", "3") for channel, unit in units.items()} == {"flow": "m3/h", "pressure": "bar"}


def test_unit_in_brackets_behind_a_name_is_the_channels_and_the_name_stays(tmp_path: Path) -> None:
    table = read(tmp_path, b"t,flow [m3/h],Pump (left),T (\xb0C)\n2026-03-02,1,2,3\n2026-03-03,2,3,4\n")
    assert table.names == ("flow [m3/h]", "Pump (left)", "T (°C)")
    assert table.units == {"flow [m3/h]": "m3/h", "T (°C)": "°C"}


def test_file_keeps_its_order_and_its_texts(plain: Plain, tmp_path: Path) -> None:
    table = read(tmp_path, DIALECTS["newest first"](plain))
    assert (newest_first(table), table.times[0]) == (True, "2026-03-03T00:08:00Z")


def test_local_times_are_those_of_the_zone_that_is_named(plain: Plain, tmp_path: Path) -> None:
    content = dialects.text(plain.rows(dialects.local)).encode()
    table = read(tmp_path, content, ReadOptions(time_zone=ZoneInfo("Europe/Berlin")))
    assert (table.t_ns // SECOND).tolist() == plain.t_s


@pytest.mark.parametrize("backwards", [False, True])
def test_hour_that_comes_twice_goes_on(backwards: bool, plain: Plain, tmp_path: Path) -> None:
    october = replace(plain, t_s=[1_792_880_000 + 300 * line for line in range(LINES)])
    rows = october.rows(dialects.local)
    assert rows[0][0] == "25.10.2026 00:13:20"  # 02:00 to 02:59 comes twice
    content = dialects.text(rows[::-1] if backwards else rows).encode()
    table = in_time(read(tmp_path, content, ReadOptions(time_zone=ZoneInfo("Europe/Berlin"))))
    assert (table.t_ns // SECOND).tolist() == october.t_s


def test_clock_that_goes_back_by_an_hour_is_said_with_what_to_do(plain: Plain, tmp_path: Path) -> None:
    october = replace(plain, t_s=[1_792_880_000 + 300 * line for line in range(LINES)])
    table = read(tmp_path, dialects.text(october.rows(dialects.local)).encode())
    assert "the time goes back by an hour at 25.10.2026 02:03:20; if clocks were changed: --time-zone" in notes(table)


@pytest.mark.parametrize(
    "content",
    [
        "date,temp,flow\n2026-03-02,12.53,1.5\n2026-03-03,14.22,2.5\n2026-03-04,9.10,3.5\n",
        "Date,Time,temp,flow\n03/13/2026,11:59 PM,12.53,1.5\n03/14/2026,12:00 AM,14.22,2.5\n03/14/2026,12:01 AM,9.10,3.5\n",
    ],
)
def test_number_with_two_decimals_is_no_time_of_day(content: str, tmp_path: Path) -> None:
    table = read(tmp_path, content.encode())
    assert table.names == ("temp", "flow")
    np.testing.assert_array_equal(table.values, [[12.53, 1.5], [14.22, 2.5], [9.10, 3.5]])


def test_channel_that_stands_at_a_number_with_a_decimal_comma_is_kept(tmp_path: Path) -> None:
    table = read(
        tmp_path, b"time;flow;set point\n" + b"".join(b"2026-03-02 10:00:%02d;5,25;1,125\n" % s for s in range(9))
    )
    assert (table.names, table.values[:, 1].tolist()) == (("flow", "set point"), [1.125] * 9)


def test_name_is_one_line_without_control_characters(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        b'time,"flow \n(upper  part)",\x1b[31mred\n' + b"".join(b"2026-03-02 10:00:%02d,5,1\n" % s for s in range(9)),
    )
    assert table.names == ("flow (upper part)", "\\x1b[31mred")
