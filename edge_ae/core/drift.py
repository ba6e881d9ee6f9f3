"""Whether an asset has slowly moved away from what its model expects: then retraining is advised, and nothing is alarmed.

    quiet window, now and then ─► how far each channel is from what is expected ─► slow mean, slow mean square ─► moved?

Both are in the channel's normal deviations, which the model file has from data that it was not trained on: there the mean is 0 and the
mean square 1. A season, a repaired pump, a sensor that ages: they move one of the two for good, long before there is an alert, and a
threshold that follows drift hides them. Windows of an alert teach nothing here. Fed with one window in many, for it costs
an explanation.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_ae.core.array_text import array_of, text_of
from edge_ae.core.health_events import MovedChannel
from edge_ae.core.model_spec import Explanation, Floats, Kind, ModelSpec

EVERY_LENGTHS = 16  # of a window, from one that is looked at to the next
MEMORY = 64.0  # looks after which a change has been followed by two thirds
LEAST = 32  # looks before anything is said
LEVEL = 1.0  # normal deviations that the mean may be off
SPREAD = 2.0  # times the normal deviation that the values may be off, as the root of the mean square
BACK = 0.7  # of these two: what has moved is back below
MOST = 10.0  # normal deviations: no single look counts for more


class DriftMonitor:
    """Of one asset under one model. A channel whose normal deviation is not known, or that is discrete, is not looked at."""

    def __init__(self, spec: ModelSpec) -> None:
        self._names = spec.names
        self._every = EVERY_LENGTHS * spec.length
        known = [
            one.deviation if one.kind != Kind.DISCRETE and one.deviation > 0.0 else math.nan for one in spec.channels
        ]
        self._deviations = np.array(known)
        self._has_known = bool(np.isfinite(self._deviations).any())
        self._turns = np.array([one.turn if one.turn > 0.0 else math.inf for one in spec.channels])
        self._next_slot: int | None = None
        self._looks = np.zeros(len(known), np.float32)
        self._level = np.zeros(len(known), np.float32)
        self._square = np.ones(len(known), np.float32)
        self.moved: tuple[MovedChannel, ...] = ()

    def wants(self, slot: int) -> bool:
        """Whether it is time for a look; also where event time has gone back. Never where a look would show nothing."""
        following = self._next_slot
        due = following is None or slot >= following or slot < following - self._every
        return due and self._has_known

    def look(self, slot: int, window: Floats, explanation: Explanation) -> None:
        """Learn from a window [length, channel] that no alert is of."""
        self._next_slot = slot + self._every
        off = window.astype(np.float64) - explanation.reconstruction
        turned = np.isfinite(self._turns)
        off[:, turned] -= self._turns[turned] * np.round(off[:, turned] / self._turns[turned])
        there = np.isfinite(off)
        rows = there.sum(axis=0)
        seen = (rows > 0) & np.isfinite(self._deviations)
        off = np.clip(np.where(there, off, 0.0)[:, seen] / self._deviations[seen], -MOST, MOST)
        self._looks[seen] += 1.0
        part = 1.0 / np.minimum(self._looks[seen], MEMORY)
        self._level[seen] += (off.sum(axis=0) / rows[seen] - self._level[seen]) * part
        self._square[seen] += ((off**2).sum(axis=0) / rows[seen] - self._square[seen]) * part
        self._judge()

    def _judge(self) -> None:
        """What has moved stays so until it is well back."""
        before = {one.channel for one in self.moved}
        found = []
        for index, name in enumerate(self._names):
            limit = BACK if name in before else 1.0
            level, spread = float(self._level[index]), math.sqrt(float(self._square[index]))
            if self._looks[index] >= LEAST and (abs(level) >= limit * LEVEL or spread >= limit * SPREAD):
                found.append(MovedChannel(name, round(level, 1), round(spread, 1)))
        self.moved = tuple(found)

    def snapshot(self) -> dict[str, Any] | None:
        """What a restart must know; None: nothing was learned."""
        if self._next_slot is None:
            return None
        columns = (self._looks, self._level, self._square)
        return {
            "next_slot": self._next_slot,
            "columns": [text_of(column) for column in columns],
            "moved": [one.channel for one in self.moved],
        }

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Take up where `snapshot` was made, by the same model."""
        if state is None:
            return
        self._next_slot = state["next_slot"]
        self._looks, self._level, self._square = (array_of(text, np.float32).copy() for text in state["columns"])
        self.moved = tuple(MovedChannel(name, 0.0, 0.0) for name in state["moved"])
        self._judge()
