"""Recordings on disk -> tables: what the files hold, a table for each asset in a file, before anything is mended."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_ae.errors import BadData
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae.store.recording.source import Progress, quiet
from edge_ae.store.recording.table import Table, TextColumn, take
from edge_ae.store.recording_room import ROWS
from edge_ae.store.recordings import read_recording, recording_columns
from edge_ae_train.data.series import channels, joined
from edge_ae_train.progress import SILENT, Reporter, in_parts

SUFFIXES = (".csv", ".csv.gz", ".parquet", ROWS)


def load(paths: Iterable[str | Path], columns: ReadOptions = AS_IT_IS, reporter: Reporter = SILENT) -> list[Table]:
    """One table for each asset in a file; the files of a recorder's asset are one, with the channels of all of them.

    All tables have the same channels.
    """
    tables = joined(read_tables(paths, columns, reporter))
    return [reordered(table, tables[0]) for table in tables]


def read_tables(
    paths: Iterable[str | Path], columns: ReadOptions = AS_IT_IS, reporter: Reporter = SILENT
) -> list[Table]:
    """One table for each asset in a file, as they are. Each column to ignore must be in one of the files at least.

    A recorder goes on while its folder is read: of its files, one that is gone by now, or has no whole block yet, is left out.
    """
    found, ignore = recordings(paths), columns.ignore
    there = {file: _column_names(file, columns) for file in found} if len(found) > 1 and ignore else {}
    if unknown := [name for name in ignore if there and not any(name in names for names in there.values())]:
        raise BadData(f"{found[0]} and {len(found) - 1} more: none has a column {', '.join(map(repr, unknown))}")
    tables: list[Table] = []
    unread: list[BadData] = []
    for file, part in zip(found, in_parts(reporter, [_bytes_of(file) for file in found]), strict=True):
        here = [name for name in ignore if name in there.get(file, ignore)]
        try:
            table = read_table(file, replace(columns, ignore=here), part.counting(f"reading {file.name}"))
        except BadData as fault:
            if file.suffix != ROWS or len(found) == 1:
                raise
            unread.append(fault)
            reporter.note(f"{fault}; it is left out")
            continue
        tables += [table] if columns.asset is None else _split_assets(table)
    if not tables:
        raise unread[0]
    return tables


def _bytes_of(file: Path) -> int:
    """1 at the least, and of a file that is not there, which reading it will say."""
    return max(file.stat().st_size, 1) if file.exists() else 1


def read_table(path: Path, columns: ReadOptions = AS_IT_IS, progress: Progress = quiet) -> Table:
    """A CSV, CSV.gz, Parquet or rows file. `progress` is called with the bytes of it that are read, and all of them."""
    if path.suffix != ".parquet":
        return read_recording(path, columns, progress)
    from edge_ae_train.data.parquet import read_parquet  # pyarrow takes half a second to import

    return read_parquet(path, columns)


def _column_names(path: Path, columns: ReadOptions) -> Sequence[str]:
    """The columns of a recording, the time's among them."""
    if path.suffix != ".parquet":
        return recording_columns(path, columns)
    from edge_ae_train.data.parquet import parquet_columns

    return parquet_columns(path)


def where_of(tables: Sequence[Table]) -> str:
    """The files that a sentence is about, by the first."""
    more = len(tables) - 1
    return f"{tables[0].path}" if more == 0 else f"{tables[0].path} and {more} more"


def recordings(paths: Iterable[str | Path]) -> list[Path]:
    """The recordings that the paths name, files or directories."""
    found = [file for path in paths for file in _expand(Path(path))]
    if not found:
        raise BadData("no recording was named")
    return found


def _expand(path: Path) -> list[Path]:
    """A directory means the recordings below it, in the order a person would count them: 2.csv before 10.csv."""
    if not path.is_dir():
        return [path]
    found = [file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.name[0] != "."]
    if not found:
        raise BadData(f"{path}: holds no recording ({', '.join(SUFFIXES)})")
    return sorted(found, key=counting)


def counting(path: str | Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _split_assets(table: Table) -> Iterator[Table]:
    assert table.assets is not None
    names, group = np.unique(TextColumn.of(table.assets).encoded, return_inverse=True)
    for index in range(len(names)):
        yield take(table, np.flatnonzero(group == index))


def reordered(table: Table, first: Table) -> Table:
    """The channels in the order of the first file: they are matched by name, never by place."""
    if table.names == first.names:
        return table
    lacking = [name for name in first.names if name not in table.names]
    extra = [name for name in table.names if name not in first.names]
    if lacking:
        raise BadData(f"{table.path}: lacks {', '.join(lacking)}, which {first.path} has")
    if extra:
        raise BadData(f"{table.path}: has {', '.join(extra)}, which {first.path} lacks; leave out with --ignore")
    return replace(table, names=first.names, values=channels(table, first.names))
