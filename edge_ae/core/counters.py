"""Rows -> rows in which a counter's reading has become its rate, in its unit an hour.

A meter's reading leaves any range that training showed, and single precision cannot hold 123456.789 in steps of 0.001: the
rate is the signal, and is made here, in double precision, before anything looks at the value.

    reading   10.0   10.2    -    10.8     0.1    0.3      after a row without a reading the rise is shared among the rows;
    rise        -     0.2    -     0.3      -     0.2      where the reading falls, at a reset or a new meter, there is none

A lone low reading, after which the count goes on where it was, is left out as if there had been none.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.events import Row
from edge_ae.core.model_spec import Channel, Kind
from edge_ae.core.timestamps import HOUR

DIGITS = 14  # of a reading that double precision holds for sure: a difference has no more decimals than its terms

Count = tuple[int, float]
"""A slot, and the reading in it."""


class CounterRates:
    """One asset's counters. Rows come in the order of their slots; a model without counters gets its rows as they are."""

    def __init__(self, channels: Sequence[Channel], period_ns: int) -> None:
        self._counters = [index for index, channel in enumerate(channels) if channel.kind == Kind.COUNTER]
        self._errors = {index: frozenset(channels[index].error_values) for index in self._counters}
        self._row_hours = period_ns / HOUR
        self._last: dict[int, Count] = {}
        self._before_fall: dict[int, Count] = {}  # the reading from which the newest one fell

    @property
    def there(self) -> bool:
        """Whether there are any."""
        return len(self._counters) > 0

    def push(self, row: Row) -> Row:
        """The row with the rate of each counter in place of its reading; NaN where there is none."""
        if not self._counters:
            return row
        values = list(row.values)
        for index in self._counters:
            values[index] = self._rate(index, row.slot, values[index])
        return Row(row.slot, tuple(values))

    def _rate(self, index: int, slot: int, reading: float) -> float:
        if not math.isfinite(reading) or reading in self._errors[index]:
            return reading if math.isinf(reading) else math.nan
        last, before = self._last.get(index), self._before_fall.pop(index, None)
        if before is not None and reading >= before[1]:
            last = before
        self._last[index] = (slot, reading)
        if last is None or slot <= last[0]:
            return math.nan
        rise = _rise(last[1], reading)
        if rise < 0.0:
            self._before_fall[index] = last
            return math.nan
        return rise / ((slot - last[0]) * self._row_hours)

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        states = {"last": self._last, "before_fall": self._before_fall}
        return {key: [[index, *count] for index, count in state.items()] for key, state in states.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        self._last, self._before_fall = (
            {index: (slot, reading) for index, slot, reading in state[key]} for key in ("last", "before_fall")
        )


def readings_of(rows: NDArray[np.floating], channels: Sequence[Channel], period_ns: int) -> NDArray[np.float64]:
    """Rows [row, channel] as they came, made of those with rates: counters that begin at 0 and have no reading where a rate
    is missing, in which they go on as before."""
    readings = rows.astype(np.float64)
    for index, channel in enumerate(channels):
        if channel.kind == Kind.COUNTER:
            rates = readings[:, index]
            seen = ~np.isnan(rates)
            carried = rates[np.maximum.accumulate(np.where(seen, np.arange(len(rates)), 0))]
            count = np.cumsum(np.nan_to_num(carried)) * (period_ns / HOUR)
            readings[:, index] = np.where(seen, count, np.nan)
    return readings


def _rise(before: float, now: float) -> float:
    """The difference without the noise of its last binary digits, so that equal rises are equal numbers."""
    largest = max(abs(before), abs(now))
    if largest == 0.0:
        return 0.0
    return round(now - before, DIGITS - math.ceil(math.log10(largest)))
