"""The models that this machine has made of a stream's assets, each as it is in use now.

    assets.json ─► the class of an asset ─► <class>, a folder of models ─► its model

Looked at every few seconds, for a message may get lost and a file cannot. What cannot be read changes nothing: a model that was in
use stays in use, and one sentence says why. Once a class has a model, which of its folder is in use is followed as in any other folder.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edge_ae.core.expression import Expression
from edge_ae.core.model_spec import Model
from edge_ae.errors import BadModel
from edge_ae.model.assignments import FILE, Assignments, read_assignments
from edge_ae.model.followed_folder import FollowedFolder, followed
from edge_ae.model.onnx_model import CURRENT, MODEL, OnnxModel
from edge_ae.model.registry import Registry

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]  # of a file: it is another one where this has changed


class LearnedModels:
    """Those of one stream, in `folder`. `when`: the state in which its assets are watched; None: as each model says.

    `timed`: what is done to each model that is loaded.
    """

    def __init__(self, folder: Path, when: str | None, timed: Callable[[Model], Model]) -> None:
        self._folder = folder
        self._when = when
        self._timed = timed
        self._stamps: dict[str, Stamp | None] = {}  # of files, by name: as of the last look
        self._known = Assignments()
        self._folders: dict[str, FollowedFolder] = {}  # by class; those that have a model
        self.look()

    @property
    def folders(self) -> Sequence[FollowedFolder]:
        """Those of all classes that have a model."""
        return list(self._folders.values())

    def folder_of(self, asset: str) -> FollowedFolder | None:
        """None: there is no model of it yet."""
        return self._folders.get(self._known.classes.get(asset, ""))

    def note_of(self, asset: str) -> str | None:
        """What keeps its next model from coming, as the learner has said; None: nothing does."""
        return self._known.notes.get(asset)

    def look(self) -> bool:
        """Take up what has changed on disk. Returns whether an asset has its first model now, or is of another class."""
        before = {asset: self.folder_of(asset) for asset in self._known.classes}
        if self._has_changed(FILE):
            self._take_assignments()
        self._take_folders(set(self._known.classes.values()))
        return any(self.folder_of(asset) is not before.get(asset) for asset in self._known.classes)

    def _take_assignments(self) -> None:
        """An asset that has a model keeps it where nothing is said of it any more."""
        try:
            found = read_assignments(self._folder)
        except BadModel as fault:
            log.error("%s", fault)
            return
        self._known = Assignments({**self._known.classes, **found.classes}, found.rounds, found.notes)

    def _take_folders(self, classes: Iterable[str]) -> None:
        for name in sorted(set(classes) - self._folders.keys()):
            if not self._has_changed(f"{name}/{CURRENT}/{MODEL}"):
                continue
            try:
                folder = followed(
                    Registry(self._folder / name), self._load, promotes=True
                )  # nobody is there to be asked
            except BadModel as fault:
                log.error("%s", fault)
            else:
                self._folders[name] = folder
                log.info("%s: the model of %s is in use", folder.name, folder.current.spec.trained_at)

    def _load(self, path: Path) -> Model:
        model = OnnxModel.load(path)
        fault = Expression.of(self._when).unknown(model.spec.names) if self._when else None
        if fault is not None:
            raise BadModel(f"{path}: cannot be watched where {self._when}: {fault}")
        return self._timed(model)

    def _has_changed(self, name: str) -> bool:
        """Since it was asked last. What is behind a link counts."""
        stamp = _stamp(self._folder / name)
        changed = name not in self._stamps or self._stamps[name] != stamp
        self._stamps[name] = stamp
        return changed and stamp is not None


def _stamp(path: Path) -> Stamp | None:
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_ino, known.st_size, known.st_mtime_ns
