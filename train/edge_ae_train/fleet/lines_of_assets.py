"""A text file with the lines of many assets -> a file for each, under the same names: one pass, a block of lines in memory.

The cells stay as they are: what they mean is the reader's business, of each asset's file as of any other.
"""

import csv
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

from edge_ae.errors import BadData
from edge_ae.store.recording.head import BLANKS, HEAD_LINES, read_head
from edge_ae.store.recording.layout import Layout, find_layout
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.rows import Row, RowReader
from edge_ae.store.recording.source import opened


def split(path: Path, columns: ReadOptions, folder: Path) -> dict[str, Path]:
    """The file of each asset that `columns.asset` names, in `folder`. Raises BadData where the file cannot be read."""
    found: dict[str, Path] = {}
    with opened(path) as source:
        lines = source.lines()
        first = list(islice(lines, HEAD_LINES))
        layout = find_layout(read_head(path, first), columns)
        folder.mkdir(parents=True, exist_ok=True)
        for rows, _ in RowReader(layout).blocks(chain(first[layout.first_line - 1 :], lines)):
            for asset, own in _by_asset(rows, layout.asset).items():
                is_new = asset not in found
                part = found.setdefault(asset, folder / f"{path.stem}-{len(found)}.csv")
                _append(part, layout, own, is_new=is_new)
    if not found:
        raise BadData(f"{path}: has a header but no lines of values")
    return found


def _by_asset(rows: Sequence[Row], column: int) -> dict[str, list[Row]]:
    own: dict[str, list[Row]] = {}
    for row in rows:
        own.setdefault(row[column].strip(), []).append(row)
    return own


def _append(part: Path, layout: Layout, rows: Sequence[Row], *, is_new: bool) -> None:
    """Opened for each block: a file may hold more assets than a process may have files."""
    delimiter = "\t" if layout.delimiter == BLANKS else layout.delimiter
    with part.open("w" if is_new else "a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        if is_new:
            heads = (layout.header, layout.units_row)
            writer.writerows(head for head in heads if head)
        writer.writerows(rows)
