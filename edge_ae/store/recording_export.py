"""Recorded rows -> one CSV or Parquet file, as a stream: a part at a time is in memory, however long the recording.

Lines come asset by asset, each in the order in which its rows came; a column `asset` says whose they are, where there may be
several. The file is there once it is complete.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_ae.errors import BadData
from edge_ae.store.atomic import reason_of, whole_text
from edge_ae.store.recording.table import Table
from edge_ae.store.recording_csv import cell
from edge_ae.store.recording_room import ROWS
from edge_ae.store.recordings import RecordedFile, recording_columns

PARQUET = ".parquet"
TIME, ASSET = "timestamp", "asset"
GROUP_LINES = 1 << 16  # of a Parquet file: what is in memory, and what its readers take or skip


class AssetLines(NamedTuple):
    """Lines of one asset."""

    asset: str
    table: Table


class ExportedColumns(NamedTuple):
    """`names`: the channels. `has_asset`: there is a column that says whose a line is."""

    names: tuple[str, ...]
    has_asset: bool

    @property
    def own(self) -> list[str]:
        """The columns before the channels."""
        return [TIME, *([ASSET] if self.has_asset else [])]


def exported_columns(files: Sequence[RecordedFile], *, has_asset: bool) -> ExportedColumns:
    """Those of all files together. Raises BadData where a channel is called as one of our own columns."""
    names: dict[str, None] = {}
    for file in files:
        found = recording_columns(file.path)
        names |= dict.fromkeys(found if file.path.suffix == ROWS else found[1:])
    columns = ExportedColumns(tuple(names), has_asset)
    for name in columns.own:
        if name in names:
            raise BadData(
                f"{files[0].path.parent}: has a channel called {name!r}, as one of the columns of the export is"
            )
    return columns


def export(out: Path, columns: ExportedColumns, parts: Iterable[AssetLines]) -> int:
    """Writes the file, and returns how many lines it has. Raises BadData where it cannot be written."""
    return (_write_parquet if out.suffix == PARQUET else _write_csv)(out, columns, parts)


def export_fault(out: Path) -> str | None:
    """Why a file of this name cannot be made; None: it can."""
    if out.suffix == PARQUET and find_spec("pyarrow") is None:
        return f"{out}: Parquet needs pyarrow, which is not installed: pip install pyarrow, or export to .csv"
    if not out.name.endswith((".csv", ".csv.gz", PARQUET)):
        return f"{out}: should end in .csv, .csv.gz or .parquet"
    return None


def _write_csv(out: Path, columns: ExportedColumns, parts: Iterable[AssetLines]) -> int:
    lines = 0
    with whole_text(out) as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*columns.own, *columns.names])
        for part in parts:
            values = (map(cell, row) for row in _in_columns(part.table, columns).tolist())
            whose = repeat((part.asset,) if columns.has_asset else ())
            rows = zip(part.table.times, whose, values, strict=False)
            writer.writerows([time, *asset, *row] for time, asset, row in rows)
            lines += len(part.table)
    return lines


def _write_parquet(out: Path, columns: ExportedColumns, parts: Iterable[AssetLines]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    own = [(TIME, pa.timestamp("ns", "UTC")), *([(ASSET, pa.string())] if columns.has_asset else [])]
    schema = pa.schema([*own, *((name, pa.float64()) for name in columns.names)])
    scratch, lines = out.with_name(f".{out.name}.tmp"), 0
    try:
        with pq.ParquetWriter(scratch, schema) as writer:
            for group in _groups(parts):
                writer.write_table(pa.table(_arrays(group, columns), schema=schema))
                lines += sum(len(part.table) for part in group)
        scratch.replace(out)
    except OSError as error:
        raise BadData(f"{out}: cannot be written ({reason_of(error)})") from None
    finally:
        scratch.unlink(missing_ok=True)
    return lines


def _arrays(group: Sequence[AssetLines], columns: ExportedColumns) -> list[Any]:
    """A missing value is null."""
    import pyarrow as pa

    values = np.concatenate([_in_columns(part.table, columns) for part in group])
    whose = [part.asset for part in group for _ in range(len(part.table))]
    times = pa.array(np.concatenate([part.table.t_ns for part in group]), pa.timestamp("ns", "UTC"))
    return [
        times,
        *([whose] if columns.has_asset else []),
        *(pa.array(column, from_pandas=True) for column in values.T),
    ]


def _groups(parts: Iterable[AssetLines]) -> Iterator[list[AssetLines]]:
    """Parts that make a group of rows together."""
    group: list[AssetLines] = []
    for part in parts:
        group.append(part)
        if sum(len(one.table) for one in group) >= GROUP_LINES:
            yield group
            group = []
    if group:
        yield group


def _in_columns(table: Table, columns: ExportedColumns) -> NDArray[np.float64]:
    """The values [line, channel], NaN of a channel that these lines do not have."""
    values = np.full((len(table), len(columns.names)), np.nan)
    places = {name: place for place, name in enumerate(columns.names)}
    values[:, [places[name] for name in table.names]] = table.values
    return values
