"""Files of recordings on this machine or in an object store: listed, and read, for one asset at a time.

pyarrow opens what it knows (file, s3, gs, hdfs), fsspec any other address where its package is installed. What filters rows
to an asset's is pyarrow.dataset, which reads no more of a Parquet file than it must. A text file in a store is copied to this
machine, a chunk at a time and for as long as it is read: what it means takes several looks at it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from edge_ae.errors import BadData
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.table import Table

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".rows")
OURS = {"classes.csv": "fleet.json", "report.parquet": "report.json"}  # no recording, where fleet wrote it beside that
CHUNK_BYTES = 1 << 20  # of a text file in a store, in memory at once


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`path`: absolute, in its store. `folder`: below the place that was named, that it lies in. `store`: the place's URI;
    empty: this machine. `identity`: its path, size and time of change. `is_partition`: its folders say its asset. `origin`: the
    file that its lines were split from."""

    path: str
    folder: str = ""
    store: str = ""
    identity: str = ""
    is_partition: bool = False
    origin: str = ""

    @property
    def is_parquet(self) -> bool:
        return self.path.endswith(".parquet")

    @property
    def stem(self) -> str:
        return PurePosixPath(self.path).name.removesuffix(".gz").rsplit(".", 1)[0]

    def partition(self, column: str) -> str | None:
        """Of a Hive partition, the value of the column in its folders' names."""
        for part in PurePosixPath(self.folder).parts:
            key, equals, value = part.partition("=")
            if equals and key == column:
                return value
        return None


def listed(place: str) -> Iterator[StoredFile]:
    """The recordings at a place: itself, or those below it. BadData where there is no such place."""
    if "://" in place:
        yield from _listed_in_store(place)
        return
    path = Path(place).absolute()
    if not path.exists():
        raise BadData(f"{place}: is not there; name a folder or a file of recordings")
    if path.is_file():
        yield _local(path, path.parent)
        return
    found = [file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and not _is_hidden(file, path)]
    for file in sorted(found):
        if not file.is_dir() and not _is_ours(file):
            yield _local(file, path)


def _is_hidden(file: Path, root: Path) -> bool:
    """In a folder of scratch files, or one itself."""
    return any(part[0] in "._" for part in file.relative_to(root).parts)


def _is_ours(file: Path) -> bool:
    """What a fleet command wrote for people, into a folder among the recordings."""
    beside = OURS.get(file.name)
    return beside is not None and file.with_name(beside).exists()


def _local(file: Path, root: Path) -> StoredFile:
    folder = str(file.parent.relative_to(root))
    return StoredFile(str(file), "" if folder == "." else folder, identity=_identity(file))


def _identity(file: Path) -> str:
    try:
        known = file.stat()
    except OSError:  # a link that leads nowhere, or just removed: whoever reads it says so, of its asset alone
        return f"{file} gone"
    return f"{file} {known.st_size} {known.st_mtime_ns}"


def _listed_in_store(place: str) -> Iterator[StoredFile]:
    from pyarrow import fs

    store, root = opened(place)
    try:
        info = store.get_file_info(root)
        is_file = info.type == fs.FileType.File
        found = [info] if is_file else store.get_file_info(fs.FileSelector(root, recursive=True))
    except FileNotFoundError:
        raise BadData(f"{place}: is not there; name a folder or a file of recordings") from None
    except Exception as error:  # a store's package raises what it likes: no way in, no such bucket, no network
        raise BadData(f"{place}: cannot be listed ({_first_line(error)})") from None
    for one in sorted(found, key=lambda one: one.path):
        if one.type != fs.FileType.File or not one.path.endswith(SUFFIXES):
            continue
        folder = "" if is_file else str(PurePosixPath(one.path).parent.relative_to(PurePosixPath(root)))
        identity = f"{place} {one.path} {one.size} {one.mtime_ns}"
        yield StoredFile(one.path, "" if folder == "." else folder, place, identity)


def opened(place: str) -> tuple[Any, str]:
    """The file system of a URI, and the path in it. BadData where nothing installed opens it."""
    import pyarrow as pa
    from pyarrow import fs

    try:
        try:
            store, path = fs.FileSystem.from_uri(place)
            return store, path
        except (pa.ArrowInvalid, NotImplementedError):
            from fsspec.core import url_to_fs

            remote, path = url_to_fs(place)
            return fs.PyFileSystem(fs.FSSpecHandler(remote)), path
    except (ImportError, ValueError, OSError) as error:
        raise BadData(f"{place}: cannot be opened ({error}); install what fsspec asks for, such as s3fs") from None


def values(file: StoredFile, column: str) -> list[str]:
    """The different values of a column, read a batch at a time; "" of rows without one."""
    import pyarrow as pa
    from pyarrow import dataset

    try:
        whole = dataset.dataset(file.path, format="parquet", filesystem=_store(file))
        if column not in whole.schema.names:
            raise BadData(f"{file.path}: has no column {column!r}; it has {', '.join(whole.schema.names)}")
        names: set[str] = set()
        for batch in whole.to_batches(columns=[column]):
            found = batch.column(0).unique().to_pylist()
            names.update("" if one is None else str(one) for one in found)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{file.path}: is no readable Parquet file ({_first_line(error)})") from None
    return sorted(names)


def read(file: StoredFile, column: str | None, asset: str, columns: ReadOptions) -> Table:
    """The asset's rows of a file."""
    import pyarrow as pa
    from pyarrow import dataset

    from edge_ae_train.data.parquet import parquet_table

    inside = column is not None and not file.is_partition
    try:
        whole = dataset.dataset(file.path, format="parquet", filesystem=_store(file))
        is_asked = _is(whole.schema.field(column), asset) if inside else None
        wanted = [name for name in whole.schema.names if not (inside and name == column)]
        found = whole.to_table(columns=wanted, filter=is_asked, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{file.path}: is no readable Parquet file ({_first_line(error)})") from None
    ignore = [name for name in columns.ignore if name in wanted]
    return parquet_table(found, Path(file.path), replace(columns, asset=None, ignore=ignore))


def _is(field: Any, asset: str) -> Any:
    """The condition on rows. Without a cast, parts of a file whose statistics exclude the asset are not read at all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pc.field(field.name)
    return (known if pa.types.is_string(field.type) else known.cast(pa.string())) == asset


@contextmanager
def on_this_machine(file: StoredFile) -> Iterator[Path]:
    """The file itself, or a copy of one in a store. Sentences on the copy name the file."""
    if not file.store:
        yield Path(file.path)
        return
    with TemporaryDirectory(prefix="edge-ae-") as scratch:
        copy = Path(scratch, PurePosixPath(file.path).name)
        _copy(file, copy)
        try:
            yield copy
        except BadData as fault:
            raise BadData(str(fault).replace(str(copy), file.path)) from None


def _copy(file: StoredFile, copy: Path) -> None:
    """As it is, compressed or not."""
    try:
        with _store(file).open_input_stream(file.path, compression=None) as source, copy.open("wb") as out:
            while chunk := source.read(CHUNK_BYTES):
                out.write(chunk)
    except Exception as error:  # as in listing
        raise BadData(f"{file.path}: cannot be read ({_first_line(error)})") from None


def _store(file: StoredFile) -> Any:
    return opened(file.store)[0] if file.store else None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
