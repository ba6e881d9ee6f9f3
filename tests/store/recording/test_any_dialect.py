"""A random table, written with a random choice of everything that writers differ in, is read back equal."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_ae.core.timestamps import SECOND
from edge_ae.store.recording_csv import read_csv

TIMES: tuple[Callable[[datetime], str], ...] = (
    lambda at: at.isoformat(sep=" "),
    lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    lambda at: at.strftime("%Y/%m/%d %H:%M:%S"),
    lambda at: at.strftime("%d.%m.%Y %H:%M:%S"),
    lambda at: f"{at.day}.{at.month}.{at.year} {at.hour}:{at.minute:02d}:{at.second:02d}",
    lambda at: at.strftime("%d-%b-%Y %I:%M:%S %p"),
    lambda at: at.astimezone(UTC).strftime("%Y%m%dT%H%M%S+0000"),
    lambda at: f"{at.timestamp():.0f}",
    lambda at: f"{at.timestamp():.3f}",
    lambda at: f"{at.timestamp() * 1e9:.0f}",
)
PREAMBLES = ("", "Pump station 7\n", "# made by a logger\n# serial: 12\n", "Device: L200\n\n\n", "%%\n! x\n")
NUMBERS = st.one_of(st.none(), st.floats(-1e6, 1e6).map(lambda value: round(value, 3)))


@dataclass(frozen=True)
class Dialect:
    delimiter: str
    comma: bool
    end: str
    encoding: str
    preamble: str
    units: bool
    time: Callable[[datetime], str]
    backwards: bool
    trailing: bool
    torn: bool

    def text(self, rows: list[tuple[datetime, list[float | None]]], names: list[str]) -> str:
        lines = [["Zeit", *names]]
        lines += [["", *["bar"] * len(names)]] if self.units else []
        body = [[self.time(at), *map(self.cell, values)] for at, values in rows]
        lines += body[::-1] if self.backwards else body
        text = self.preamble + "".join(self.line(cells) for cells in lines)
        return (text + "2026-" if self.torn else text).replace("\n", self.end)

    def cell(self, value: float | None) -> str:
        text = "" if value is None else str(value)
        return text.replace(".", ",") if self.comma and self.delimiter != "," else text

    def line(self, cells: list[str]) -> str:
        return self.delimiter.join(cells) + self.delimiter * self.trailing + "\n"


def dialects() -> st.SearchStrategy[Dialect]:
    return st.builds(
        Dialect,
        delimiter=st.sampled_from(",;\t|"),
        comma=st.booleans(),
        end=st.sampled_from(["\n", "\r\n", "\r"]),
        encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"]),
        preamble=st.sampled_from(PREAMBLES),
        units=st.booleans(),
        time=st.sampled_from(TIMES),
        backwards=st.booleans(),
        trailing=st.booleans(),
        torn=st.booleans(),
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(dialect=dialects(), data=st.data())
def test_what_any_writer_writes_is_what_is_read(tmp_path: Path, dialect: Dialect, data: st.DataObject) -> None:
    width = data.draw(st.integers(2, 4))
    names = [f"größe {number}" for number in range(width)]
    first = datetime(2026, 10, 9, 23, 58, tzinfo=UTC)
    step = data.draw(st.integers(1, 5000))
    values = data.draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=3, max_size=12))
    rows = [(first + timedelta(seconds=step * place), row) for place, row in enumerate(values)]
    path = tmp_path / "r.csv"
    path.write_bytes(dialect.text(rows, names).encode(dialect.encoding))
    table = read_csv(path)
    back = -1 if dialect.backwards else 1
    assert table.names == tuple(names)
    assert (table.t_ns[::back] // SECOND).tolist() == [int(at.timestamp()) for at, _ in rows]
    want = np.array(values, dtype=np.float64)
    np.testing.assert_array_equal(table.values[::back], want)
    assert table.units == (dict.fromkeys(names, "bar") if dialect.units else {})
