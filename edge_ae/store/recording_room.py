"""The room that recordings may take in their folder: where it is used up, the oldest files go, of whatever kind they are.

What is in `DIR/<asset>/` under another ending is somebody else's, and is neither counted nor removed.
"""

import errno
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge_ae.core.timestamps import SECOND

DONE, PART = ".csv.gz", ".part"  # of text files: complete, and being written
ROWS = ".rows"
STEM = "%Y%m%dT%H%M%S"  # of a file: when its first row was taken
FILES = 20  # a file takes at most this part of all: so much goes when room is made


_NAME = re.compile(rf"\d{{8}}T\d{{6}}(-\d+)?({re.escape(ROWS)}|{re.escape(DONE)})")


def is_recording(asset: str, name: str) -> bool:
    """Whether these are the names of an asset's folder and of a complete file in it, and of nothing else on this machine."""
    return _NAME.fullmatch(name) is not None and asset not in ("", ".", "..") and not {"/", "\0"} & set(asset)


class RecordingRoom:
    """Bytes that all recordings below `directory` may take. What goes is counted in `counts`, under `files_dropped`."""

    def __init__(self, directory: Path, max_bytes: int, counts: Counter[str]) -> None:
        self.file_bytes = max_bytes // FILES
        self._directory, self._max_bytes, self._counts = directory, max_bytes, counts
        self._left = 0  # bytes that may be written before old files must go

    @property
    def is_used_up(self) -> bool:
        """Whether it is time to make room."""
        return self._left < 0

    def take(self, size: int) -> None:
        """So many bytes were written."""
        self._left -= size

    def make(self) -> bool:
        """Remove the oldest files, those that are being written apart; False where the others do not suffice."""
        files = sorted((found.st_mtime_ns, path, found.st_size) for path, found in self._files())
        total, most = sum(size for *_, size in files), self._max_bytes - self.file_bytes
        for _, path, size in files:
            if total > most and path.suffix != PART:
                with suppress(OSError):  # what cannot go now may go the next time
                    path.unlink()
                    self._counts["files_dropped"] += 1
                    total -= size
        self._left = self._max_bytes - total
        return total <= most

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for end in (DONE, PART, ROWS):
            for path in self._directory.glob(f"*/*{end}"):
                with suppress(OSError):  # the owner may have taken it away meanwhile
                    yield path, path.stat()


def new_path(folder: Path, t_ns: int, end: str) -> Path:
    """A file that begins at this time, in a folder that is made where it is missing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = datetime.fromtimestamp(t_ns // SECOND, UTC).strftime(STEM)
    names = (f"{stem}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 100_000))))
    return next(folder / (n + end) for n in names if not any((folder / (n + e)).exists() for e in (DONE, PART, ROWS)))


def append_whole(path: Path, data: bytes) -> None:
    """In one write, all of it or nothing. Raises OSError."""
    with path.open("ab", buffering=0) as out:
        start = out.tell()
        if out.write(data) != len(data):
            out.truncate(start)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def why(error: OSError) -> str:
    """What failed, and where."""
    return f"{error.filename or 'recording'}: {error.strerror or error}"
