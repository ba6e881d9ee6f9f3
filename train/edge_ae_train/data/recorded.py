"""Recordings of assets that a model already watches: a table for each, with the model's channels, in time.

The files of a recorder, DIR/<asset>/<time>.rows or .csv.gz, are put together again: it begins a new one every day, and in
text with every new channel. Any other file is a series of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.pace import pace_fault
from edge_ae.errors import BadData
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae.store.recording_csv import Table, suspicious_labels
from edge_ae_train.data import clean, series
from edge_ae_train.data.loading import read_tables
from edge_ae_train.data.period import sample_period_ns
from edge_ae_train.progress import SILENT, Reporter


@dataclass(frozen=True)
class Series:
    """One asset's lines, in time, with the model's channels in its order."""

    asset: str
    table: Table


def read(
    paths: Iterable[str | Path],
    spec: ModelSpec,
    columns: ReadOptions = AS_IT_IS,
    reporter: Reporter = SILENT,
) -> list[Series]:
    """BadData in one sentence where a channel of the model is in none of them; notes on what is odd about them."""
    return series_of(read_tables(paths, columns, reporter), spec, reporter)


def series_of(tables: Sequence[Table], spec: ModelSpec, reporter: Reporter = SILENT) -> list[Series]:
    """Of recordings that are read already."""
    _check_channels(tables, spec)
    notes: dict[str, None] = {}  # each once: what is noted of a file is noted of each asset in it
    for table in tables:
        notes |= dict.fromkeys((*table.notes, *clean.time_notes(table), *_label_notes(table, spec)))
    for text in notes:
        reporter.note(text)
    whole = series.joined([_with_channels(table, spec) for table in tables])
    return [Series(series.asset_name(table), clean.in_order(table)) for table in whole]


def require_period(found: Sequence[Series], spec: ModelSpec) -> None:
    """BadData where the lines come at another pace than the model's rows."""
    if spec.hold_rows > 0:  # channels that report on change show no period
        return
    another = pace_fault(sample_period_ns([one.table for one in found]), spec.period_ns)
    if another is not None:
        raise BadData(f"{found[0].table.path}: {another}; for another period train a new model with fit")


def _label_notes(table: Table, spec: ModelSpec) -> Iterator[str]:
    for name in suspicious_labels(table):
        if name not in spec.names:
            yield f"{table.path}: {name!r} looks like a label; with --label {name} it is taken for one"


def _check_channels(tables: Sequence[Table], spec: ModelSpec) -> None:
    there = {name for table in tables for name in table.names}
    missing = [name for name in spec.names if name not in there]
    if missing:
        raise BadData(
            f"{tables[0].path}: the recordings lack {', '.join(missing)}, which the model watches; "
            "for other channels train a new model with fit"
        )


def _with_channels(table: Table, spec: ModelSpec) -> Table:
    """A channel that this file lacks is missing in all its lines; one that the model does not know is left out."""
    return replace(table, names=spec.names, values=series.channels(table, spec.names))
