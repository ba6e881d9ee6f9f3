"""The same recording as many programs write it: each dialect is a function from a plain table to the bytes of a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

BERLIN = ZoneInfo("Europe/Berlin")
NAMES = ("flow", "pressure")


@dataclass(frozen=True)
class Plain:
    """What every dialect says: a time in seconds since the epoch, and two numbers, for each line."""

    t_s: Sequence[int]
    values: NDArray[np.float64]

    def rows(self, time: Callable[[datetime], str], number: Callable[[float], str] = str) -> list[list[str]]:
        return [
            [time(datetime.fromtimestamp(t_s, UTC)), *map(number, row)]
            for t_s, row in zip(self.t_s, self.values.tolist(), strict=True)
        ]


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def local(at: datetime) -> str:
    return at.astimezone(BERLIN).strftime("%d.%m.%Y %H:%M:%S")


def comma(value: float) -> str:
    return str(value).replace(".", ",")


def text(rows: Sequence[Sequence[str]], header: Sequence[str] = ("time", *NAMES), delimiter: str = ",") -> str:
    return "".join(delimiter.join(row) + "\n" for row in (header, *rows))


def plain(table: Plain) -> bytes:
    return text(table.rows(iso)).encode()


def stamped(time: Callable[[datetime], str]) -> Callable[[Plain], bytes]:
    return lambda table: text(table.rows(time)).encode()


def excel_day(at: datetime) -> str:
    return f"{at.timestamp() / 86_400 + 25_569:.9f}"


def german(table: Plain) -> bytes:
    """A logger's: a title, comments, units, decimal comma, Windows-1252."""
    rows = table.rows(lambda at: at.strftime("%d.%m.%Y %H:%M:%S"), comma)
    head = "Anlage 7, Kühlkreis\n# Seriennummer;12\n\nZeit;flow;pressure\n;m³/h;bar\n"
    return (head + text(rows, (), ";").lstrip("\n")).replace("\n", "\r\n").encode("cp1252")


def campbell(table: Plain) -> bytes:
    rows = table.rows(lambda at: at.strftime('"%Y-%m-%d %H:%M:%S"'))
    numbered = [[row[0], str(number + 17), *row[1:]] for number, row in enumerate(rows)]
    head = '"TOA5","CR1000","CR1000","1021"\n"TIMESTAMP","RECORD","flow","pressure"\n"TS","RN","m3/h","bar"\n"","","Avg","Avg"\n'
    return (head + text(numbered, ()).lstrip("\n")).encode()


def excel(table: Plain) -> bytes:
    return ("sep=;\n" + text(table.rows(iso), delimiter=";")).encode("utf-8-sig")


def units_row(table: Plain) -> bytes:
    return text([["s", "m3/h", "bar"], *table.rows(iso)]).encode()


def trailing(table: Plain) -> bytes:
    return text([[*row, ""] for row in table.rows(iso)], ("time", *NAMES, "")).encode()


def trailing_in_data(table: Plain) -> bytes:
    return text([[*row, "", ""] for row in table.rows(iso)]).encode()


def two_columns(table: Plain) -> bytes:
    rows = [[*row[0].split(" "), *row[1:]] for row in table.rows(lambda at: at.strftime("%Y/%m/%d %I:%M:%S_%p"))]
    return text([[cell.replace("_", " ") for cell in row] for row in rows], ("Date", "Time", *NAMES)).encode()


def pandas_index(table: Plain) -> bytes:
    rows = [[str(number), *row] for number, row in enumerate(table.rows(iso))]
    return text(rows, ("", "timestamp", *NAMES)).encode()


def newest_first(table: Plain) -> bytes:
    return text(table.rows(iso)[::-1]).encode()


def nul_tail(table: Plain) -> bytes:
    return plain(table) + bytes(5000)


def torn(table: Plain) -> bytes:
    return plain(table) + b"2026-03-02T09:59:59Z,4."


