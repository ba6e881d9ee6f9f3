"""A file of blocks, read from the front: each whole block is found, whatever lies between them. Changes nothing.

    ▓▓▓▓ ▓▓▓▓ ▓▓░▓ ▓▓▓▓ ▓▓      a block that has rotted costs itself; one that a power cut tore off, or that is just being
                                written, is what is left at the end

One block is in memory at a time, so that a file of any size can be streamed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from edge_ae.errors import BadData
from edge_ae.store.atomic import reason_of
from edge_ae.store.columnar.block import (
    HEAD_BYTES,
    MAGIC,
    MARKS,
    ROWS,
    BlockHead,
    Mark,
    Rows,
    decode_marks,
    decode_rows,
    is_whole,
    names_of,
    read_head,
)
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae.store.recording.source import Progress, quiet
from edge_ae.store.recording.table import Table, text_of_times

SUFFIX = ".rows"
SEARCHED_BYTES = 1 << 16  # at a time, for the next block

ALWAYS_NS = (-(2**63), 2**63 - 1)


@dataclass(slots=True)
class FileCondition:
    """What was found of a file so far. `end`: behind its last whole block. `damaged`: stretches before that which are none."""

    size: int = 0
    end: int = 0
    blocks: int = 0
    damaged: int = 0
    damaged_bytes: int = 0

    def notes(self, path: Path) -> tuple[str, ...]:
        """A sentence where not all could be read."""
        rotten = f"{self.damaged_bytes:,} bytes in {self.damaged} places are damaged and left out"
        torn = (
            f"its last {self.size - self.end:,} bytes are no whole block: cut off by a power cut, or being written now"
        )
        parts = [*([rotten] if self.damaged > 0 else []), *([torn] if self.size > self.end else [])]
        return (f"{path}: {'; '.join(parts)}; {self.blocks} whole blocks are read",) if parts else ()


class RowsFile:
    """A file to read, as often as wanted; `condition` is of the last time, as far as it went.

    Raises BadData where the disk does not give it.
    """

    def __init__(self, path: Path, progress: Progress = quiet) -> None:
        self.path, self.condition = path, FileCondition()
        self._progress = progress

    def blocks(self) -> Iterator[tuple[BlockHead, bytes]]:
        """Each whole block, with its body."""
        try:
            with self.path.open("rb") as file:
                self.condition = FileCondition(size=file.seek(0, 2))
                yield from self._walk(file)
        except OSError as error:
            raise BadData(f"{self.path}: cannot be read ({reason_of(error)})") from None

    def rows(self, between_ns: tuple[int, int] = ALWAYS_NS) -> Iterator[Rows]:
        """Rows whose times are in this stretch, both ends included; a block without any is not even unpacked."""
        first_ns, last_ns = between_ns
        for head, body in self.blocks():
            if head.kind != ROWS or head.last_ns < first_ns or head.first_ns > last_ns:
                continue
            try:
                rows = decode_rows(head, body)
            except BadData as fault:
                raise BadData(f"{self.path}: {fault}; was it written by a later version?") from None
            inside = (rows.t_ns >= first_ns) & (rows.t_ns <= last_ns)
            if inside.any():
                yield rows if inside.all() else Rows(rows.names, rows.t_ns[inside], rows.values[inside])

    def channels(self) -> tuple[str, ...]:
        """Of all blocks, in the order in which they first come."""
        names = (name for head, body in self.blocks() if head.kind == ROWS for name in names_of(body))
        return tuple(dict.fromkeys(names))

    def marks(self) -> list[Mark]:
        """All that are in the file, as they came."""
        return [mark for head, body in self.blocks() if head.kind == MARKS for mark in decode_marks(body)]

    def _walk(self, file: IO[bytes]) -> Iterator[tuple[BlockHead, bytes]]:
        condition, at = self.condition, 0
        while at < condition.size:
            file.seek(at)
            head = read_head(file.read(HEAD_BYTES))
            if head is not None and is_whole(head, body := file.read(head.size)):
                at += HEAD_BYTES + head.size
                condition.blocks, condition.end = condition.blocks + 1, at
                yield head, body
                self._progress(at, condition.size)
                continue
            following = _next_block(file, at + 1)
            if following is None:
                return
            condition.damaged, condition.damaged_bytes = condition.damaged + 1, condition.damaged_bytes + following - at
            at = following


def _next_block(file: IO[bytes], at: int) -> int | None:
    """Where the next head is; None: there is none. Its own CRC tells a head from bytes that look like one."""
    file.seek(at)
    window = b""
    while chunk := file.read(SEARCHED_BYTES):
        window += chunk
        found = window.find(MAGIC)
        while found >= 0:
            file.seek(at + found)
            if read_head(file.read(HEAD_BYTES)) is not None:
                return at + found
            found = window.find(MAGIC, found + 1)
        at, window = at + len(window) - len(MAGIC) + 1, window[1 - len(MAGIC) :]
        file.seek(at + len(window))
    return None


def read_rows(path: Path, options: ReadOptions = AS_IT_IS, progress: Progress = quiet) -> Table:
    """The whole file as a Table, in the order in which its rows came.

    Raises BadData where it holds no row, or lacks a column that the options name.
    """
    file = RowsFile(path, progress)
    table = table_of(path, list(file.rows()))
    if len(table) == 0:
        raise BadData("; ".join(file.condition.notes(path)) or f"{path}: holds no rows")
    return _with_options(table, options, file.condition.notes(path))


def table_of(path: Path, parts: Sequence[Rows]) -> Table:
    """One table of rows, with the channels of all of them; `path`: what it is called."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    t_ns = np.concatenate([np.empty(0, np.int64), *(part.t_ns for part in parts)])
    values, at = np.full((len(t_ns), len(names)), np.nan), 0
    for part in parts:
        columns = [names.index(name) for name in part.names]
        values[at : at + len(part.t_ns), columns] = part.values
        at += len(part.t_ns)
    values[np.isinf(values)] = np.nan  # as of a text file
    return Table(path, text_of_times(t_ns), t_ns, names, values)


def _with_options(table: Table, options: ReadOptions, notes: tuple[str, ...]) -> Table:
    """Without the columns to ignore, and with the label's column for what it is."""
    named = [name for name in (*options.ignore, options.label, options.asset) if name is not None]
    if unknown := [name for name in named if name not in table.names]:
        raise BadData(f"{table.path}: has no column {', '.join(map(repr, unknown))}; it has {', '.join(table.names)}")
    kept = [name for name in table.names if name not in named]
    labels = None if options.label is None else table.values[:, table.names.index(options.label)] == 1.0
    values = table.values[:, [table.names.index(name) for name in kept]]
    return Table(table.path, table.times, table.t_ns, tuple(kept), values, labels, notes=notes)
