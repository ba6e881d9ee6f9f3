"""Rows -> Windows on an absolute grid: the window that ends with slot k is due when (k + 1) is a multiple of hop.

A window is made once `length` rows have been seen since the start or the last jump in slots, and if it holds
enough to be judged: at least half of its cells, and something in its newest row.
"""

from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_ae.core.events import Row, Window

MIN_COVERAGE = 0.5


class Windower:
    """The last `length` rows of one asset, kept twice so that each window is one contiguous copy."""

    def __init__(self, length: int, hop: int, channels: int) -> None:
        self.skipped = 0  # windows that were due and held too little
        self._length = length
        self._hop = hop
        self._buffer = np.full((2 * length, channels), np.nan, np.float32)
        self._most_missing = (1.0 - MIN_COVERAGE) * length * channels
        self._restart()

    def _restart(self) -> None:
        self._end = 0  # rows of the buffer in use
        self._slot: int | None = None
        self._missing: deque[int] = deque(maxlen=self._length)
        self._total_missing = 0

    def push(self, row: Row) -> list[Window]:
        if self._slot is not None and row.slot != self._slot + 1:
            self._restart()
        self._append(row)
        if len(self._missing) < self._length or (row.slot + 1) % self._hop != 0:
            return []
        window = self.newest
        if window is None:
            self.skipped += 1
            return []
        return [window]

    @property
    def newest(self) -> Window | None:
        """The window that ends with the newest row, due or not; None where it is not whole or holds too little."""
        if self._slot is None or len(self._missing) < self._length:
            return None
        if self._total_missing > self._most_missing or self._missing[-1] == self._buffer.shape[1]:
            return None
        return Window(self._slot, self._buffer[self._end - self._length : self._end].copy())

    def _append(self, row: Row) -> None:
        if self._end == len(self._buffer):
            self._buffer[: self._length] = self._buffer[self._length :]
            self._end = self._length
        self._buffer[self._end] = row.values
        self._end += 1
        self._slot = row.slot
        missing = len([value for value in row.values if value != value])
        if len(self._missing) == self._length:
            self._total_missing -= self._missing[0]
        self._missing.append(missing)
        self._total_missing += missing

    def snapshot(self) -> dict[str, Any]:
        rows = self._buffer[self._end - len(self._missing) : self._end]
        return {"slot": self._slot, "rows": b64encode(rows.tobytes()).decode(), "skipped": self.skipped}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._restart()
        channels = self._buffer.shape[1]
        rows = np.frombuffer(b64decode(state["rows"]), np.float32).reshape(-1, channels)
        first = 0 if state["slot"] is None else state["slot"] - len(rows) + 1
        for index, values in enumerate(rows):
            self._append(Row(first + index, tuple(values.tolist())))
        self.skipped = state["skipped"]
