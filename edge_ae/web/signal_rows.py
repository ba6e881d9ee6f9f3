"""What the topic `signals` brings of one asset, as rows that a browser can draw: the newest so many, each once.

message ─ SignalRows.take ─► rows        SignalRows.since(cursor) ─► the rows behind it, in columns
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_ae.core.timestamps import MS, parse_time_ns
from edge_ae.web.words import LONGEST_NAME, number, text

ROWS = 900
CHANNELS = 64


@dataclass(slots=True)
class Trace:
    """One channel: what stays the same, and a value a row of what was observed and expected."""

    name: str
    unit: str
    deviation: float | None
    low: float | None
    high: float | None
    observed: deque[float | None] = field(default_factory=lambda: deque(maxlen=ROWS))
    expected: deque[float | None] = field(default_factory=lambda: deque(maxlen=ROWS))


class SignalRows:
    """The newest rows of an asset. `channels`: how many its messages have, of which CHANNELS at most are kept."""

    def __init__(self) -> None:
        self.rows = 0  # that have been taken; the cursor of one who has them all
        self.channels = 0
        self.generation = 0  # grows where the channels are others than before, and all begins anew
        self._newest_ms = -1
        self._times: deque[int] = deque(maxlen=ROWS)
        self._scores: deque[float | None] = deque(maxlen=ROWS)
        self._thresholds: deque[float | None] = deque(maxlen=ROWS)
        self._traces: list[Trace] = []

    def take(self, body: Mapping[str, Any]) -> bool:
        """Take a message in. False: it is none of this topic."""
        times, channels = body.get("ts"), body.get("channels")
        if not isinstance(times, list) or not isinstance(channels, list):
            return False
        try:
            parsed = [parse_time_ns(time) // MS for time in times]
        except (ValueError, TypeError, AttributeError):
            return False
        named = [one for one in channels if isinstance(one, dict)][:CHANNELS]
        self.channels = len(channels)
        self._begin(named, parsed)
        columns = [(_column(one.get("observed")), _column(one.get("expected"))) for one in named]
        scores, thresholds = _column(body.get("score")), _column(body.get("threshold"))
        for row, t_ms in enumerate(parsed):
            if t_ms > self._newest_ms:  # the first message after a new view holds rows that are known
                self._append(row, t_ms, scores, thresholds, columns)
        return True

    @property
    def shown(self) -> int:
        """How many channels are kept."""
        return len(self._traces)

    def since(self, cursor: int) -> dict[str, Any]:
        """The rows behind `cursor`, as far as they are kept, in columns."""
        count = min(max(self.rows - cursor, 0), len(self._times))
        begin = len(self._times) - count
        return {
            "generation": self.generation,
            "ts": list(self._times)[begin:],
            "score": list(self._scores)[begin:],
            "threshold": list(self._thresholds)[begin:],
            "channels": [_columns(trace, begin) for trace in self._traces],
        }

    def _begin(self, named: Sequence[Mapping[str, Any]], times_ms: Sequence[int]) -> None:
        """Begins anew with other channels, as after a change of the model, with rows from before the first that are kept, and
        where the newest is older than what is kept, and none of it: a clock that was ahead has been set back.
        """
        traces = [_trace(one) for one in named]
        others = [(trace.name, trace.unit) for trace in traces] != [(trace.name, trace.unit) for trace in self._traces]
        earlier = (
            bool(times_ms)
            and len(self._times) > 0
            and len(times_ms) > len(self._times)
            and times_ms[0] < self._times[0]
        )
        newest_ms = max(times_ms, default=self._newest_ms)
        set_back = newest_ms < self._newest_ms and newest_ms not in self._times
        if others or earlier or set_back:
            self._traces, self._newest_ms = traces, -1
            self.rows, self.generation = 0, self.generation + 1
            for column in (self._times, self._scores, self._thresholds):
                column.clear()

    def _append(
        self, row: int, t_ms: int, scores: Sequence[Any], thresholds: Sequence[Any], columns: Sequence[Any]
    ) -> None:
        self._newest_ms, self.rows = t_ms, self.rows + 1
        self._times.append(t_ms)
        self._scores.append(_at(scores, row))
        self._thresholds.append(_at(thresholds, row))
        for trace, (observed, expected) in zip(self._traces, columns, strict=True):
            trace.observed.append(_at(observed, row))
            trace.expected.append(_at(expected, row))


def _trace(one: Mapping[str, Any]) -> Trace:
    deviation, low, high = (number(one.get(key)) for key in ("deviation", "low", "high"))
    return Trace(text(one.get("name"), LONGEST_NAME), text(one.get("unit"), 20), deviation, low, high)


def _columns(trace: Trace, begin: int) -> dict[str, Any]:
    return {
        "name": trace.name,
        "unit": trace.unit,
        "deviation": trace.deviation,
        "low": trace.low,
        "high": trace.high,
        "observed": list(trace.observed)[begin:],
        "expected": list(trace.expected)[begin:],
    }


def _column(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _at(column: Sequence[Any], row: int) -> float | None:
    return number(column[row]) if row < len(column) else None
