"""A folder of models as a daemon follows it: the model in use, and the one that runs beside it, for all streams that have the folder.

    roles of the one beside      SHADOW   a new one, whose alerts are counted before anybody is told of them
                                 NEXT     wanted in use, and not warm yet
                                 FORMER   was in use, and is ready to come back

Only holds what is so; `daemon.rollout` decides.
"""

import logging
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from edge_ae.core.model_spec import Model
from edge_ae.errors import BadModel
from edge_ae.model.registry import Registry
from edge_ae.model.signature import Verify

log = logging.getLogger(__name__)


class Role(StrEnum):
    """Why a model runs beside the one in use."""

    SHADOW = "shadow"
    NEXT = "next"
    FORMER = "former"


class FollowedFolder:
    """`load`: a verified model file, ready to score; raises BadModel. `verify`: where only signed models are taken.

    `refused`: models that the folder's links name and that are not taken up, each with the reason; `note`: what was done last without
    anybody having asked for it; `is_told`: that the one beside has been judged by for as long as was wanted. `promotes`: it is put to
    use then without anybody asking for it.
    """

    def __init__(
        self,
        registry: Registry,
        current: Model,
        load: Callable[[Path], Model],
        verify: Verify | None = None,
        *,
        promotes: bool = False,
    ) -> None:
        self.registry, self.load, self.verify = registry, load, verify
        self.promotes = promotes
        self.current = current
        self.beside: Model | None = None
        self.role = Role.SHADOW
        self.refused: dict[str, str] = {}
        self.note: str | None = None
        self.is_told = False

    @property
    def name(self) -> str:
        """Its path, as the settings have it."""
        return str(self.registry.folder)

    @property
    def running(self) -> str:
        """The SHA-256 of the model in use."""
        return self.current.spec.sha256

    @property
    def beside_sha256(self) -> str | None:
        """That of the one beside it; None: there is none."""
        return None if self.beside is None else self.beside.spec.sha256

    def begin(self, model: Model, role: Role) -> None:
        """Another one runs beside from now on."""
        self.beside, self.role, self.is_told = model, role, False

    def end(self) -> None:
        """None does."""
        self.beside, self.is_told = None, False

    def exchange(self) -> None:
        """What is beside is in use from now on, and what was in use beside it."""
        assert self.beside is not None
        self.current, self.beside = self.beside, self.current
        self.role, self.is_told = Role.FORMER, False


def followed(
    registry: Registry, load: Callable[[Path], Model], verify: Verify | None = None, *, promotes: bool = False
) -> FollowedFolder:
    """A folder with its model in use. Where that cannot be loaded, the one before it is: raises BadModel where neither can."""
    try:
        return FollowedFolder(registry, load(registry.folder), load, verify, promotes=promotes)
    except BadModel as fault:
        current, previous, _ = registry.links()
        if previous is None or previous == current:
            raise
        folder = FollowedFolder(registry, load(registry.path_of(previous)), load, verify, promotes=promotes)
        _turn_back(folder, current, str(fault))
        return folder


def _turn_back(folder: FollowedFolder, current: str | None, why: str) -> None:
    folder.note = f"{why}; model {folder.running[:12]}, which was in use before, is in use again"
    log.error("%s: %s", folder.name, folder.note)
    if current is None:
        return
    folder.refused[current] = why
    try:
        folder.registry.set_back(current, folder.running)
    except BadModel as fault:
        log.warning("the links of the folder stay as they are: %s", fault)
