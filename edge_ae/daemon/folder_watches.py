"""How assets are watched whose models are from folders: with the one in use, and with the one beside it."""

from collections.abc import Callable, Sequence

from edge_ae.core.detector import Watch
from edge_ae.core.model_spec import Model
from edge_ae.model.followed_folder import FollowedFolder


class WatchCache:
    """One watch for each model that is in use or beside it. `watched`: how a model's assets are."""

    def __init__(self, watched: Callable[[Model], Watch]) -> None:
        self._watched = watched
        self._watches: dict[str, Watch] = {}  # by the model's digest

    def of(self, model: Model, folders: Sequence[FollowedFolder]) -> Watch:
        """That of a model of one of these folders; those of models that none of them has are let go."""
        sha256 = model.spec.sha256
        if sha256 not in self._watches:
            used = {one for folder in folders for one in (folder.running, folder.beside_sha256)}
            self._watches = {name: one for name, one in self._watches.items() if name in used}
            self._watches[sha256] = self._watched(model)
        return self._watches[sha256]


class FolderWatches:
    """All assets of a stream, with the models of one folder."""

    goals = None

    def __init__(self, folder: FollowedFolder, watched: Callable[[Model], Watch]) -> None:
        self.folders: Sequence[FollowedFolder] = (folder,)
        self._folder = folder
        self._watches = WatchCache(watched)

    def watch_of(self, _asset: str, /) -> Watch:
        """With the model in use."""
        return self._watches.of(self._folder.current, self.folders)

    def beside_of(self, _asset: str, /) -> Watch | None:
        """With the model beside it; None: there is none."""
        return None if self._folder.beside is None else self._watches.of(self._folder.beside, self.folders)

    def folder_of(self, _asset: str, /) -> FollowedFolder:
        """The folder that its model is from."""
        return self._folder

    def note_of(self, _asset: str, /) -> None:
        """Its models are made elsewhere."""
        return

    def look(self) -> bool:
        """What its links say is followed by `rollout`."""
        return False
