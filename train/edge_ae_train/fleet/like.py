"""Classes of like assets, found: proposed by how their channels lie, and kept where a shared model serves as well as their own.

    look      each asset: channels, period, and where each channel lies     ─► proposals: same channels, near each other
    share     each proposal: a model of the first 80 % of all its assets
    serve     each asset: that model against its own of the same rows, on the held-out rest, by the law of `retrain`

An asset for which the shared model is worse has its own. Each step is jobs, so that any engine runs it and a run goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_ae.errors import BadData
from edge_ae_train.fleet.classes import Grouping
from edge_ae_train.fleet.jobs import Engine, FleetJob, JobRow
from edge_ae_train.fleet.ledger import Ledger
from edge_ae_train.fleet.models import ModelFile
from edge_ae_train.fleet.run import run
from edge_ae_train.fleet.sources import AssetSource
from edge_ae_train.fleet.work import FIT, LOOK, SERVE, UNTIL, FitOptions, ServeOptions
from edge_ae_train.progress import SILENT, Reporter
from edge_ae_train.scoring.clusters import linked, silhouette
from edge_ae_train.training_options import AUTO

QUICK = "cva"  # what the test takes where the user leaves the choice: all families for each asset take the night
MOST_GROUPED = 1000  # assets with the same channels: all distances between them are looked at
MOST_CLASSES = 8  # that a group of assets with the same channels is parted into
APART = 0.5  # silhouette from which on groups are apart: also the two halves of one make are, in one channel,
CENTRES_APART = 0.5  # so that their centres must differ by half of what some channel moves by, too


def found_classes(
    sources: Sequence[AssetSource], options: FitOptions, book: Ledger, engine: Engine, reporter: Reporter = SILENT
) -> Grouping:
    """The classes, each asset that is in none alone, and what cannot be read. BadData where nothing can."""
    by_name = {source.asset: source for source in sources}
    looked = run(
        [FleetJob(source.asset, LOOK, (source,), options) for source in sources],
        book.below("look"),
        engine,
        reporter,
    )
    proposals = proposed(looked)
    family = QUICK if options.family == AUTO else options.family
    quick = replace(options, until=UNTIL, family=family, alone=True)
    sharing = [
        FleetJob(name, FIT, tuple(by_name[asset] for asset in members), quick)
        for name, members in proposals.items()
        if len(members) > 1
    ]
    at = book.below("share")
    shared = {row.key: row for row in run(sharing, at, engine, reporter) if row.is_done}
    quick = replace(quick, until=1.0)
    serving = [
        FleetJob(asset, SERVE, (by_name[asset],), ServeOptions(_file(at, shared[name]), quick))
        for name in shared
        for asset in proposals[name]
    ]
    served = {row.key: row for row in run(serving, book.below("serve"), engine, reporter)}
    faults = {row.key: row.reason for row in looked if not row.is_done}
    return grouped(by_name, proposals, served, faults)


def grouped(
    sources: Mapping[str, AssetSource],
    proposals: Mapping[str, Sequence[str]],
    served: Mapping[str, JobRow],
    faults: Mapping[str, str],
) -> Grouping:
    """What is left of the proposals once the shared models were tested, with a sentence on each."""
    members: dict[str, tuple[AssetSource, ...]] = {}
    notes = []
    for name, assets in proposals.items():
        served_well = [one for one in assets if one in served and served[one].facts.get("serves")]
        together = served_well if len(served_well) > 1 else []
        if together:
            members[name] = tuple(sources[one] for one in together)
        shares = set(together)
        alone = [one for one in assets if one not in shares]
        members |= {one: (sources[one],) for one in alone}
        if len(assets) > 1:
            notes.append(f"{name}: a shared model serves {len(together)} of {len(assets)} assets as well as their own")
            notes += [f"{one} has its own: {_why(served.get(one))}" for one in alone]
    if not members:
        raise BadData("no asset can be read: " + "; ".join(dict.fromkeys(faults.values())))
    return Grouping(members, faults, tuple(notes))


def _why(row: JobRow | None) -> str:
    if row is None:
        return "the shared model could not be trained"
    return (
        row.reason or "; ".join(f"with the shared model, {text}" for text in row.facts["worse"]) or "nobody is like it"
    )


def _file(book: Ledger, row: JobRow) -> ModelFile:
    name = row.facts["model"]
    return ModelFile(row.key, str((book.folder / name).absolute()), row.files[name])


# -- proposals -------------------------------------------------------------------------------------------------


def proposed(looked: Sequence[JobRow]) -> dict[str, list[str]]:
    """Groups of assets with the same channels and period that lie near each other, called class-1 and so on by their size."""
    alike: dict[tuple[object, ...], list[JobRow]] = {}
    for row in looked:
        if row.is_done:
            alike.setdefault((*row.facts["channels"], row.facts["period_ns"]), []).append(row)
    groups = [[row.key for row in part] for rows in alike.values() for part in parted(rows)]
    groups.sort(key=lambda group: -len(group))
    return {f"class-{number}": group for number, group in enumerate(groups, start=1)}


def parted(rows: Sequence[JobRow]) -> list[list[JobRow]]:
    """Into as many groups as are farthest apart, by where each channel lies, in units of how far it moves; one where none are."""
    if len(rows) < 3:
        return [list(rows)]
    middles, spreads = (np.array([row.facts[key] for row in rows]) for key in ("middle", "spread"))
    moves = np.median(spreads, axis=0)
    places = (middles - np.median(middles, axis=0)) / np.where(moves > 0, moves, 1.0)
    labels = _labels(places)
    return [
        [row for row, label in zip(rows, labels, strict=True) if label == wanted] for wanted in dict.fromkeys(labels)
    ]


def _labels(places: NDArray[np.float64]) -> list[int]:
    """Of very many assets some are grouped, evenly spread over their names, and each other belongs where its nearest does."""
    some = places[np.linspace(0, len(places) - 1, min(len(places), MOST_GROUPED)).astype(np.int64)]
    labels = _grouped_apart(some)
    if len(some) == len(places):
        return [int(label) for label in labels]
    return [int(labels[np.abs(some - place).max(axis=1).argmin()]) for place in places]


def _grouped_apart(places: NDArray[np.float64]) -> NDArray[np.int64]:
    if len(np.unique(places, axis=0)) < 3:
        return np.zeros(len(places), np.int64)
    best, chosen = APART, np.zeros(len(places), np.int64)
    for _, labels in sorted(linked(places, min(MOST_CLASSES, len(places) - 1)).items()):
        score = silhouette(places, labels)
        if score > best and _nearest_centres(places, labels) >= CENTRES_APART:
            best, chosen = score, labels
    return chosen


def _nearest_centres(places: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """How far the two nearest groups are from each other, in the channel in which they differ most."""
    centres = np.array([places[labels == label].mean(axis=0) for label in np.unique(labels)])
    away = np.abs(centres[:, None] - centres[None]).max(axis=2)
    return float(away[np.triu_indices(len(centres), 1)].min())
