"""Too many alerts at once -> one. More than `limit` new alerts of a node within `window_ns` of event time are more than
a person can handle (ISA-18.2); from then on new ones are withheld and one summary tells of them all.

    calm ── more than `limit` new alerts in a window ──► flood ── half of it or fewer in a window ──► calm

An alert whose beginning was withheld stays silent to its end; the retained state of its asset is true all the while.
A moving window is kept as the times of the last `limit` new alerts: event times of different assets need no order.
"""

import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Any

from edge_ae.core.events import AlertEvent, EventType
from edge_ae.core.timestamps import SECOND, rfc3339

MAX_WITHHELD = 10_000  # open alerts remembered; each asset has one at most
ASSETS_LISTED = 16
UPDATE_EVERY_NS = 60 * SECOND


class Flood:
    """One node's flood limit. `push` gives back what may be told: the event itself, a summary, or nothing."""

    def __init__(self, node: str, limit: int, window_ns: int) -> None:
        self.withheld = 0  # new alerts not told since the beginning
        self._node = node
        self._limit = limit
        self._window = window_ns
        self._recent: deque[int] = deque(maxlen=max(limit, 1))
        self._silent: dict[str, None] = {}  # ids of open alerts that were withheld
        self._episode: dict[str, Any] | None = None

    @property
    def active(self) -> bool:
        return self._episode is not None

    def push(self, event: AlertEvent, t_ns: int) -> list[AlertEvent]:
        if self._limit <= 0:
            return [event]
        if event.type is EventType.NEW:
            return self._new(event, t_ns)
        if event.id not in self._silent:
            return [event]
        if event.type is EventType.END:
            del self._silent[event.id]
        return []

    def tick(self, t_ns: int) -> list[AlertEvent]:
        """Event time has gone on; the flood may be over."""
        if self._episode is None or 2 * self._within(t_ns) > self._limit:
            return []
        ended = self._summary(EventType.END, t_ns)
        self._episode = None
        return [ended]

    def _new(self, event: AlertEvent, t_ns: int) -> list[AlertEvent]:
        over = self._within(t_ns) >= self._limit
        self._recent.append(t_ns)
        if self._episode is None and not over:
            return [event]
        self._withhold(event)
        if self._episode is None:
            identity = hashlib.sha256(f"{self._node}\nflood\n{t_ns}\n{event.id}".encode()).hexdigest()[:16]
            self._episode = {"id": identity, "since": t_ns, "told": t_ns, "seq": 0, "count": 1, "assets": [event.asset]}
            return [self._summary(EventType.NEW, t_ns)]
        self._count(event.asset)
        return [self._summary(EventType.UPDATE, t_ns)] if t_ns - self._episode["told"] >= UPDATE_EVERY_NS else []

    def _withhold(self, event: AlertEvent) -> None:
        self.withheld += 1
        if len(self._silent) >= MAX_WITHHELD:
            del self._silent[next(iter(self._silent))]
        self._silent[event.id] = None

    def _count(self, asset: str) -> None:
        assert self._episode is not None
        self._episode["count"] += 1
        if asset not in self._episode["assets"] and len(self._episode["assets"]) < ASSETS_LISTED:
            self._episode["assets"].append(asset)

    def _within(self, t_ns: int) -> int:
        return sum(abs(t_ns - recent) < self._window for recent in self._recent)

    def _summary(self, kind: EventType, t_ns: int) -> AlertEvent:
        episode = self._episode
        assert episode is not None
        episode["seq"] += 1
        episode["told"] = t_ns
        body = {
            "schema": 1,
            "id": episode["id"],
            "type": str(kind),
            "node": self._node,
            "count": episode["count"],
            "assets": list(episode["assets"]),
            "ts_onset": rfc3339(episode["since"]),
            "ts": rfc3339(t_ns),
            "reason": f"more than {self._limit} new alerts within {self._window // SECOND} s: "
            f"{episode['count']} not told one by one",
            "seq": episode["seq"],
        }
        return AlertEvent("", kind, episode["id"], episode["seq"], body)

    def snapshot(self) -> dict[str, Any]:
        return {
            "withheld": self.withheld,
            "recent": list(self._recent),
            "silent": list(self._silent),
            "episode": self._episode,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.withheld = state["withheld"]
        self._recent = deque(state["recent"], maxlen=max(self._limit, 1))
        self._silent = dict.fromkeys(state["silent"])
        self._episode = None if state["episode"] is None else dict(state["episode"])
