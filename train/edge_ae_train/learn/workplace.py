"""The folder in which a stream's models are made: one trainer at a time, and nothing half after a power cut.

    state_dir/models/.lock                     whoever trains has it
    state_dir/models/<stream>/assets.json      which asset has which class: written last, so that what it names is whole
    state_dir/models/<stream>/<class>/         a folder of models
    state_dir/models/<stream>/.learning/       scratch of a round: gone with it, or before the next one

A class that no asset has is what a round left that was cut off before it was done: it goes, too.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_ae.errors import BadData, BadModel
from edge_ae.model.assignments import FILE, Assignments, read_assignments, write_assignments
from edge_ae.model.registry import Installed, Registry
from edge_ae.store.atomic import reason_of, write_whole

LOCK, SCRATCH, COMPARISONS, DAMAGED = ".lock", ".learning", "comparisons.jsonl", "assets.json.damaged"
COMPARISONS_KEPT = 50


@contextmanager
def alone(models: Path) -> Iterator[None]:
    """While no other trainer is at work below the folder. BadData where one is, or the folder cannot be written."""
    try:
        models.mkdir(parents=True, exist_ok=True)
        lock = os.open(models / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadData(f"{models}: {reason_of(error)}; give it to the user that runs edge-ae") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadData(f"{models}: another edge-ae-train learn is at work here; wait for its end") from None
    else:
        yield
    finally:
        os.close(lock)


class Workplace:
    """Of one stream. `made`: which asset has which class, as it is on disk. `note`: a sentence where that had to begin anew."""

    def __init__(self, folder: Path) -> None:
        """Removes what an interrupted round has left. Raises BadData."""
        self.folder = folder
        self.note: str | None = None
        with _said(folder):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.made = self._read()

    @property
    def scratch(self) -> Path:
        """For the time of a round."""
        return self.folder / SCRATCH

    def _read(self) -> Assignments:
        """Where neither the file nor its copy can be read all begins anew; the classes stay until there are others."""
        try:
            made = read_assignments(self.folder)
        except BadModel as fault:
            (self.folder / FILE).replace(self.folder / DAMAGED)
            self.note = str(fault)
            return Assignments()
        if made.classes:
            self._remove_unused(set(made.classes.values()))
        return made

    def _remove_unused(self, used: set[str]) -> None:
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in used:
                shutil.rmtree(path)

    def keep(self, made: Assignments) -> None:
        """Put down which asset has which class. Raises BadData."""
        if made == self.made:
            return
        with _said(self.folder):
            write_assignments(self.folder, made)
        self.made = made

    def registry(self, name: str) -> Registry:
        """The models of a class."""
        return Registry(self.folder / name)

    def promote(self, name: str, model: bytes) -> Installed:
        """Put a model of a class to use. Raises BadData, and BadModel where it does not prove itself or is unlike the one before."""
        return self.registry(name).promote(self._installed(name, model))

    def try_out(self, name: str, model: bytes) -> Installed:
        """Have a model of a class run beside the one in use; the daemon puts it to use after a time. Raises as `promote` does."""
        return self.registry(name).shadow(self._installed(name, model))

    def _installed(self, name: str, model: bytes) -> str:
        file = self.scratch / "made.onnx"
        with _said(self.folder):
            self.scratch.mkdir(exist_ok=True)
            write_whole(file, model)
        return self.registry(name).install(file)[0].sha256

    def compared(self, name: str, facts: Mapping[str, Any]) -> None:
        """Keep how two models of a class did, beside them; the newest COMPARISONS_KEPT."""
        path = self.folder / name / COMPARISONS
        with _said(self.folder):
            before = path.read_bytes().splitlines(keepends=True) if path.exists() else []
            lines = [*before, json.dumps(facts).encode() + b"\n"][-COMPARISONS_KEPT:]
            write_whole(path, b"".join(lines))

    def free_name(self, wanted: str) -> str:
        """A class's name that is none's yet."""
        names = [wanted, *(f"{wanted}-{number}" for number in range(2, 10_000))]
        return next(name for name in names if not (self.folder / name).exists())

    def clear(self) -> None:
        """The round is over."""
        shutil.rmtree(self.scratch, ignore_errors=True)


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    """The system's faults as one sentence."""
    try:
        yield
    except OSError as error:
        raise BadData(f"{folder}: {reason_of(error)}; the models in use are what they were") from None
