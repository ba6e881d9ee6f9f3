"""Recordings as text files <-> Tables: the one reader of device and workstation.

    bytes ─ source ─► lines ─ head, layout ─► columns ─ cells ─► numbers
                                                      └ times ─► nanoseconds ─► Table

A line is `time, value, value, ...` under a header; what loggers, spreadsheets and databases make of that is found out, and said
in one note. Lines keep the order of the file, whatever their times say: order, duplicates and gaps are the aligner's business.
A file that cannot be read raises BadData: one sentence that names file, line and column.
"""

import csv
import math
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ae.errors import BadData
from edge_ae.store.atomic import whole_text
from edge_ae.store.recording.body import BodyReader
from edge_ae.store.recording.head import HEAD_LINES, read_head
from edge_ae.store.recording.layout import find_layout
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae.store.recording.source import Progress, opened, quiet
from edge_ae.store.recording.table import Table, suspicious_labels
from edge_ae.store.recording.whole import whole_table

__all__ = [
    "AS_IT_IS",
    "ReadOptions",
    "Table",
    "csv_columns",
    "read_csv",
    "suspicious_labels",
    "write_csv",
]


def read_csv(path: str | Path, options: ReadOptions = AS_IT_IS, progress: Progress = quiet) -> Table:
    """Reads a recording. `progress` is called with the bytes read and those there are (0: not known).

    Raises BadData for anything that is neither understood nor said to be left out.
    """
    path = Path(path)
    with opened(path, progress) as source:
        lines = source.lines()
        first = list(islice(lines, HEAD_LINES))
        layout = find_layout(read_head(path, first), options)
        body = BodyReader(source, layout, options)
        blocks = list(body.blocks(chain(first[layout.first_line - 1 :], lines)))
        if not blocks:
            raise BadData(f"{path}: has a header but no lines of values")
        return whole_table(body, blocks, source, options)


def csv_columns(path: Path, options: ReadOptions = AS_IT_IS) -> list[str]:
    """The names of all columns, the time's among them; BadData where they cannot be read."""
    with opened(path) as source:
        head = read_head(path, list(islice(source.lines(), HEAD_LINES)))
        return list(find_layout(head, ReadOptions(time=options.time)).header)


def write_csv(path: str | Path, times: Iterable[str], names: Sequence[str], values: NDArray[np.float64]) -> None:
    """Writes what `read_csv` reads, whole or not at all; a missing value is an empty cell."""
    with whole_text(Path(path)) as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["timestamp", *names])
        writer.writerows([time, *map(cell, row.tolist())] for time, row in zip(times, values, strict=True))


def cell(value: float) -> str:
    """A value as text; empty where it is missing."""
    return "" if math.isnan(value) else repr(value)
