"""A line for each value (name, time, value) -> a line for each time, with a column for each name.

    sensor.flow, 4.2,  10:00:00                     flow  pressure
    sensor.flow, 4.3,  10:00:10      ─────►   10:00:00   4.2   -
    sensor.pressure, 2.5, 10:00:10                10:00:10   4.3   2.5

As databases of values write them. Values of one name that come twice at one time get a line each.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_ae.errors import BadData
from edge_ae.store.recording.layout import Layout
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.rows import Row
from edge_ae.store.recording.table import Table, TextColumn

MOST_NAMES = 2000
MOST_CELLS = 100_000_000  # 800 MB


class LongNames:
    """The names that come in one file's key column, numbered as they come; `units`: of those that have one beside them."""

    def __init__(self, layout: Layout, options: ReadOptions) -> None:
        self.units: dict[str, str] = {}
        self._layout = layout
        self._ignored = dict.fromkeys(options.ignore, False)  # name -> whether it came
        self._numbers: dict[str, int] = {}
        self._series: dict[tuple[str, str], tuple[str, ...]] = {}

    def wanted(self, rows: list[Row], numbers: Sequence[int]) -> tuple[list[Row], Sequence[int]]:
        """The rows whose name is not to be ignored, and their numbers."""
        key = self._layout.key
        if not self._ignored:
            return rows, numbers
        self._ignored.update((row[key], True) for row in rows if row[key] in self._ignored)
        kept = [(row, number) for row, number in zip(rows, numbers, strict=True) if row[key] not in self._ignored]
        return [row for row, _ in kept], [number for _, number in kept]

    def keys(self, columns: Sequence[Sequence[str]]) -> NDArray[np.int32]:
        """The number of each row's name. Raises BadData where one name is that of two series."""
        layout, names = self._layout, columns[self._layout.key]
        assets = columns[layout.asset] if layout.asset >= 0 else [""] * len(names)
        tags = zip(*(columns[column] for column in layout.tags), strict=True) if layout.tags else [()] * len(names)
        for name, asset, values in dict.fromkeys(zip(names, assets, tags, strict=True)):
            self._check_series(name, asset, values)
        if layout.unit >= 0:
            self.units.update(
                (name, unit) for name, unit in dict.fromkeys(zip(names, columns[layout.unit], strict=True)) if unit
            )
        for name in dict.fromkeys(names):
            self._numbers.setdefault(name, len(self._numbers))
        if len(self._numbers) > MOST_NAMES:
            raise BadData(f"{layout.path}: {layout.place(layout.key)} has more than {MOST_NAMES} names")
        return np.fromiter(map(self._numbers.__getitem__, names), np.int32, len(names))

    def name(self, number: int) -> str:
        """The name of this number."""
        return self.names()[number]

    def names(self) -> tuple[str, ...]:
        """All of them, by their numbers."""
        return tuple(self._numbers)

    def check_ignored(self) -> None:
        """BadData where a name is to be ignored that never came, neither as a column."""
        unknown = [name for name, came in self._ignored.items() if not came and name not in self._layout.header]
        if unknown:
            there = ", ".join(self.names())
            raise BadData(f"{self._layout.path}: has no {', '.join(map(repr, unknown))}; it has {there}")

    def _check_series(self, name: str, asset: str, values: tuple[str, ...]) -> None:
        known = self._series.setdefault((asset, name), values)
        for column, before, now in zip(self._layout.tags, known, values, strict=True):
            if before != now:
                tag = self._layout.header[column]
                raise BadData(
                    f"{self._layout.path}: {name!r} comes with {tag} {before!r} and with {tag} {now!r}: --asset-column {tag} "
                    f"if it names the asset, --ignore {tag} otherwise"
                )


def pivoted(table: Table, keys: NDArray[np.int32], names: tuple[str, ...]) -> Table:
    """`table`: one channel of all values; `keys`: the name's place in `names`, for each line. In the order of time."""
    owners = np.zeros(len(table), np.int64) if table.assets is None else _codes(TextColumn.of(table.assets))
    again = _times_again(owners, table.t_ns, keys)
    order = np.lexsort((again, table.t_ns, owners))
    begins = np.ones(len(order), np.bool_)
    sorted_parts = [part[order] for part in (owners, table.t_ns, again)]
    begins[1:] = np.any([part[1:] != part[:-1] for part in sorted_parts], axis=0)
    row = np.cumsum(begins) - 1
    if (int(row[-1]) + 1) * len(names) > MOST_CELLS:
        raise BadData(
            f"{table.path}: {int(row[-1]) + 1:,} times of {len(names)} names do not fit into memory; "
            "leave names out with --ignore, or split the file"
        )
    values = np.full((int(row[-1]) + 1, len(names)), np.nan)
    values[row, keys[order]] = table.values[order, 0]
    first = order[begins]
    return replace(
        table,
        times=TextColumn.of(table.times).take(first),
        t_ns=table.t_ns[first],
        names=names,
        values=values,
        assets=None if table.assets is None else TextColumn.of(table.assets).take(first),
    )


def _codes(texts: TextColumn) -> NDArray[np.int64]:
    """A number for each text, in the order in which they first come."""
    _, first, code = np.unique(texts.encoded, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[code]


def _times_again(owners: NDArray[np.int64], t_ns: NDArray[np.int64], keys: NDArray[np.int32]) -> NDArray[np.int64]:
    """How often the name of a line has come before at its time."""
    order = np.lexsort((keys, t_ns, owners))
    same = np.zeros(len(order), np.bool_)
    same[1:] = np.all([part[order][1:] == part[order][:-1] for part in (owners, t_ns, keys)], axis=0)
    at = np.arange(len(order))
    began = np.maximum.accumulate(np.where(same, 0, at))
    again = np.empty(len(order), np.int64)
    again[order] = at - began
    return again
