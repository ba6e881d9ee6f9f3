"""Rows of every asset kept for training, in columns: `DIR/<asset>/<first time>.rows`, as `edge_ae.store.recordings` reads them.

    push ─► rows in memory ─ every `flush_s`, one asset after the other ─► one block, one append ─► oldest files out
    mark ─► marks in memory ─┘

Flash wears by how often it is written: an asset's rows of five minutes are one append, nothing is rewritten, and the disk is
never told to hurry. A crash or a power cut costs what is in memory and the block that was being written: what it left of that
is cut off before the next append. A file belongs to one day; its blocks name their channels, so that a new one needs no new file.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.store.columnar.block import Mark, encode_marks, encode_rows
from edge_ae.store.columnar.buffer import RowBuffer
from edge_ae.store.columnar.rows_file import RowsFile
from edge_ae.store.recorder import recover
from edge_ae.store.recording_room import ROWS, STEM, RecordingRoom, append_whole, new_path, why

log = logging.getLogger(__name__)

DAY_S = 86_400
FILE_BYTES = 8 << 20  # at most: what a reader that wants the whole file must hold
MOST_CELLS = 1 << 15  # of one asset in memory, and in a block
MOST_CELLS_OF_ALL = 1 << 22  # 32 MB
MOST_MARKS = 1_000  # of one asset in memory
AT_ONCE = 20  # assets that may be written in one tick


@dataclass(slots=True)
class _Recorded:
    """One asset's rows and marks that are not on disk, and the file that the next go to."""

    since_s: float
    rows: RowBuffer = field(default_factory=RowBuffer)
    marks: list[Mark] = field(default_factory=list)
    path: Path | None = None


class ColumnRecorder:
    """Takes readings and marks of any asset. A disk that is full or gone costs rows, which are counted, and raises nothing.

    `counts`: rows, rows_lost, marks, marks_lost, values_left_out, bytes, appends, files_dropped, files_recovered, tails_cut, damaged.
    """

    def __init__(self, directory: Path, max_bytes: int, flush_s: float = 300.0) -> None:
        self.counts: Counter[str] = Counter()
        self._directory, self._flush_s = directory, flush_s
        self._room = RecordingRoom(directory, max_bytes, self.counts)
        self._assets: dict[str, _Recorded] = {}  # the one that was written longest ago comes first
        self._faults: dict[str, str] = {}
        self._cells = 0
        self._started_s = time.monotonic()
        try:
            self.counts += Counter(files_recovered=recover(directory))
        except OSError as error:
            self._faults[""] = why(error)
            log.error("%s; recordings of the last run are left as they are", why(error))
        self._room.make()

    @property
    def fault(self) -> str | None:
        """Why rows are being lost; None where they are not."""
        return next(iter(self._faults.values()), None)

    def report(self) -> dict[str, Any]:
        """For `stats`: what was counted, and the bytes that go to the disk in a day at this pace."""
        days = max(time.monotonic() - self._started_s, self._flush_s) / DAY_S
        return {**self.counts, "bytes_a_day": round(self.counts["bytes"] / days), "fault": self.fault}

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None:
        """Keep a row."""
        if not values:
            return
        rows = self._of(asset).rows
        before = rows.cells
        rows.push(t_ns, values)
        self._cells += rows.cells - before
        if rows.cells >= MOST_CELLS:
            self._write(asset)
        while self._cells >= MOST_CELLS_OF_ALL:
            self._write(next(iter(self._assets)))

    def mark(self, asset: str, from_ns: int, until_ns: int, why: str) -> None:
        """Say of a stretch of an asset's time, both ends included, that it was not normal."""
        marks = self._of(asset).marks
        if len(marks) >= MOST_MARKS:
            self.counts["marks_lost"] += 1
            return
        marks.append(Mark(from_ns, until_ns, why))

    def tick(self) -> None:
        """Write what has waited long enough, of a few assets."""
        due_s = time.monotonic() - self._flush_s
        for asset in [name for name, one in list(self._assets.items())[:AT_ONCE] if one.since_s <= due_s]:
            self._write(asset)

    def flush(self) -> None:
        """Write all that is in memory."""
        for asset in list(self._assets):
            self._write(asset)

    def close(self) -> None:
        """There will be nothing more."""
        self.flush()

    def _of(self, asset: str) -> _Recorded:
        one = self._assets.get(asset)
        if one is None:
            one = self._assets[asset] = _Recorded(time.monotonic())
        return one

    # -- to disk --------------------------------------------------------------------------------------------------

    def _write(self, asset: str) -> None:
        """All of an asset's rows and marks, in one append."""
        one = self._assets[asset] = self._assets.pop(asset)  # to the end
        one.since_s = time.monotonic()
        self._cells -= one.rows.cells
        self.counts += Counter(values_left_out=one.rows.left_out)
        one.rows.left_out = 0
        rows, marks = one.rows.take(), one.marks
        one.marks = []
        if rows is None and not marks:
            return
        data = (b"" if rows is None else encode_rows(rows)) + (encode_marks(marks) if marks else b"")
        lost = Counter(rows_lost=0 if rows is None else len(rows.t_ns), marks_lost=len(marks))
        try:
            first_ns = marks[0].from_ns if rows is None else int(rows.t_ns[0])
            one.path = self._file_for(asset, one.path, first_ns)
            append_whole(one.path, data)
        except OSError as error:
            self.counts += lost
            self._log_change(asset, why(error))
            return
        self.counts += Counter(rows=lost["rows_lost"], marks=len(marks), bytes=len(data), appends=1)
        self._log_change(asset, None)
        self._room.take(len(data))
        if self._room.is_used_up:
            self._room.make()

    def _file_for(self, asset: str, path: Path | None, first_ns: int) -> Path:
        """The present one, while it is of this day and not full; after a start, the last one of this day."""
        folder = self._directory / asset
        day = datetime.fromtimestamp(first_ns // SECOND, UTC).strftime(STEM)[:8]
        if path is None or not path.name.startswith(day):
            newest = max(folder.glob(f"{day}T*{ROWS}"), key=lambda found: found.stat().st_mtime_ns, default=None)
            path = None if newest is None else self._mended(newest)
        if path is None or (path.exists() and path.stat().st_size > min(self._room.file_bytes, FILE_BYTES)):
            return new_path(folder, first_ns, ROWS)
        path.parent.mkdir(parents=True, exist_ok=True)  # the owner may have taken it away meanwhile
        return path

    def _mended(self, path: Path) -> Path | None:
        """Without the block that was cut off at its end. What has rotted before that stays, for whole blocks follow."""
        file = RowsFile(path)
        try:
            for _block in file.blocks():
                pass
        except BadData as fault:
            log.warning("%s; another file is begun", fault)
            return None
        found = file.condition
        if found.end < found.size:
            with path.open("r+b") as torn:
                torn.truncate(found.end)
        self.counts += Counter(tails_cut=int(found.end < found.size), damaged=found.damaged)
        for note in found.notes(path):
            log.warning("%s", note)
        return path

    def _log_change(self, asset: str, fault: str | None) -> None:
        """Rows that begin to be lost, and that are no longer, are logged once."""
        before = self._faults.pop(asset, None)
        if fault is not None:
            self._faults[asset] = fault
            if before is None:
                log.error("%s; rows are not recorded", fault)
        elif before is not None:
            log.info("%s: rows are recorded again", self._directory / asset)
