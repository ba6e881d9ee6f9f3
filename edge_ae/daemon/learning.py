"""How far the learning of an asset is whose models are made on this machine, and what is said of it.

    readings ─ push ─► time that they cover ─ progress ─► "learned from 31 of 168 hours; first model at 24 h"

The daemon only counts, and keeps the newest readings, so that the first model finds a whole window. Training is the work of another
process.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings
from edge_ae.core.health_events import AssetHealth, Learning, Watching
from edge_ae.core.model_spec import Model
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.folder_watches import WatchCache
from edge_ae.model.followed_folder import FollowedFolder

HOUR_NS = 3600 * SECOND
LONGEST_STEP_NS = HOUR_NS  # between two readings: what is longer is a gap, of which nothing is learned
RECENT = 1_024  # readings of an asset, for its first window: 64 rows of 16 channels that come one by one
RECENT_ASSETS = 100  # that these are kept of; the others wait for a window to fill


@dataclass(frozen=True, slots=True)
class Goals:
    """After how much time that its readings cover an asset has a model: the first, the second, and one more each so often."""

    first_ns: int
    again_ns: int
    every_ns: int

    def text(self, learned_ns: int, *, has_model: bool) -> str:
        """What was learned of, and when the next model comes."""
        goal_ns = max(self.first_ns, self.again_ns)
        of = f" of {_time(goal_ns)}" if learned_ns < goal_ns else ""
        return f"learned from {_amount(learned_ns, goal_ns)}{of}; {self._next(learned_ns, has_model)}"

    def _next(self, learned_ns: int, has_model: bool) -> str:
        if not has_model:
            return f"first model at {_short(self.first_ns)}"
        if learned_ns < self.again_ns:
            return f"next model at {_short(self.again_ns)}"
        return f"a new model is tried every {_short(self.every_ns)}"


class LearnedTime:
    """Of one asset. `learned_ns`: the event time that its readings cover."""

    def __init__(self) -> None:
        self.learned_ns = 0
        self._newest_ns: int | None = None

    def push(self, t_ns: int) -> None:
        """Take note of a reading."""
        if self._newest_ns is None or t_ns > self._newest_ns:
            step_ns = 0 if self._newest_ns is None else t_ns - self._newest_ns
            self.learned_ns += step_ns if step_ns <= LONGEST_STEP_NS else 0
            self._newest_ns = t_ns

    def snapshot(self) -> list[int | None]:
        """What a restart must know, as plain values."""
        return [self.learned_ns, self._newest_ns]

    def restore(self, state: Any) -> None:
        """Take up where `snapshot` was made."""
        learned_ns, newest_ns = state
        self.learned_ns, self._newest_ns = int(learned_ns), None if newest_ns is None else int(newest_ns)


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


def _amount(learned_ns: int, goal_ns: int) -> str:
    """So much, in the unit of the goal that stands behind it, or with its own."""
    unit_ns = _unit_ns(goal_ns)
    return f"{learned_ns // unit_ns}" if learned_ns < goal_ns else _time(learned_ns)


def _unit_ns(length_ns: int) -> int:
    return HOUR_NS if length_ns >= 2 * HOUR_NS else SECOND


def _time(length_ns: int) -> str:
    unit_ns = _unit_ns(length_ns)
    return f"{length_ns // unit_ns} {'hours' if unit_ns == HOUR_NS else 'seconds'}"


def _short(length_ns: int) -> str:
    unit_ns = _unit_ns(length_ns)
    return f"{length_ns // unit_ns} {'h' if unit_ns == HOUR_NS else 's'}"
