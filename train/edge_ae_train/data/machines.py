"""Two machines in one file are never averaged: lines that share their times are parted, or refused in a sentence."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ae.errors import BadData
from edge_ae.store.recording_csv import Table
from edge_ae_train.data.names import names_an_asset

OFTEN = 0.2  # of the lines have the time of the line before, or another number of an asset
MOST_MACHINES = 50
ALWAYS = 0.95  # of the lines that share a time differ in the column that numbers the machines
LEAST_GROUPS = 20  # lines with the time of the line before: of fewer nothing is said
UNLIKE = 3.0  # times the spread of the differences: so far apart are two machines, and not two readings of one


def require_one_machine(tables: Sequence[Table]) -> None:
    """Of tables in time. Raises BadData where a table holds lines of several machines, with what parts them."""
    for table in tables:
        if table.assets is None and (fault := _fault(table)) is not None:
            raise BadData(f"{table.path}: {fault}")


def _fault(table: Table) -> str | None:
    if (named := next(_alternating(table), None)) is not None:
        return (
            f"column {named!r} has another value from line to line, as if it numbered machines: --asset-column {named}, "
            f"or --ignore {named} if it does not"
        )
    again = np.flatnonzero(np.diff(table.t_ns) == 0)
    again = again[_contradicts(table.values[again], table.values[again + 1])]
    if len(again) < max(OFTEN * len(table), LEAST_GROUPS):
        return None
    lines = f"{len(again)} of {len(table)} lines have the time of the line before, and other values"
    if (column := next(_parting(table, again), None)) is not None:
        return f"{lines}; column {column!r} tells them apart as those of several machines: --asset-column {column}"
    if _differ_always(table, again):
        return (
            f"{lines}, as if several machines shared the file: give each a file, or name their column in --asset-column"
        )
    return None


def _contradicts(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether lines give different values to the same channel; one may well hold what the other lacks."""
    return np.asarray((~np.isnan(first) & ~np.isnan(second) & (first != second)).any(axis=1))


def _numbering(table: Table) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Columns of few whole numbers."""
    for name, column in zip(table.names, table.values.T, strict=True):
        few = min(MOST_MACHINES, len(column) // LEAST_GROUPS)
        if (column == np.round(column)).all() and 2 <= len(np.unique(column)) <= few:
            yield name, column


def _alternating(table: Table) -> Iterator[str]:
    """Columns that are named as those of machines are, and go back and forth."""
    for name, column in _numbering(table):
        if names_an_asset(name) and (np.diff(column) != 0.0).mean() >= OFTEN:
            yield name


def _parting(table: Table, again: NDArray[np.intp]) -> Iterator[str]:
    """Columns with a value of its own for each line of the same time."""
    for name, column in _numbering(table):
        if (column[again] != column[again + 1]).mean() >= ALWAYS:
            yield name


def _differ_always(table: Table, again: NDArray[np.intp]) -> bool:
    """Whether some channel of the second line is always above that of the first, or always below."""
    firsts = again[np.diff(again, prepend=-2) > 1]  # the first two lines of each time
    apart = table.values[firsts + 1] - table.values[firsts]
    apart = apart[:, ~np.isnan(apart).any(axis=0)]
    low, middle, high = np.quantile(apart, (0.25, 0.5, 0.75), axis=0)
    return bool((np.abs(middle) > UNLIKE * (high - low)).any())
