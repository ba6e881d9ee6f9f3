"""Which assets share a model: each its own, or the classes of a file. (What makes a class of assets is found in `like`.)"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_ae.errors import BadData
from edge_ae.store.atomic import reason_of, whole_text
from edge_ae_train.fleet.jobs import FAILED, FleetJob, JobRow
from edge_ae_train.fleet.sources import AssetSource

HEADER = ("asset", "class")
FILE = "classes.csv"


@dataclass(frozen=True)
class Grouping:
    """`members`: the assets of each class, by its name. `faults`: of assets that are in none, why. `notes`: what is odd."""

    members: Mapping[str, tuple[AssetSource, ...]]
    faults: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def jobs(self, work: str, options: Any) -> list[FleetJob]:
        """One for each class."""
        return [FleetJob(key, work, sources, options) for key, sources in self.members.items()]

    @property
    def rows(self) -> list[JobRow]:
        """Of the assets that are in none."""
        return [JobRow(asset, FAILED, reason) for asset, reason in self.faults.items()]


def by_asset(found: Sequence[AssetSource]) -> Grouping:
    """A class for each."""
    return Grouping({source.asset: (source,) for source in found})


def of_file(path: Path, found: Sequence[AssetSource]) -> Grouping:
    """As a CSV says, with the columns asset and class. BadData where it cannot be read."""
    known = read(path)
    members: dict[str, list[AssetSource]] = {}
    faults: dict[str, str] = {}
    for source in found:
        if (name := known.get(source.asset)) is None:
            faults[source.asset] = f"{path} names no class for it; add a line"
        else:
            members.setdefault(name, []).append(source)
    absent = sorted(set(known) - {source.asset for source in found})
    notes = (f"{path}: no recording of {', '.join(absent[:10])}",) if absent else ()
    if not members:
        raise BadData(f"{path}: names none of the assets, such as {found[0].asset!r}")
    return Grouping({name: tuple(sources) for name, sources in members.items()}, faults, notes)


def read(path: Path, header: tuple[str, str] = HEADER) -> dict[str, str]:
    """What a CSV of two columns, called as the header says, puts beside each asset. BadData where it is not clear."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = reason_of(error) if isinstance(error, OSError) else "it is no CSV in UTF-8"
        raise BadData(f"{path}: cannot be read ({why})") from None
    if not lines or tuple(cell.strip() for cell in lines[0]) != header:
        raise BadData(f"{path}: should begin with the line {','.join(header)}")
    classes: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        cells = [cell.strip() for cell in line]
        if not any(cells):
            continue
        if len(cells) != 2 or not all(cells):
            raise BadData(f"{path}, line {number}: should be one {header[0]}, a comma, and its {header[1]}")
        if classes.setdefault(cells[0], cells[1]) != cells[1]:
            raise BadData(f"{path}, line {number}: {cells[0]!r} has the {header[1]} {classes[cells[0]]!r} already")
    return classes


def left_out(rows: Sequence[JobRow]) -> list[JobRow]:
    """A row for each asset that its class's model was trained without."""
    return [JobRow(asset, FAILED, reason) for row in rows for asset, reason in row.facts.get("left_out", {}).items()]


def write(folder: Path, rows: Sequence[JobRow]) -> None:
    """Which asset has which model, as `of_file` reads it."""
    with whole_text(folder / FILE) as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows((asset, row.key) for row in rows for asset in row.facts.get("assets", ()))
