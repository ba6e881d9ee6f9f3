"""Which assets there are, and where the recordings of each lie: found by listing, read for one asset at a time.

    data/pump-1.csv               an asset, called as the file
    data/pump-2/2026-01.csv ...   an asset, called as the folder; its files are one recording
    data/asset=pump-3/...         with --asset-column asset: a partition of a Parquet dataset, an asset each
    fleet.parquet, fleet.csv      with --asset-column: its values are the assets

A place is a path, or the URI of an object store that pyarrow or fsspec opens; in partitions, files are Parquet.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from edge_ae.errors import BadData
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.table import Table
from edge_ae_train.data import series
from edge_ae_train.data.loading import counting, read_tables
from edge_ae_train.fleet import datasets, lines_of_assets
from edge_ae_train.fleet.datasets import StoredFile


@dataclass(frozen=True, slots=True)
class AssetSource:
    """One asset's recordings. `column`: in which the files name the assets of their lines; None: all lines are its own.

    `fault`: why they cannot be read.
    """

    asset: str
    files: tuple[StoredFile, ...]
    column: str | None = None
    fault: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        """What changes where a recording does."""
        return tuple(file.identity for file in self.files)

    def named(self, text: str) -> str:
        """A sentence with the files' names as the user knows them."""
        for file in self.files:
            if file.origin:
                text = text.replace(file.path, f"{file.origin}, lines of {self.asset}")
        return text

    def table(self, columns: ReadOptions) -> Table:
        """All its lines; those of its files one after the other. BadData in one sentence."""
        if self.fault:
            raise BadData(self.fault)
        tables = list(chain.from_iterable(self._tables(columns)))
        whole = tables[0] if len(tables) == 1 else series.join(tables)
        return replace(whole, assets=None)

    def _tables(self, columns: ReadOptions) -> Iterator[list[Table]]:
        if self.column is None and not any(file.store and file.is_parquet for file in self.files):
            yield self._read(self.files, columns)
            return
        for file in self.files:
            if file.is_parquet:
                yield [datasets.read(file, self.column, self.asset, columns)]
            else:
                yield self._read((file,), columns)

    def _read(self, files: Sequence[StoredFile], columns: ReadOptions) -> list[Table]:
        """All together: a column to ignore need not be in each."""
        with ExitStack() as stack:
            there = {stack.enter_context(datasets.on_this_machine(file)): file for file in files}
            tables = read_tables(there, replace(columns, asset=self.column))
        return [_known_as(there[table.path].path, table) for table in tables]


def _known_as(path: str, table: Table) -> Table:
    notes = tuple(note.replace(str(table.path), path) for note in table.notes)
    return replace(table, path=Path(path), notes=notes)


def find(places: Sequence[str], column: str | None, columns: ReadOptions, parts: Path) -> list[AssetSource]:
    """The assets below the places, in the order of their names as a person counts.

    `column`: that names them. `parts`: a folder for the lines of text files that hold several. BadData where there are none,
    and where two are called alike.
    """
    files = [file for place in places for file in datasets.listed(place)]
    found = list(_by_place(files) if column is None else _by_column(files, column, columns, parts))
    if not found:
        raise BadData(f"{', '.join(places)}: holds no recording ({', '.join(datasets.SUFFIXES)})")
    _require_own_names(found)
    return sorted(found, key=lambda source: counting(source.asset))


def _by_place(files: Iterable[StoredFile]) -> Iterator[AssetSource]:
    folders: dict[str, list[StoredFile]] = {}
    for file in files:
        if file.folder:
            folders.setdefault(file.folder, []).append(file)
        else:
            yield AssetSource(file.stem, (file,))
    for folder, inside in folders.items():
        yield AssetSource(PurePosixPath(folder).name, tuple(inside))


def _by_column(files: Sequence[StoredFile], column: str, columns: ReadOptions, parts: Path) -> Iterator[AssetSource]:
    """An asset's lines may lie in several files: one for each month, with the lines of all."""
    members: dict[str, list[StoredFile]] = {}
    for place, file in enumerate(files):
        try:
            inside = _assets_in(file, column, columns, parts / f"{place}")
        except BadData as fault:  # one broken file of many
            yield AssetSource(file.path, (file,), fault=str(fault))
            continue
        for asset, own in inside.items():
            if asset.strip():
                members.setdefault(asset, []).append(own)
            else:
                nameless = f"{file.path}: has lines without a name in the column {column!r}; they are left out"
                yield AssetSource(f"lines without a name in {file.path}", (file,), fault=nameless)
    for asset, own_files in members.items():
        yield AssetSource(asset, tuple(own_files), column)


def _assets_in(file: StoredFile, column: str, columns: ReadOptions, parts: Path) -> dict[str, StoredFile]:
    """Where the lines of each asset of a file lie. Of partitions the folders say it, and no file is opened; of others their
    column does."""
    if (value := file.partition(column)) is not None:
        return {unquote(value): replace(file, is_partition=True)}
    if file.is_parquet:
        return dict.fromkeys(datasets.values(file, column), file)
    with datasets.on_this_machine(file) as path:
        split = lines_of_assets.split(path, replace(columns, asset=column), parts)
    return {
        asset: StoredFile(str(part), identity=f"{file.identity} {asset}", origin=file.path)
        for asset, part in split.items()
    }


def _require_own_names(found: Sequence[AssetSource]) -> None:
    first: dict[str, AssetSource] = {}
    for source in found:
        other = first.setdefault(source.asset, source)
        if other is not source:
            places = " and ".join(one.files[0].origin or one.files[0].path for one in (other, source))
            raise BadData(
                f"two assets are called {source.asset!r}: {places}; give each folder or file a name of its own"
            )
