"""A folder of recordings, `DIR/<asset>/<first time>.rows` or `.csv.gz`, read by asset and time: one part after the other.

Both kinds may lie side by side: what an earlier version recorded stays of use. A part is at most some megabytes of file, so
that a folder of any size can be streamed.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_ae.errors import BadData
from edge_ae.store.columnar.block import Mark
from edge_ae.store.columnar.rows_file import ALWAYS_NS, RowsFile, read_rows, table_of
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae.store.recording.source import Progress, quiet
from edge_ae.store.recording.table import Table, take
from edge_ae.store.recording_csv import csv_columns, read_csv
from edge_ae.store.recording_room import DONE, ROWS


class RecordedFile(NamedTuple):
    """One of an asset's files; in the order of their names they are in the order of time."""

    asset: str
    path: Path


def read_recording(path: Path, options: ReadOptions = AS_IT_IS, progress: Progress = quiet) -> Table:
    """A file of rows or a text file, as a Table. Raises BadData for what is not understood."""
    return read_rows(path, options, progress) if path.suffix == ROWS else read_csv(path, options, progress)


def recording_columns(path: Path, options: ReadOptions = AS_IT_IS) -> Sequence[str]:
    """The names of its columns; of a text file, the time's among them. Raises BadData."""
    return RowsFile(path).channels() if path.suffix == ROWS else csv_columns(path, options)


def recorded_files(folder: Path, asset: str | None = None) -> list[RecordedFile]:
    """Of one asset, or of all: asset by asset, oldest first. Raises BadData where there are none."""
    found = [path for end in (DONE, ROWS) for path in folder.glob(f"*/*{end}")]
    files = [RecordedFile(path.parent.name, path) for path in sorted(found)]
    assets = dict.fromkeys(file.asset for file in files)
    if not files:
        raise BadData(f"{folder}: holds no recordings (<asset>/*{ROWS}, <asset>/*{DONE})")
    if asset is not None and asset not in assets:
        raise BadData(f"{folder}: holds nothing of {asset!r}, but of {', '.join(list(assets)[:20])}")
    return [file for file in files if asset in (None, file.asset)]


def tables(
    file: RecordedFile,
    between_ns: tuple[int, int] = ALWAYS_NS,
    progress: Progress = quiet,
    note: Callable[[str], object] = lambda _text: None,
) -> Iterator[Table]:
    """A file's lines in this stretch of time, both ends included, in parts that memory holds. Raises BadData.

    `note`: is told what could not be read, and what was found out.
    """
    if file.path.suffix == ROWS:
        source = RowsFile(file.path, progress)
        yield from (table_of(file.path, [rows]) for rows in source.rows(between_ns))
        for text in source.condition.notes(file.path):
            note(text)
        return
    whole = read_csv(file.path, progress=progress)
    for text in whole.notes:
        note(text)
    inside = np.flatnonzero((whole.t_ns >= between_ns[0]) & (whole.t_ns <= between_ns[1]))
    if len(inside) > 0:
        yield take(whole, inside)


def marks_below(folder: Path) -> dict[str, list[Mark]]:
    """What was marked, by asset; of those with the same beginning and reason, the one that goes furthest. Raises BadData."""
    found: dict[str, dict[tuple[int, str], Mark]] = {}
    for path in sorted(folder.rglob(f"*{ROWS}")):
        for mark in RowsFile(path).marks():
            known = found.setdefault(path.parent.name, {})
            before = known.get((mark.from_ns, mark.why))
            if before is None or before.until_ns < mark.until_ns:
                known[mark.from_ns, mark.why] = mark
    return {asset: sorted(marks.values()) for asset, marks in found.items()}
