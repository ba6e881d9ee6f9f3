"""How much there is to learn an asset's models from, in the time that its readings cover; and how much makes a model due.

    readings ─ push ─► time that they cover ─ Goals ─► "learned from 31 of 168 hours; first model at 24 h"

The daemon counts as readings come, and the learner goes by what it counted: one law for both.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.timestamps import SECOND

LEARNED = "learned"  # in an asset's state: the snapshot of its LearnedTime
HOUR_NS = 3600 * SECOND
LONGEST_STEP_NS = HOUR_NS  # between two readings: what is longer is a gap, of which nothing is learned


@dataclass(frozen=True, slots=True)
class Goals:
    """After how much time that its readings cover an asset has a model: the first, the second, and one more each so often."""

    first_ns: int
    again_ns: int
    every_ns: int

    def next_ns(self, trained_ns: int | None) -> int:
        """When a model is due that follows one of so much; None: there is none yet."""
        if trained_ns is None:
            return self.first_ns
        return self.again_ns if trained_ns < self.again_ns else trained_ns + self.every_ns

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


def covered_ns(t_ns: NDArray[np.int64]) -> int:
    """What LearnedTime counts of readings at these times, which are in order."""
    steps = np.diff(t_ns)
    return int(steps[(steps > 0) & (steps <= LONGEST_STEP_NS)].sum())
