"""The discrete channels' own part of the graph: how odd what they do is, and which score that is worth.

    window ─ values, pairs, stays, switches ─► oddness of each kind ─ its ladder ─► score, the highest of the four

What a ladder's rungs are is found by counting, see `discrete`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ae.core.model_spec import Floats
from edge_ae_train.scoring.habits import LONGER, Habits

SLACK = 1e-3  # of an oddness: a sum of single precision
NEVER = 1e9  # no oddness is as large

Doubles = NDArray[np.float64]


class HabitOddness(nn.Module):
    """How odd the discrete channels of a window are: by value, together, by their stay, and by their switches."""

    KINDS = 4

    def __init__(self, habits: Habits, length: int) -> None:
        super().__init__()
        known = habits.vocabulary
        self._constant("channels", np.array(known.channels, np.int64))
        self._constant("owner", known.owner)
        self._constant("value", known.value)
        self._constant("reach", known.reach)
        self._constant("belongs", np.eye(len(known.channels), dtype=np.float32)[known.owner])
        self._constant("longest", (LONGER * habits.longest + 1.0).astype(np.float32))
        self._constant("most", habits.most + 0.5)
        for name in ("other", "together", "longer", "busier"):
            self._constant(name, getattr(habits, name))
        self._constant("since", np.triu(np.ones((length, length), np.float32)))  # [row, it and later rows]

    channels: Tensor
    owner: Tensor
    value: Tensor
    reach: Tensor
    belongs: Tensor
    longest: Tensor
    most: Tensor
    other: Tensor
    together: Tensor
    longer: Tensor
    busier: Tensor
    since: Tensor

    def _constant(self, name: str, value: NDArray[np.generic]) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)))

    def forward(self, window: Tensor) -> Tensor:
        """[kind, batch, discrete channel] of windows [batch, row, channel] in physical units, NaN where missing."""
        rows = torch.index_select(window, -1, self.channels)
        newest = rows[:, -2:]  # one row alone may be the mean of two values
        near = (torch.index_select(newest, -1, self.owner) - self.value).abs() <= torch.index_select(
            self.reach, 0, self.owner
        )
        has = near.to(window.dtype)
        elsewhere = (1.0 - has @ self.belongs) * (~torch.isnan(newest)).to(window.dtype)
        now = has[:, -1]
        pairs = (now * (now @ self.together)) @ self.belongs
        return torch.stack([elsewhere.amin(1) * self.other, pairs, self._stay(rows, now), self._switches(rows)])

    def _stay(self, rows: Tensor, now: Tensor) -> Tensor:
        """[batch, discrete channel]: of those that have been as they are for longer than ever."""
        differs = ((rows - rows[:, -1:]).abs() > self.reach).to(now.dtype)
        stay = (self.since @ differs < 0.5).to(now.dtype).sum(1)
        longer = (torch.index_select(stay, -1, self.owner) > self.longest).to(now.dtype)
        return (now * longer * self.longer) @ self.belongs

    def _switches(self, rows: Tensor) -> Tensor:
        """[batch, discrete channel]: of those that have switched more often than ever."""
        switches = ((rows[:, 1:] - rows[:, :-1]).abs() > self.reach).to(rows.dtype).sum(1)
        return (switches > self.most).to(rows.dtype) * self.busier


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """From an oddness of `odd` [rung] on, the score is `score` [rung], at least; both rise."""

    odd: Doubles
    score: Doubles


class DiscreteScore(nn.Module):
    """The score of the discrete channels of a window, in the unit of the others' score."""

    def __init__(self, oddness: HabitOddness, ladders: Sequence[Ladder], channels: int) -> None:
        """`ladders`: one a kind. `channels`: of a window."""
        super().__init__()
        self.oddness = oddness
        rungs = max(len(ladder.odd) for ladder in ladders)
        self._constant("odd", [_padded(ladder.odd - SLACK, rungs, NEVER) for ladder in ladders])
        self._constant("score", [_padded(ladder.score, rungs, 0.0) for ladder in ladders])
        self.register_buffer("spread", torch.eye(channels)[oddness.channels])

    odd: Tensor
    score: Tensor
    spread: Tensor

    def _constant(self, name: str, rows: Sequence[Floats]) -> None:
        self.register_buffer(name, torch.from_numpy(np.stack(rows)[:, None]))

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Score [batch], and by channel [batch, channel] what makes it, of windows in physical units."""
        oddness = self.oddness(window)
        worth = torch.where(oddness.amax(2, keepdim=True) >= self.odd, self.score, 0.0).amax(2)
        score = worth.amax(0)
        loudest = (worth >= score).to(window.dtype)[..., None]
        return score, (loudest * oddness).sum(0) @ self.spread


def _padded(values: Doubles, length: int, filling: float) -> Floats:
    padded: Floats = np.pad(values, (0, length - len(values)), constant_values=filling).astype(np.float32)
    return padded
