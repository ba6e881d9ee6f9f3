"""The newest recordings of assets, as much of them as a small machine can hold."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_ae.errors import BadData
from edge_ae.store.recording.options import AS_IT_IS
from edge_ae.store.recording_room import ROWS
from edge_ae_train.fleet import sources
from edge_ae_train.fleet.datasets import StoredFile
from edge_ae_train.fleet.sources import AssetSource

# Of an asset's files, as text: a number takes 3 to 5 bytes there, so that this is a week of 16 channels each second.
MOST_BYTES = 48 * 2**20
DENSER = 3  # in columns it takes 1.5 to 2


class Recordings:
    """Those below the folder that the daemon records to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, AssetSource] | None = None

    def of(self, asset: str) -> AssetSource:
        """Its newest files. BadData where there are none."""
        found = self._all().get(asset)
        if found is None:
            raise BadData(f"{self._folder}: holds no recording of it yet")
        return replace(found, files=newest(found.files))

    def of_those(self, assets: Sequence[str]) -> tuple[AssetSource, ...]:
        """Of the assets that there are recordings of. BadData where there are none."""
        found = [self.of(asset) for asset in assets if asset in self._all()]
        if not found:
            raise BadData(f"{self._folder}: holds no recording of {', '.join(assets)}")
        return tuple(found)

    def _all(self) -> dict[str, AssetSource]:
        if self._found is None:
            self._found = {one.asset: one for one in sources.find([str(self._folder)], None, AS_IT_IS, self._folder)}
        return self._found


def newest(files: tuple[StoredFile, ...], most_bytes: int = MOST_BYTES) -> tuple[StoredFile, ...]:
    """The last of an asset's files in the order of their names, which is that of time; one at least."""
    kept: list[StoredFile] = []
    total = 0
    for file in sorted(files, key=lambda one: one.path, reverse=True):
        size = Path(file.path).stat().st_size if Path(file.path).exists() else 0
        total += DENSER * size if file.path.endswith(ROWS) else size
        if kept and total > most_bytes:
            break
        kept.append(file)
    return tuple(reversed(kept))
