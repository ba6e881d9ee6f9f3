"""Too many alerts at once -> one. More than `limit` new alerts of a node within `window_ns` of event time are more than
a person can handle (ISA-18.2); from then on new ones are withheld and one summary stands for them all.

    calm ── more than `limit` new alerts in a window ──► flood ── half of it or fewer in a window ──► calm

An alert whose beginning was withheld stays silent to its end; the retained state of its asset is true all the while.
A moving window is kept as the times of the last `limit` new alerts: event times of different assets need no order.
"""

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_ae.core.alert_events import AlertEvent, EventType, FloodSummary
from edge_ae.core.timestamps import SECOND

MAX_WITHHELD = 10_000  # open alerts remembered; each asset has one at most
ASSETS_LISTED = 16
SUMMARY_EVERY_NS = 60 * SECOND  # updates of a summary are at least this far apart


@dataclass(frozen=True, slots=True)
class _OpenFlood:
    """One flood. `published_ns`: when its last summary was; `count`, `assets`: of the new alerts withheld."""

    id: str
    onset_ns: int
    published_ns: int
    seq: int
    count: int
    assets: tuple[str, ...]


class Flood:
    """One node's flood limit; `limit` 0: there is none."""

    def __init__(self, node: str, limit: int, window_ns: int) -> None:
        self.withheld = 0  # new alerts not published since the beginning
        self._node = node
        self._limit = limit
        self._window = window_ns
        self._recent: deque[int] = deque(maxlen=max(limit, 1))
        self._silent: dict[str, None] = {}  # ids of open alerts that were withheld
        self._episode: _OpenFlood | None = None

    @property
    def active(self) -> bool:
        """Whether new alerts are being withheld."""
        return self._episode is not None

    def push(self, event: AlertEvent, t_ns: int) -> list[AlertEvent | FloodSummary]:
        """What may be published of an event at an event time: the event itself, a summary, or nothing."""
        if self._limit <= 0:
            return [event]
        if event.type is EventType.NEW:
            return self._new(event, t_ns)
        if event.id not in self._silent:
            return [event]
        if event.type is EventType.END:
            del self._silent[event.id]
        return []

    def tick(self, t_ns: int) -> list[FloodSummary]:
        """Event time has gone on; the flood may be over."""
        episode = self._episode
        if episode is None or 2 * self._within(t_ns) > self._limit:
            return []
        self._episode = None
        return [self._summary(replace(episode, seq=episode.seq + 1), EventType.END, t_ns)]

    def _new(self, event: AlertEvent, t_ns: int) -> list[AlertEvent | FloodSummary]:
        over = self._within(t_ns) >= self._limit
        self._recent.append(t_ns)
        if self._episode is None and not over:
            return [event]
        self._withhold(event)
        if self._episode is None:
            self._episode = self._begun(event, t_ns)
            return [self._summary(self._episode, EventType.NEW, t_ns)]
        episode = self._episode = _counted(self._episode, event.asset)
        if t_ns - episode.published_ns < SUMMARY_EVERY_NS:
            return []
        self._episode = replace(episode, seq=episode.seq + 1, published_ns=t_ns)
        return [self._summary(self._episode, EventType.UPDATE, t_ns)]

    def _begun(self, event: AlertEvent, t_ns: int) -> _OpenFlood:
        identity = hashlib.sha256(f"{self._node}\nflood\n{t_ns}\n{event.id}".encode()).hexdigest()[:16]
        return _OpenFlood(identity, t_ns, t_ns, seq=1, count=1, assets=(event.asset,))

    def _withhold(self, event: AlertEvent) -> None:
        self.withheld += 1
        if len(self._silent) >= MAX_WITHHELD:
            del self._silent[next(iter(self._silent))]
        self._silent[event.id] = None

    def _within(self, t_ns: int) -> int:
        return sum(abs(t_ns - recent) < self._window for recent in self._recent)

    def _summary(self, episode: _OpenFlood, kind: EventType, t_ns: int) -> FloodSummary:
        return FloodSummary(
            node=self._node,
            type=kind,
            id=episode.id,
            seq=episode.seq,
            limit=self._limit,
            window_ns=self._window,
            onset_ns=episode.onset_ns,
            t_ns=t_ns,
            count=episode.count,
            assets=episode.assets,
        )

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {
            "withheld": self.withheld,
            "recent": list(self._recent),
            "silent": list(self._silent),
            "episode": None if self._episode is None else asdict(self._episode),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        self.withheld = state["withheld"]
        self._recent = deque(state["recent"], maxlen=max(self._limit, 1))
        self._silent = dict.fromkeys(state["silent"])
        self._episode = None if state["episode"] is None else _restored(state["episode"])


def _counted(episode: _OpenFlood, asset: str) -> _OpenFlood:
    """One more alert withheld, and its asset listed while there is room."""
    known = asset in episode.assets or len(episode.assets) >= ASSETS_LISTED
    return replace(episode, count=episode.count + 1, assets=episode.assets if known else (*episode.assets, asset))


RENAMED = {"since": "onset_ns", "told": "published_ns"}  # since version 0.1


def _restored(saved: Mapping[str, Any]) -> _OpenFlood:
    facts = {RENAMED.get(name, name): value for name, value in saved.items()}
    return _OpenFlood(**(facts | {"assets": tuple(facts["assets"])}))
