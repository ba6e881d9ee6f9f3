"""Readings kept on disk for training: `DIR/<asset>/<first time>.csv.gz`, as `edge_ae.store.recording_csv.read_csv` reads them.

    push ─► rows in memory ─ flush ─► 20261123T101500.part ─ finish ─► 20261123T101500.csv.gz

Every flush appends one whole gzip member, so that after a crash all that was flushed is read; what was cut off in the
midst of a write is removed at the next start. A file has fixed columns and belongs to one day: a new channel, a new
day or too many bytes begin the next one. All files together stay below `max_bytes`: the oldest go.
"""

import csv
import gzip
import io
import logging
import os
import time
import zlib
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.store.recording_room import DONE, PART, RecordingRoom, append_whole, new_path, why

log = logging.getLogger(__name__)

DAY_NS = 86_400 * SECOND
FLUSH_S = 10.0  # what a crash may cost
MAX_ROWS = 5_000  # of one asset in memory
LOGGED_CHARS = 1_000  # of an asset's channels

Rows = list[tuple[int, Mapping[str, float]]]


@dataclass(slots=True)
class _Open:
    """One asset's present file, which has `columns`, and the rows that are not in it yet."""

    folder: Path
    flushed_s: float
    rows: Rows = field(default_factory=list)
    columns: tuple[str, ...] = ()
    path: Path | None = None
    day: int = 0
    fault: str | None = None


class Recorder:
    """Takes readings of any asset. A disk that is full or gone costs rows, which are counted, and raises nothing."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.counts: Counter[str] = Counter()
        self._fault: str | None = None
        self._directory = directory
        self._open: dict[str, _Open] = {}  # the one that was flushed longest ago comes first
        self._room = RecordingRoom(directory, max_bytes, self.counts)
        try:
            self.counts += Counter(files_recovered=recover(directory))
        except OSError as error:
            self._fault = why(error)
            log.error("%s; recordings of the last run are left as they are", self._fault)
        self._make_room()

    @property
    def fault(self) -> str | None:
        """Why rows are being lost; None where they are not."""
        return next((file.fault for file in self._open.values() if file.fault is not None), self._fault)

    def push(self, asset: str, t_ns: int, values: Mapping[str, float]) -> None:
        """Keep a row; now and then one asset's rows go to disk, never those of all in one go."""
        if not values:
            return
        now_s = time.monotonic()
        file = self._open.get(asset)
        if file is None:
            file = self._open[asset] = _Open(self._directory / asset, now_s)
        file.rows.append((t_ns, values))
        if len(file.rows) >= MAX_ROWS:
            self._flush(asset)
        oldest = next(iter(self._open))
        if now_s - self._open[oldest].flushed_s > FLUSH_S:
            self._flush(oldest)

    def flush(self) -> None:
        """Bring to disk what is in memory."""
        for asset in list(self._open):
            self._flush(asset)

    def close(self) -> None:
        """Bring everything to disk, under its final name."""
        self.flush()
        for file in self._open.values():
            try:
                _finish(file)
            except OSError as error:
                _log_change(file, why(error))

    def _flush(self, asset: str) -> None:
        file = self._open[asset] = self._open.pop(asset)  # to the end
        file.flushed_s = time.monotonic()
        rows, file.rows = file.rows, []
        try:
            self._write(file, rows)
        except OSError as error:
            self.counts["rows_lost"] += len(rows)
            if _size(file) == 0:
                file.path = None  # its header is not there either
            _log_change(file, why(error))
            return
        self.counts["rows"] += len(rows)
        if rows:
            _log_change(file, None)
        if self._room.is_used_up:
            self._make_room()

    def _write(self, file: _Open, rows: Rows) -> None:
        """Rows of one day, and of columns that the file has, are one member."""
        while rows:
            day = rows[0][0] // DAY_NS
            count = next((i for i, (t_ns, _) in enumerate(rows) if t_ns // DAY_NS != day), len(rows))
            self._append(file, day, rows[:count])
            rows = rows[count:]

    def _append(self, file: _Open, day: int, rows: Rows) -> None:
        names = dict.fromkeys(name for _, values in rows for name in values)
        new = [name for name in names if name not in file.columns]
        if new or day != file.day or _size(file) > self._room.file_bytes:
            _finish(file)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if file.path is None:
            file.columns, file.day = (*file.columns, *new), day
            file.path = new_path(file.folder, rows[0][0], PART)
            if new:
                log.info("recording %s: %s", file.folder.name, ", ".join(file.columns)[:LOGGED_CHARS])
            writer.writerow(["timestamp", *file.columns])
        writer.writerows([_time(t_ns), *(values.get(name, "") for name in file.columns)] for t_ns, values in rows)
        member = gzip.compress(text.getvalue().encode(), compresslevel=6, mtime=0)
        append_whole(file.path, member)
        self._room.take(len(member))

    def _make_room(self) -> None:
        """Where finished files do not suffice, the others are finished, to go next time."""
        if not self._room.make():
            for file in self._open.values():
                with suppress(OSError):
                    _finish(file)


def recover(directory: Path) -> int:
    """Finishes what a crash left: cuts the torn member off, and gives the file its name. Returns how many; raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    recovered = 0
    for path in directory.glob(f"*/*{PART}"):
        keep = whole_members(path.read_bytes())
        if keep == 0:
            path.unlink()
            continue
        with path.open("r+b") as file:
            file.truncate(keep)
        path.rename(path.with_suffix(DONE))
        recovered += 1
    return recovered


def whole_members(data: bytes) -> int:
    """How many of the bytes are whole gzip members."""
    whole = 0
    while whole < len(data):
        member = zlib.decompressobj(wbits=31)
        try:
            member.decompress(data[whole:])
        except zlib.error:
            return whole
        if not member.eof:
            return whole
        whole = len(data) - len(member.unused_data)
    return whole


def _finish(file: _Open) -> None:
    """The file is complete: to disk with it, and under its name."""
    path, file.path = file.path, None
    if path is None or not path.exists():
        return
    with path.open("rb") as whole:
        os.fsync(whole.fileno())
    path.rename(path.with_suffix(DONE))


def _log_change(file: _Open, fault: str | None) -> None:
    """Rows that begin to be lost, and that are no longer, are logged once."""
    if fault is not None and file.fault is None:
        log.error("%s; rows are not recorded", fault)
    elif fault is None and file.fault is not None:
        log.info("%s: rows are recorded again", file.folder)
    file.fault = fault


def _size(file: _Open) -> int:
    return 0 if file.path is None or not file.path.exists() else file.path.stat().st_size


def _time(t_ns: int) -> str:
    """To the millisecond, or where that is not exact to the nanosecond."""
    text = rfc3339(t_ns)
    return text if t_ns % 1_000_000 == 0 else f"{text[:-5]}.{t_ns % SECOND:09d}Z"
