"""Readings -> Rows on an absolute grid. Knows event time only; the data closes rows, the clock never does.

    event time   ──a──b────c──────────d────────►        slot k covers [k*P - P/2, k*P + P/2)
    slot           41   │   42   │   43   │   44
                        └ row 41 closes when the watermark (latest event time - lateness) enters slot 42

Several readings of a channel in one slot become their mean; `math.fsum` is exact, so the order of arrival does
not show. A slot without readings becomes a row of NaN, as soon as a later row exists; a gap of more than
`max_gap_rows` is not filled: the jump in slots tells the window stage to start anew.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from edge_ae.core.events import Readings, Row
from edge_ae.core.timestamps import SECOND

NAN = math.nan
NEVER = -(2**62)  # before every event time, and every slot of one
LARGEST = 1e300  # a mean takes no part of what is beyond: sums of such overflow, and no sensor says so
MAX_READINGS_PER_SLOT = 4096  # a slot takes this many; more is a misconfigured period, counted as `crowded`
SKEW_NS = 3600 * SECOND  # a sensor whose clock went back by more than this is followed,
SKEW_CONFIRMED = 16  # once this many of its readings in a row say so


class Aligner:
    """One asset's readings on the grid of its model. `counts` holds what was not used, by reason."""

    def __init__(
        self,
        channels: Sequence[str],
        period_ns: int,
        *,
        lateness_ns: int = 0,
        max_gap_rows: int = 0,
        hold_rows: int = 0,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._channels = tuple(channels)
        self._period = period_ns
        self._half = period_ns // 2
        self._lateness = lateness_ns
        self._max_gap = max_gap_rows
        self._hold = hold_rows
        self._restart()

    def _restart(self) -> None:
        self._open: dict[int, list[Readings]] = {}
        self._watermark = NEVER  # latest event time seen
        self._horizon = NEVER  # slots below are closed
        self._last: int | None = None  # slot of the last row made
        self._held: list[tuple[int, float]] = [(NEVER, NAN)] * len(self._channels)
        self._behind = 0

    @property
    def newest_ns(self) -> int:
        """The latest event time there was."""
        return self._watermark

    def push(self, readings: Readings) -> list[Row]:
        slot = (readings.t_ns + self._half) // self._period
        if slot < self._horizon:
            return self._late(readings)
        self._behind = 0
        self._keep(slot, readings)
        if readings.t_ns > self._watermark:
            self._watermark = readings.t_ns
            horizon = (readings.t_ns - self._lateness + self._half) // self._period
            if horizon > self._horizon:
                self._horizon = horizon
                return self._close()
        return []

    def flush(self) -> list[Row]:
        """Close every slot that has readings: the end of a file."""
        if self._open:
            self._horizon = max(self._open) + 1
        return self._close()

    def _keep(self, slot: int, readings: Readings) -> None:
        pending = self._open.get(slot)
        if pending is None:
            self._open[slot] = [readings]
        elif readings.t_ns <= self._watermark and readings in pending:  # in order, there is nothing to compare
            self.counts["duplicate"] += 1
        elif len(pending) >= MAX_READINGS_PER_SLOT:
            self.counts["crowded"] += 1
        else:
            pending.append(readings)

    def _late(self, readings: Readings) -> list[Row]:
        self.counts["late"] += 1
        if self._watermark - readings.t_ns < SKEW_NS:
            self._behind = 0
            return []
        self._behind += 1
        if self._behind < SKEW_CONFIRMED:
            return []
        self.counts["clock_set_back"] += 1
        rows = self.flush()
        self._restart()
        return rows + self.push(readings)

    def _close(self) -> list[Row]:
        rows: list[Row] = []
        for slot in sorted(k for k in self._open if k < self._horizon):
            gap = 0 if self._last is None else slot - self._last - 1
            if 0 < gap <= self._max_gap:
                nothing = [NAN] * len(self._channels)
                rows.extend(self._row(k, nothing) for k in range(slot - gap, slot))
            raw = self._raw(self._open.pop(slot))
            rows.append(self._row(slot, raw))
            self._last = slot
            if self._hold > 0:
                self._held = [
                    last if math.isnan(value) else (slot, value) for value, last in zip(raw, self._held, strict=True)
                ]
        return rows

    def _raw(self, pending: Sequence[Readings]) -> list[float]:
        if len(pending) == 1:
            get = pending[0].values.get
            return [get(name, NAN) for name in self._channels]
        return [_mean(name, pending) for name in self._channels]

    def _row(self, slot: int, raw: list[float]) -> Row:
        if self._hold == 0:
            return Row(slot, tuple(raw))
        oldest = slot - self._hold
        return Row(
            slot,
            tuple(
                last if math.isnan(value) and since >= oldest else value
                for value, (since, last) in zip(raw, self._held, strict=True)
            ),
        )

    def snapshot(self) -> dict[str, Any]:
        return {
            "open": [[r.asset, r.t_ns, dict(r.values)] for group in self._open.values() for r in group],
            "watermark": self._watermark,
            "horizon": self._horizon,
            "last": self._last,
            "held": [list(pair) for pair in self._held],
            "behind": self._behind,
            "counts": dict(self.counts),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._restart()
        for asset, t_ns, values in state["open"]:
            known = {name: NAN if value is None else value for name, value in values.items()}
            self._open.setdefault((t_ns + self._half) // self._period, []).append(Readings(asset, t_ns, known))
        self._watermark, self._horizon, self._last = state["watermark"], state["horizon"], state["last"]
        self._held = [(slot, NAN if value is None else value) for slot, value in state["held"]]
        self._behind = state["behind"]
        self.counts = Counter(state["counts"])


def _mean(name: str, pending: Sequence[Readings]) -> float:
    """Mean over the distinct (time, value) pairs of a channel, so that a reading sent twice counts once."""
    pairs = {(r.t_ns, r.values[name]) for r in pending if name in r.values}
    values = [value for _, value in pairs if -LARGEST < value < LARGEST]
    return math.fsum(values) / len(values) if values else NAN
