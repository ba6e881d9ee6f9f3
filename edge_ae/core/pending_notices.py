"""What rows show beside their windows, such as that channels stopped together, waits here until the windows before it are judged, so that
it makes no difference how many of them are scored at once.
"""

import copy
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Literal

from edge_ae.core.alert_snapshot import condition_of
from edge_ae.core.alert_state import Condition

LEFT: Literal["left"] = "left"  # the state in which the asset is watched
Noticed = Condition | Literal["left"] | None  # None: the condition that stood is over


class PendingNotices:
    """One asset's, in the order of their slots."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Noticed]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, slot: int, noticed: Noticed) -> None:
        """The row of a slot has shown something."""
        self._waiting.append((slot, noticed))

    def take(self, until_slot: int | None) -> Iterator[tuple[int, Noticed]]:
        """What was noticed up to a slot, or all of it."""
        while self._waiting and (until_slot is None or self._waiting[0][0] <= until_slot):
            yield self._waiting.popleft()

    def fork(self) -> "PendingNotices":
        """An independent copy."""
        twin = PendingNotices()
        twin._waiting = copy.copy(self._waiting)
        return twin

    def snapshot(self) -> list[list[Any]]:
        """What a restart must know, as plain values."""
        return [[slot, noticed if isinstance(noticed, str) else saved(noticed)] for slot, noticed in self._waiting]

    def restore(self, state: list[list[Any]]) -> None:
        """Take up where `snapshot` was made."""
        self._waiting = deque((slot, LEFT if isinstance(kept, str) else restored(kept)) for slot, kept in state)


def saved(condition: Condition | None) -> dict[str, Any] | None:
    """As plain values."""
    return None if condition is None else asdict(condition)


def restored(state: Mapping[str, Any] | None) -> Condition | None:
    """The condition whose fields `saved` gave."""
    return None if state is None else condition_of(state)
