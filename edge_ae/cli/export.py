"""`edge-ae export`: recorded rows as one CSV or Parquet file, by asset and time."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ae.cli.progress import ProgressLine, progress_line
from edge_ae.core.timestamps import parse_time_ns
from edge_ae.errors import BadConfig

if TYPE_CHECKING:
    from edge_ae.store.recording_export import AssetLines
    from edge_ae.store.recordings import RecordedFile

WHAT = "write recorded rows as one CSV or Parquet file"
EXAMPLE = "edge-ae export --from /var/lib/edge-ae/recordings --out pump-7.csv --asset pump-7 --since 2026-11-01"


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--from", dest="folder", type=Path, required=True, metavar="DIR", help="dir of [record]")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .csv, .csv.gz or .parquet")
    parser.add_argument("--asset", help="of this asset alone (default: all, with a column that names them)")
    parser.add_argument("--since", type=_moment, metavar="T", help="rows from this time on, such as 2026-11-01T12:00Z")
    parser.add_argument("--until", type=_moment, metavar="T", help="and up to this one")


def execute(options: Namespace) -> int:
    from edge_ae.store.columnar.rows_file import ALWAYS_NS
    from edge_ae.store.recording_export import export, export_fault, exported_columns
    from edge_ae.store.recordings import recorded_files

    if fault := export_fault(options.out):
        raise BadConfig(fault)
    if options.out.absolute().is_relative_to(options.folder.absolute()):
        raise BadConfig(f"{options.out}: is in the folder that is read, where it would be taken for a recording")
    between_ns = (
        ALWAYS_NS[0] if options.since is None else options.since,
        ALWAYS_NS[1] if options.until is None else options.until,
    )
    files = recorded_files(options.folder, options.asset)
    columns = exported_columns(files, has_asset=options.asset is None)
    with progress_line() as line:
        lines = export(options.out, columns, _parts(files, between_ns, line))
    print(
        f"{options.out}: {lines:,} lines of {len({file.asset for file in files})} assets, {len(columns.names)} channels"
    )
    if lines == 0:
        print("edge-ae: no row was recorded between --since and --until", file=sys.stderr)
    return 0 if lines > 0 else 1


def _parts(files: "Sequence[RecordedFile]", between_ns: tuple[int, int], line: ProgressLine) -> "Iterator[AssetLines]":
    """All lines; notes and progress go to `line`."""
    from edge_ae.store.recording_export import AssetLines
    from edge_ae.store.recordings import tables

    sizes = [_size(file.path) for file in files]
    before = 0

    def counted(file: "RecordedFile", done: int, _all: int) -> None:
        line.at(f"{file.asset}: {file.path.name}", (before + done) / max(sum(sizes), 1))

    for file, size in zip(files, sizes, strict=True):
        for table in tables(file, between_ns, partial(counted, file), line.note):
            yield AssetLines(file.asset, table)
        before += size


def _size(path: Path) -> int:
    """0 of one that has gone, which reading it says."""
    return path.stat().st_size if path.exists() else 0


def _moment(text: str) -> int:
    try:
        return parse_time_ns(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no time: {error}; such as 2026-11-01 or 2026-11-01T12:00:00Z") from None
