"""Recordings of assets that a model already watches: a table for each, with the model's channels, in time.

The files of `edge-ae record`, DIR/<asset>/<time>.csv.gz, are put together again: the recorder begins a new one every day
and with every new channel. Any other file is a series of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from edge_ae_train import data, series
from edge_ae_train.data import PERIOD_CHANGE, duration

from edge_ae.core.types import ModelSpec
from edge_ae.errors import BadData
from edge_ae.table import Table


@dataclass(frozen=True)
class Series:
    """One asset's lines, in time, with the model's channels in its order."""

    asset: str
    table: Table


def read(
    paths: Iterable[str | Path],
    spec: ModelSpec,
    *,
    ignore: Sequence[str] = (),
    label: str | None = None,
    asset_column: str | None = None,
) -> list[Series]:
    """BadData in one sentence where the recordings are not of what the model watches."""
    tables = [
        table
        for path in data.files(paths)
        for table in data.load([path], ignore=ignore, label=label, asset_column=asset_column)
    ]
    _check_channels(tables, spec)
    groups: dict[tuple[Path, str], list[Table]] = {}
    for table in tables:
        groups.setdefault(series.key(table), []).append(_with_channels(table, spec))
    found = [Series(asset, _joined(group)) for (_, asset), group in groups.items()]
    _check_period([one.table for one in found], spec)
    return found


def _check_channels(tables: Sequence[Table], spec: ModelSpec) -> None:
    there = {name for table in tables for name in table.names}
    missing = [name for name in spec.names if name not in there]
    if missing:
        raise BadData(
            f"{tables[0].path}: the recordings lack {', '.join(missing)}, which the current model watches; "
            "for other channels train a new model with fit"
        )


def _with_channels(table: Table, spec: ModelSpec) -> Table:
    """A channel that this file lacks is missing in all its lines; one that the model does not know is left out."""
    nothing = np.full(len(table), np.nan)
    columns = [table.values[:, table.names.index(n)] if n in table.names else nothing for n in spec.names]
    return replace(table, names=spec.names, values=np.column_stack(columns))


def _joined(tables: Sequence[Table]) -> Table:
    """All lines of a series in order of time."""
    t_ns = np.concatenate([table.t_ns for table in tables])
    times = [time for table in tables for time in table.times]
    labels = [table.labels for table in tables if table.labels is not None]
    order = np.argsort(t_ns, kind="stable")
    return Table(
        path=tables[0].path,
        times=[times[line] for line in order],
        t_ns=t_ns[order],
        names=tables[0].names,
        values=np.concatenate([table.values for table in tables])[order],
        labels=np.concatenate(labels)[order] if labels else None,
    )


def _check_period(tables: Sequence[Table], spec: ModelSpec) -> None:
    if spec.hold_rows > 0:  # channels that report on change show no period
        return
    measured = data.sample_period_ns(tables)
    if not 1 / PERIOD_CHANGE < measured / spec.period_ns < PERIOD_CHANGE:
        raise BadData(
            f"{tables[0].path}: a line comes every {duration(measured)}, the current model takes one every "
            f"{duration(spec.period_ns)}; for another period train a new model with fit"
        )
