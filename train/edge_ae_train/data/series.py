"""Tables -> series: whose a table is, and which tables are parts of one.

A recorder begins a new file every day, so that a folder of its files is one series. Any other file is one by itself.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ae.store.recording.table import Table, TextColumn

RECORDER_FILE = re.compile(r"\d{8}T\d{6}(-\d+)?\.(csv\.gz|rows)")  # in DIR/<asset>/


def joined(tables: Sequence[Table]) -> list[Table]:
    """Each series as one table; its parts in the order they came in. A channel that a part lacks is missing in its lines."""
    groups: dict[tuple[Path, str], list[Table]] = {}
    for table in tables:
        groups.setdefault(key(table), []).append(table)
    return [group[0] if len(group) == 1 else join(group) for group in groups.values()]


def join(tables: Sequence[Table]) -> Table:
    """One table of parts of a series, with the channels of all of them; it is called as the first."""
    labels = [np.zeros(len(table), np.bool_) if table.labels is None else table.labels for table in tables]
    assets = [table.assets for table in tables if table.assets is not None]
    names = tuple(dict.fromkeys(name for table in tables for name in table.names))
    return replace(
        tables[0],
        names=names,
        times=TextColumn.joined([table.times for table in tables]),
        t_ns=np.concatenate([table.t_ns for table in tables]),
        values=np.concatenate([channels(table, names) for table in tables]),
        labels=np.concatenate(labels) if any(table.labels is not None for table in tables) else None,
        assets=TextColumn.joined(assets) if assets else None,
        units={name: unit for table in tables for name, unit in table.units.items()},
        notes=tuple(dict.fromkeys(note for table in tables for note in table.notes)),
    )


def channels(table: Table, names: Sequence[str]) -> NDArray[np.float64]:
    """The values [line, channel] of the channels that are asked for, NaN of one that the table lacks."""
    nothing = np.full(len(table), np.nan)
    return np.column_stack([table.values[:, table.names.index(n)] if n in table.names else nothing for n in names])


def key(table: Table) -> tuple[Path, str]:
    """Where a series is, and whose."""
    return (table.path.parent if _of_recorder(table) else table.path), asset_name(table)


def asset_name(table: Table) -> str:
    """The asset that the lines name; that of the folder, for a file of the recorder; else the file's own name."""
    if table.assets:
        return table.assets[0]
    if _of_recorder(table):
        return _text(table.path.absolute().parent.name)
    return _text(table.path.name.removesuffix(".gz").rsplit(".", 1)[0])


def _text(name: str) -> str:
    """A file's name may hold bytes that are no UTF-8, which nothing prints."""
    return name.encode("utf-8", "replace").decode()


def _of_recorder(table: Table) -> bool:
    return table.assets is None and RECORDER_FILE.fullmatch(table.path.name) is not None
