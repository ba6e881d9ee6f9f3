"""Rows -> Windows: the law that says which windows are scored, and the stage that makes them from a stream of rows.

    longest_gap    a gap of no more rows than a window holds becomes rows of missing values; a longer one parts the rows
    is_due         the window that ends with slot k is due when k + 1 is a multiple of hop, on the grid that begins at the epoch
    holds_enough   half of its cells at least, and something in its newest row: without that, nothing new is there to judge

A window is whole: it has `length` rows since the start or the last jump in slots. The device asks the law row by row, the
trainer for a whole stretch of rows at once (`scored_ends`), so that calibration sees the windows that the device scores.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.array_text import array_of, text_of
from edge_ae.core.events import Row, Window
from edge_ae.core.model_spec import Floats

MIN_COVERAGE = 0.5  # of a window's cells: with fewer, most of what is scored would be filled in by the model


def longest_gap(length: int) -> int:
    """Rows of the longest gap that is bridged for windows of `length` rows.

    Behind it, half a window of new rows is enough for a score; behind a longer one a whole window is asked for, as at the start.
    """
    return length


@overload
def is_due(slot: int, hop: int) -> bool: ...
@overload
def is_due(slot: NDArray[np.int64], hop: int) -> NDArray[np.bool_]: ...
def is_due(slot: Any, hop: int) -> Any:
    """Whether a window ends with `slot`, one slot or an array of them."""
    return (slot + 1) % hop == 0


@overload
def holds_enough(missing: int, missing_in_newest: int, length: int, channels: int) -> bool: ...
@overload
def holds_enough(
    missing: NDArray[np.int64], missing_in_newest: NDArray[np.int64], length: int, channels: int
) -> NDArray[np.bool_]: ...
def holds_enough(missing: Any, missing_in_newest: Any, length: int, channels: int) -> Any:
    """Whether windows [length, channel] can be judged that lack so many cells, and so many in their newest row."""
    return (missing <= (1.0 - MIN_COVERAGE) * length * channels) & (missing_in_newest < channels)


def scored_ends(first_slot: int, values: Floats, length: int, hop: int) -> NDArray[np.int64]:
    """The rows, in order, with which the windows of a stretch end that a `Windower` would give for it.

    `values` [row, channel]: consecutive rows, of which the first is in `first_slot`; NaN where missing.
    """
    missing = np.isnan(values).sum(axis=1)
    before = np.concatenate([[0], np.cumsum(missing)])
    ends = np.arange(length - 1, len(values), dtype=np.int64)
    enough = holds_enough(before[length:] - before[:-length], missing[ends], length, values.shape[1])
    scored: NDArray[np.int64] = ends[is_due(first_slot + ends, hop) & enough]
    return scored


class Windower:
    """The last `length` rows of one asset, kept twice so that each window is one contiguous copy."""

    def __init__(self, length: int, hop: int, channels: int) -> None:
        self.skipped = 0  # windows that were due and held too little
        self._length = length
        self._hop = hop
        self._buffer = np.full((2 * length, channels), np.nan, np.float32)
        self._restart()

    def _restart(self) -> None:
        self._end = 0  # rows of the buffer in use
        self._slot: int | None = None
        self._missing: deque[int] = deque(maxlen=self._length)
        self._total_missing = 0

    def push(self, row: Row) -> list[Window]:
        """The window that ends with the row, where it is due and holds enough; rows come in the order of their slots."""
        if self._slot is not None and row.slot != self._slot + 1:
            self._restart()
        self._append(row)
        if len(self._missing) < self._length or not is_due(row.slot, self._hop):
            return []
        window = self.newest
        if window is None:
            self.skipped += 1
            return []
        return [window]

    @property
    def is_full(self) -> bool:
        """Whether there is a whole window without a missing value."""
        return self.rows == self._length and self._total_missing == 0

    def push_full(self, rows: NDArray[np.float64]) -> list[Window]:
        """The windows that end with rows [row, channel] without a missing value, in the slots that follow; there `is_full`."""
        assert self._slot is not None
        kept = self._buffer[self._end - self._length + 1 : self._end]
        joined = np.concatenate([kept, rows.astype(np.float32)])
        first = self._slot + 1
        self._buffer[: self._length] = joined[-self._length :]
        self._end, self._slot = self._length, self._slot + len(rows)
        slots = range(first + (-first - 1) % self._hop, first + len(rows), self._hop)
        return [Window(slot, joined[slot - first : slot - first + self._length]) for slot in slots]

    @property
    def rows(self) -> int:
        """How many there are since the start or the last jump in slots, up to `length`."""
        return len(self._missing)

    @property
    def is_empty(self) -> bool:
        """Whether there is no value in them."""
        return self._total_missing == len(self._missing) * self._buffer.shape[1]

    @property
    def newest(self) -> Window | None:
        """The window that ends with the newest row, due or not; None where it is not whole or holds too little."""
        if self.rows < self._length:
            return None
        if not holds_enough(self._total_missing, self._missing[-1], self._length, self._buffer.shape[1]):
            return None
        return self.recent

    @property
    def recent(self) -> Window | None:
        """The rows there are of the newest window, which may be fewer, and need not hold enough to be scored."""
        return (
            None if self._slot is None else Window(self._slot, self._buffer[self._end - self.rows : self._end].copy())
        )

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
        """What a restart must know, as plain values."""
        rows = self._buffer[self._end - len(self._missing) : self._end]
        return {"slot": self._slot, "rows": text_of(rows), "skipped": self.skipped}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        self._restart()
        channels = self._buffer.shape[1]
        rows = array_of(state["rows"], np.float32).reshape(-1, channels)
        first = 0 if state["slot"] is None else state["slot"] - len(rows) + 1
        for index, values in enumerate(rows):
            self._append(Row(first + index, tuple(values.tolist())))
        self.skipped = state["skipped"]
