"""Parquet files as Tables. The trainer alone reads them: pyarrow is far too heavy for a device."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from edge_ae.core.timestamps import rfc3339, time_ns
from edge_ae.errors import BadData
from edge_ae.store.recording_csv import Table


def read_parquet(
    path: Path, *, ignore: Sequence[str] = (), label: str | None = None, asset: str | None = None
) -> Table:
    """As `edge_ae.store.recording_csv.read_csv`; the times' text is made up, for a Parquet file has none."""
    columns = _opened(path, lambda: pq.ParquetFile(path).read())
    for name in columns.column_names:
        if columns.column_names.count(name) > 1:
            raise BadData(f"{path}: the column name {name!r} is there twice")
    time_name = _time_column(columns)
    named = [name for name in (*ignore, label, asset) if name is not None]
    others = [name for name in columns.column_names if name != time_name]
    if unknown := [name for name in named if name not in others]:
        raise BadData(f"{path}: has no column {', '.join(map(repr, unknown))}; it has {', '.join(others)}")
    names = tuple(name for name in others if name not in named)
    if not names or columns.num_rows == 0:
        raise BadData(f"{path}: has {len(names)} channels and {columns.num_rows} lines; both must be above 0")
    t_ns = _times_ns(path, columns.column(time_name))
    return Table(
        path=path,
        times=[rfc3339(int(t)) for t in t_ns],
        t_ns=t_ns,
        names=names,
        values=np.column_stack([_numbers(path, name, columns.column(name)) for name in names]),
        labels=None if label is None else _labels(path, label, columns.column(label)),
        assets=None if asset is None else [str(name) for name in columns.column(asset).to_pylist()],
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


def _time_column(columns: Any) -> str:
    """The first column of type timestamp (pandas writes its index last); else the first column."""
    stamps = [field.name for field in columns.schema if pa.types.is_timestamp(field.type)]
    return str(stamps[0] if stamps else columns.column_names[0])


def _times_ns(path: Path, column: Any) -> NDArray[np.int64]:
    try:
        if column.null_count > 0:
            raise ValueError(f"{column.null_count} of {len(column)} rows have none")
        if pa.types.is_timestamp(column.type):
            fine: NDArray[np.int64] = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()).to_numpy()
            return fine
        return np.array([time_ns(value) for value in column.to_pylist()], dtype=np.int64)
    except (ValueError, pa.ArrowException) as error:  # most of pyarrow's are ValueErrors, as one beyond 2262
        raise BadData(f"{path}: the time column holds what is no time: {error}") from None


def _labels(path: Path, name: str, column: Any) -> NDArray[np.bool_]:
    numbers = _numbers(path, name, column)
    wrong = numbers[~np.isin(numbers, (0.0, 1.0))]
    if len(wrong) > 0:
        raise BadData(f"{path}: column {name!r} holds {wrong[0]:g}, which is no label; 0 or 1 is expected")
    return np.asarray(numbers == 1.0)


def _numbers(path: Path, name: str, column: Any) -> NDArray[np.float64]:
    try:
        numbers = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowException, OSError):
        raise BadData(
            f"{path}: column {name!r} of type {column.type} holds what is no number; leave it out with --ignore"
        ) from None
    return np.where(np.isfinite(numbers), numbers, np.nan)
