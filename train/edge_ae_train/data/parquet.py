"""Parquet files as Tables, by the same law of columns as text files. The trainer alone reads them: pyarrow is far too heavy
for a device.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from edge_ae.errors import BadData
from edge_ae.store.recording.cells import CellFault, CellReader
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae.store.recording.table import Table, TextColumn, text_of_times
from edge_ae.store.recording.times import AmbiguousDates, TimeFault, read_times

INDEX = "__index_level_0__"  # what pandas calls an index without a name


def read_parquet(path: Path, options: ReadOptions = AS_IT_IS) -> Table:
    """As `edge_ae.store.recording_csv.read_csv`; the times' text is made up, for a Parquet file has none."""
    return parquet_table(_opened(path, lambda: pq.ParquetFile(path).read()), path, options)


def parquet_table(columns: Any, path: Path, options: ReadOptions = AS_IT_IS) -> Table:
    """Of what pyarrow has read of the file."""
    for name in columns.column_names:
        if columns.column_names.count(name) > 1:
            raise BadData(f"{path}: the column name {name!r} is there twice")
    time_name = _time_column(path, columns, options)
    named = [name for name in (*options.ignore, options.label, options.asset) if name is not None]
    others = [name for name in columns.column_names if name != time_name]
    if unknown := [name for name in named if name not in others]:
        raise BadData(f"{path}: has no column {', '.join(map(repr, unknown))}; it has {', '.join(others)}")
    names = tuple(name for name in others if name not in named and not _is_index(columns, name))
    if not names or columns.num_rows == 0:
        raise BadData(f"{path}: has {len(names)} channels and {columns.num_rows} lines; both must be above 0")
    t_ns, said = _times_ns(path, columns.column(time_name), options)
    cells = CellReader(options, decimal_comma=False)
    values = np.column_stack([_numbers(path, name, columns.column(name), cells) for name in names])
    label = None if options.label is None else _labels(path, options.label, columns.column(options.label), cells)
    notes = "; ".join([*said, *cells.notes()])
    return Table(
        path=path,
        times=text_of_times(t_ns),
        t_ns=t_ns,
        names=names,
        values=values,
        labels=label,
        assets=None if options.asset is None else TextColumn.of(map(str, columns.column(options.asset).to_pylist())),
        units=cells.units,
        notes=(f"{path}: {notes}",) if notes else (),
    )


def parquet_columns(path: Path) -> list[str]:
    """The names of the columns, the time's among them."""
    names: list[str] = _opened(path, lambda: pq.read_schema(path).names)
    return names


def _opened(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path}: is no readable Parquet file ({str(error).splitlines()[0]})") from None


def _time_column(path: Path, columns: Any, options: ReadOptions) -> str:
    """The one that is asked for; else the first of type timestamp (pandas writes its index last); else the first column."""
    if options.time:
        wanted = "+".join(options.time)
        if wanted not in columns.column_names:
            raise BadData(f"{path}: has no column {wanted!r}; it has {', '.join(columns.column_names)}")
        return wanted
    stamps = [field.name for field in columns.schema if pa.types.is_timestamp(field.type)]
    return str(stamps[0] if stamps else columns.column_names[0])


def _is_index(columns: Any, name: str) -> bool:
    """The numbers of the rows, which pandas writes along."""
    return name == INDEX and pa.types.is_integer(columns.schema.field(name).type)


def _times_ns(path: Path, column: Any, options: ReadOptions) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Those of type timestamp without a zone, and texts, are read as in a text file; so are numbers."""
    try:
        if column.null_count > 0:
            raise ValueError(f"{column.null_count} of {len(column)} rows have none")
        is_stamp = pa.types.is_timestamp(column.type)
        if is_stamp and (column.type.tz is not None or options.time_zone is None):
            fine: NDArray[np.int64] = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()).to_numpy()
            return fine, ()
        found = read_times(TextColumn.of(column.cast(pa.string()).to_pylist()), options)
        return found.t_ns, found.notes
    except TimeFault as fault:
        text = str(column[fault.line])
        raise BadData(f"{path}: the time column holds what is no time: {text[:40]!r} {fault.reason}") from None
    except (
        ValueError,
        AmbiguousDates,
        pa.ArrowException,
    ) as error:  # most of pyarrow's are ValueErrors, as one beyond 2262
        raise BadData(f"{path}: the time column holds what is no time: {error}") from None


def _labels(path: Path, name: str, column: Any, cells: CellReader) -> NDArray[np.bool_]:
    numbers = _numbers(path, name, column, cells)
    wrong = numbers[~np.isin(numbers, (0.0, 1.0))]
    if len(wrong) > 0:
        raise BadData(f"{path}: column {name!r} holds {wrong[0]:g}, which is no label; 0 or 1 is expected")
    return np.asarray(numbers == 1.0)


def _numbers(path: Path, name: str, column: Any, cells: CellReader) -> NDArray[np.float64]:
    """Texts by the law of cells: numbers in quotes, words for a state, words for a missing value."""
    try:
        if (
            pa.types.is_string(column.type)
            or pa.types.is_large_string(column.type)
            or pa.types.is_dictionary(column.type)
        ):
            numbers = cells.numbers(name, column.fill_null("").cast(pa.string()).to_pylist())
        else:
            numbers = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowException, OSError, CellFault):
        raise BadData(
            f"{path}: column {name!r} of type {column.type} holds what is no number; leave it out with --ignore, or say "
            "with --asset-column that it names the asset"
        ) from None
    return np.where(np.isfinite(numbers), numbers, np.nan)
