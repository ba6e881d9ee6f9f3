"""A recording that comes from another machine, a piece at a time: where it goes on, after an interruption too.

A rows file grows where it lies, for any part of it that holds whole blocks is a recording; what an interruption tore is cut off. A
text file is called as a recording once it is complete.
"""

from pathlib import Path

from edge_ae.core.file_pieces import FilePiece
from edge_ae.errors import BadData
from edge_ae.store.atomic import reason_of
from edge_ae.store.columnar.rows_file import RowsFile
from edge_ae.store.recording_room import ROWS, append_whole

PARTIAL = ".partial"


class FetchedFile:
    """`path`: where the recording goes. `at`: how much of it is here. Raises BadData where the disk does not take it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path if path.suffix == ROWS else path.with_name(path.name + PARTIAL)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.at = self._found()
        except OSError as error:
            raise BadData(f"{path}: cannot be written ({reason_of(error)})") from None

    def append(self, piece: FilePiece) -> None:
        """The next piece. With the last one the file is complete."""
        try:
            append_whole(self._partial, piece.data)
            self.at += len(piece.data)
            if self.at >= piece.size:
                self._partial.replace(self.path)
        except OSError as error:
            raise BadData(
                f"{self.path}: cannot be written ({reason_of(error)}); fetch again to go on from here"
            ) from None

    def _found(self) -> int:
        if self.path.exists() and self.path != self._partial:
            return self.path.stat().st_size
        if not self._partial.exists():
            return 0
        size = self._partial.stat().st_size
        if self.path.suffix != ROWS:
            return size
        end = self._whole()
        if end < size:
            with self.path.open("r+b") as file:
                file.truncate(end)
        return end

    def _whole(self) -> int:
        file = RowsFile(self.path)
        for _block in file.blocks():
            pass
        return file.condition.end
