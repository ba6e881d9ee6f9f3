"""How the assets of a stream are watched whose model is from a folder: with the one in use, and with the one beside it."""

from collections.abc import Callable, Sequence

from edge_ae.core.detector import Watch
from edge_ae.core.model_spec import Model
from edge_ae.model.followed_folder import FollowedFolder


class FolderWatches:
    """How the assets of a stream are watched with the model of a folder. `watched`: how a model's assets are."""

    goals = None

    def __init__(self, folder: FollowedFolder, watched: Callable[[Model], Watch]) -> None:
        self.folder = folder
        self.folders: Sequence[FollowedFolder] = (folder,)
        self._watched = watched
        self._watches: dict[str, Watch] = {}  # by the model's digest

    def watch_of(self, _asset: str, /) -> Watch:
        """With the model in use."""
        return self._watch(self.folder.current)

    def beside_of(self, _asset: str, /) -> Watch | None:
        """With the model beside it; None: there is none."""
        return None if self.folder.beside is None else self._watch(self.folder.beside)

    def folder_of(self, _asset: str, /) -> FollowedFolder:
        """The folder that its model is from."""
        return self.folder

    def note_of(self, _asset: str, /) -> None:
        """Its models are made elsewhere."""
        return

    def look(self) -> bool:
        """What its links say is followed by `rollout`."""
        return False

    def _watch(self, model: Model) -> Watch:
        sha256 = model.spec.sha256
        if sha256 not in self._watches:
            used = {self.folder.running, self.folder.beside_sha256}
            self._watches = {name: one for name, one in self._watches.items() if name in used}
            self._watches[sha256] = self._watched(model)
        return self._watches[sha256]
