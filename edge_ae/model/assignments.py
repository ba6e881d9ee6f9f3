"""Which asset of a stream has which of the models that this machine has made: one file, written by the learner and read by the daemon.

state_dir/models/<stream>/assets.json        asset -> class; assets.json.copy is the same
state_dir/models/<stream>/<class>/           a folder of models, as `registry` keeps it
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_ae.errors import BadModel
from edge_ae.store.atomic import reason_of, write_whole

FILE, COPY = "assets.json", "assets.json.copy"
SCHEMA = 1
MOST_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Round:
    """The newest training of a class. `learned_ns`: what there was of the asset with most; `newest`: the time of the newest row;
    `replaced`: the model that came of it was taken."""

    learned_ns: int
    newest: str
    replaced: bool = True


@dataclass(frozen=True, slots=True)
class Assignments:
    """`classes`: of assets. `rounds`: of classes. `notes`: why an asset has no newer model, by its name.
    `tried`: what was learned of an asset when a model was tried last and none came of it."""

    classes: Mapping[str, str] = field(default_factory=dict)
    rounds: Mapping[str, Round] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    tried: Mapping[str, int] = field(default_factory=dict)


def read_assignments(folder: Path) -> Assignments:
    """None are there yet: an empty one. Raises BadModel where neither the file nor its copy is what was written."""
    files = [folder / FILE, folder / COPY]
    if not any(file.exists() for file in files):
        return Assignments()
    faults = []
    for file in files:
        try:
            return _parsed(file.read_bytes()[:MOST_BYTES])
        except OSError as error:
            faults.append(reason_of(error))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            faults.append("is not what edge-ae-train learn writes")
    raise BadModel(f"{files[0]}: {faults[0]}, nor can its copy be read; edge-ae-train learn makes it anew")


def _parsed(data: bytes) -> Assignments:
    facts = json.loads(data)
    if facts["schema"] != SCHEMA:
        raise ValueError(facts["schema"])
    classes, notes = (_texts(facts[key]) for key in ("classes", "notes"))
    rounds = {
        str(name): Round(int(one["learned_ns"]), str(one["newest"]), bool(one["replaced"]))
        for name, one in facts["rounds"].items()
    }
    if any(not _is_folder(name) for name in classes.values()):
        raise ValueError("a class that is no folder's name")
    tried = {str(name): int(learned_ns) for name, learned_ns in facts["tried"].items()}
    return Assignments(classes, rounds, notes, tried)


def _texts(table: Mapping[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in table.values()):
        raise TypeError(table)
    return dict(table)


def _is_folder(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def write_assignments(folder: Path, made: Assignments) -> None:
    """Whole, and a copy behind it: a disk that spoils one has not spoilt both. Raises OSError."""
    data = json.dumps({"schema": SCHEMA, **asdict(made)}, indent=1, sort_keys=True).encode() + b"\n"
    for name in (FILE, COPY):
        write_whole(folder / name, data)