def restarted(table: Plain) -> bytes:
    """The power went in the middle, and the logger began again with its header."""
    lines = plain(table).decode().splitlines(keepends=True)
    middle = len(lines) // 2
    return "".join([*lines[:middle], "2026-03-02T09:5\n", "\0" * 100, "\n", lines[0], *lines[middle:]]).encode()


def home_assistant(table: Plain) -> bytes:
    rows = [[name, cell, row[0]] for row in table.rows(iso) for name, cell in zip(NAMES, row[1:], strict=True)]
    return text(rows, ("entity_id", "state", "last_changed")).encode()


def influx(table: Plain) -> bytes:
    head = (
        "#group,false,false,true,true,false,false,true,true\n"
        "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string\n"
        "#default,_result,,,,,,,\n"
        ",result,table,_start,_stop,_time,_value,_field,_measurement\n"
    )
    span = ["2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"]
    tables = [
        head + "".join(f",,{place},{','.join(span)},{row[0]},{row[1 + place]},{name},pump\n" for row in table.rows(iso))
        for place, name in enumerate(NAMES)
    ]
    return "\n".join(tables).replace("\n", "\r\n").encode()


def historian(table: Plain) -> bytes:
    """Sorted by tag, the tag in the first column."""
    rows = [
        [name, row[0], row[1 + place], "Good"]
        for place, name in enumerate(NAMES)
        for row in table.rows(lambda at: at.strftime("%d-%b-%y %H:%M:%S"))
    ]
    return text(rows, ("TagName", "Timestamp", "Value", "Quality")).encode()


DIALECTS: dict[str, Callable[[Plain], bytes]] = {
    "plain": plain,
    "epoch seconds": stamped(lambda at: f"{at.timestamp():.0f}"),
    "epoch milliseconds": stamped(lambda at: f"{at.timestamp() * 1000:.0f}"),
    "yyyy/mm/dd": stamped(lambda at: at.strftime("%Y/%m/%d %H:%M:%S")),
    "dd.mm.yyyy": stamped(lambda at: at.strftime("%d.%m.%Y %H:%M:%S")),
    "dd-Mon-yy": stamped(lambda at: at.strftime("%d-%b-%y %H:%M:%S")),
    "mm/dd/yyyy am, pm": stamped(lambda at: at.strftime("%m/%d/%Y %I:%M:%S %p")),
    "dd/mm/yyyy": stamped(lambda at: at.strftime("%d/%m/%Y %H:%M:%S")),
    "RFC 2822": stamped(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT").replace(",", "")),
    "compact": stamped(lambda at: at.strftime("%Y%m%d%H%M%S")),
    "Excel's days": stamped(excel_day),
    "MATLAB's days": stamped(lambda at: f"{at.timestamp() / 86_400 + 719_529:.9f}"),
    "German logger": german,
    "Campbell": campbell,
    "sep=": excel,
    "units row": units_row,
    "trailing delimiter": trailing,
    "trailing delimiters in the data": trailing_in_data,
    "date and time of day": two_columns,
    "pandas": pandas_index,
    "newest first": newest_first,
    "NUL tail": nul_tail,
    "torn last line": torn,
    "restarted": restarted,
    "CR line ends": lambda table: plain(table).replace(b"\n", b"\r"),
    "mixed line ends": lambda table: (
        plain(table).replace(b"\n", b"\r\n", 5).replace(b"\n", b"\r", 8).replace(b"\r\r", b"\r")
    ),
    "UTF-16": lambda table: plain(table).decode().encode("utf-16"),
    "UTF-16 LE without mark": lambda table: plain(table).decode().encode("utf-16-le"),
    "UTF-16 BE without mark": lambda table: plain(table).decode().encode("utf-16-be"),
    "tabs and decimal commas": lambda table: text(table.rows(iso, comma), delimiter="\t").encode(),
    "quoted": lambda table: "".join(
        ",".join(f'"{cell}"' for cell in row) + "\n" for row in (("time", *NAMES), *table.rows(iso))
    ).encode(),
    "hash before the header": lambda table: b"# " + plain(table),
    "Home Assistant": home_assistant,
    "Influx": influx,
    "historian": historian,
}
