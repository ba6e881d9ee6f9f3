"""The discrete channels' own part of the graph: how odd what they do is, and which score that is worth.

    window ─ values, pairs, stays, switches ─► oddness of each kind ─ its ladder ─► score, the highest of the four

What a ladder's rungs are is found by counting, see `discrete`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from edge_ae_train.scoring.habits import LONGER, Habits

SLACK = 1e-3  # of an oddness: a sum of single precision
NEVER = 1e9  # no oddness is as large

Doubles = NDArray[np.float64]


class HabitOddness:
    """How odd the discrete channels of a window are: by value, together, by their stay, and by their switches."""

    KINDS = 4

    def __init__(self, habits: Habits, length: int) -> None:
        known = habits.vocabulary
        self.channels = np.array(known.channels)
        self._habits, self._owner, self._value, self._reach = habits, known.owner, known.value, known.reach
        self._belongs: Floats = np.eye(len(known.channels), dtype=np.float32)[known.owner]
        self._longest = (LONGER * habits.longest + 1.0).astype(np.float32)
        self._most = (habits.most + 0.5).astype(np.float32)
        self._since = np.triu(np.ones((length, length), np.float32))  # [row, it and later rows]

    def __call__(self, window: Floats) -> Floats:
        """[kind, batch, discrete channel] of windows [batch, row, channel] in physical units, NaN where missing."""
        rows = np.take(window, self.channels, axis=-1)
        newest = rows[:, -2:]  # one row alone may be the mean of two values
        near = np.abs(np.take(newest, self._owner, axis=-1) - self._value) <= self._reach[self._owner]
        has = _ones(near)
        elsewhere = (1.0 - has @ self._belongs) * _ones(~np.isnan(newest))
        now = has[:, -1]
        pairs = (now * (now @ self._habits.together)) @ self._belongs
        values = np.min(elsewhere, axis=1) * self._habits.other
        kinds = [values, pairs, self._stay(rows, now), self._switches(rows)]
        return np.stack(kinds)

    def _stay(self, rows: Floats, now: Floats) -> Floats:
        """[batch, discrete channel]: of those that have been as they are for longer than ever."""
        differs = _ones(np.abs(rows - rows[:, -1:]) > self._reach)
        stay = np.sum(_ones(self._since @ differs < 0.5), axis=1)
        longer = _ones(np.take(stay, self._owner, axis=-1) > self._longest)
        return (now * (longer * self._habits.longer)) @ self._belongs

    def _switches(self, rows: Floats) -> Floats:
        """[batch, discrete channel]: of those that have switched more often than ever."""
        switched = _ones(np.abs(rows[:, 1:] - rows[:, :-1]) > self._reach)
        return _ones(np.sum(switched, axis=1) > self._most) * self._habits.busier


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """From an oddness of `odd` [rung] on, the score is `score` [rung], at least; both rise."""

    odd: Doubles
    score: Doubles


class DiscreteScore:
    """The score of the discrete channels of a window, in the unit of the others' score."""

    def __init__(self, oddness: HabitOddness, ladders: Sequence[Ladder], channels: int) -> None:
        """`ladders`: one a kind. `channels`: of a window."""
        rungs = max(len(ladder.odd) for ladder in ladders)
        self.oddness = oddness
        self.odd = np.stack([_padded(ladder.odd - SLACK, rungs, NEVER) for ladder in ladders])[:, None]
        self.score = np.stack([_padded(ladder.score, rungs, 0.0) for ladder in ladders])[:, None]
        self._spread = np.eye(channels, dtype=np.float32)[oddness.channels]

    def __call__(self, window: Floats) -> tuple[Floats, Floats]:
        """Score [batch], and by channel [batch, channel] what makes it, of windows in physical units."""
        oddness = self.oddness(window)
        reached = np.max(oddness, axis=2, keepdims=True) >= self.odd
        worth = np.max(np.where(reached, self.score, 0.0), axis=2)
        score = np.max(worth, axis=0)
        loudest = _ones(worth >= score)[..., None]
        return score, np.sum(loudest * oddness, axis=0) @ self._spread


def _ones(flags: NDArray[np.bool_]) -> Floats:
    """1 where they are true, 0 elsewhere."""
    return flags.astype(np.float32)


def _padded(values: Doubles, length: int, filling: float) -> Floats:
    padded: Floats = np.pad(values, (0, length - len(values)), constant_values=filling).astype(np.float32)
    return padded
