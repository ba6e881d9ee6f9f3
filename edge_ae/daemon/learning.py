"""How far the learning of an asset is whose models are made on this machine, and what is said of it.

The daemon only counts the time that readings cover, and keeps the newest readings, so that the first model finds a whole window. Training is
the work of another process.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings
from edge_ae.core.health_events import AssetHealth, Learning, Watching
from edge_ae.core.learned_time import HOUR_NS, Goals, LearnedTime
from edge_ae.core.model_spec import Model
from edge_ae.daemon.folder_watches import WatchCache
from edge_ae.model.followed_folder import FollowedFolder

RECENT = 1_024  # readings of an asset, for its first window: 64 rows of 16 channels that come one by one
RECENT_ASSETS = 100  # that these are kept of; the others wait for a window to fill


class Learners:
    """All assets whose models are made here; `times` by name. The newest readings of those that wait for a model are in `recent`."""

    def __init__(self) -> None:
        self.times: dict[str, LearnedTime] = {}
        self._recent: dict[str, deque[Readings]] = {}

    def push(self, readings: Readings, *, waits: bool) -> None:
        """Take note of an asset's readings. `waits`: it has no model yet."""
        asset = readings.asset
        self.times.setdefault(asset, LearnedTime()).push(readings.t_ns)
        if waits and (asset in self._recent or len(self._recent) < RECENT_ASSETS):
            self._recent.setdefault(asset, deque(maxlen=RECENT)).append(readings)

    def take_recent(self, asset: str) -> list[Readings]:
        """The newest readings of an asset that has its first model now; they are kept no longer."""
        return list(self._recent.pop(asset, ()))

    def adopt(self, times: Mapping[str, LearnedTime]) -> None:
        """Go on with these assets and no others."""
        self.times = dict(times)
        self._recent = {asset: kept for asset, kept in self._recent.items() if asset in self.times}


class AssetModels(Protocol):
    """Where the models of assets come from."""

    @property
    def folders(self) -> Sequence[FollowedFolder]: ...

    def folder_of(self, asset: str, /) -> FollowedFolder | None: ...

    def note_of(self, asset: str, /) -> str | None: ...

    def look(self) -> bool: ...


class LearnedWatches:
    """How the assets of a stream are watched whose models are made here. `watched`: how a model's assets are."""

    def __init__(self, models: AssetModels, goals: Goals, watched: Callable[[Model], Watch]) -> None:
        self.goals = goals
        self.note_of, self.folder_of, self.look = models.note_of, models.folder_of, models.look
        self._models = models
        self._watches = WatchCache(watched)

    @property
    def folders(self) -> Sequence[FollowedFolder]:
        """Those of its classes that have a model."""
        return self._models.folders

    def watch_of(self, asset: str, /) -> Watch | None:
        """None: there is no model of it yet."""
        folder = self.folder_of(asset)
        return None if folder is None else self._watches.of(folder.current, self.folders)

    def beside_of(self, asset: str, /) -> Watch | None:
        """With the model beside the one in use; None: there is none."""
        folder = self.folder_of(asset)
        return None if folder is None or folder.beside is None else self._watches.of(folder.beside, self.folders)


def learning_of(time: LearnedTime, goals: Goals, note: str | None, *, has_model: bool) -> Learning:
    """`note`: what keeps the next model from coming; None: nothing does."""
    text = goals.text(time.learned_ns, has_model=has_model)
    return Learning(time.learned_ns // HOUR_NS, text if note is None else f"{text}; {note}")


def waiting_health(asset: str, node: str, learning: Learning) -> AssetHealth:
    """Of an asset that has no model yet."""
    return AssetHealth(
        asset=asset,
        node=node,
        watched=False,
        fault=None,
        fault_since_ns=None,
        channels=(),
        watching=Watching.LEARNING,
        budget=None,
        reason=learning.text,
        learning=learning,
    )
