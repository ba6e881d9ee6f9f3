"""What `import edge_ae` offers to programs of others: the daemon's own pipeline, without the daemon.

It adds no behaviour of its own. It turns what a caller has (times of several kinds, mappings, arrays) into what the
core takes, and refuses what the core must not see. For the same readings the answers are those of `edge-ae run` and
`edge-ae score`, and with the same `node` and `asset` so are the ids of the alerts.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ae.core.alert_events import AlertEvent, Withheld
from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.rules import AlertRules, budget_ns
from edge_ae.core.timestamps import seconds_ns, time_ns
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import score_table
from edge_ae.store.recording_csv import Table

Time = int | float | str | datetime | np.generic
FIRST_YEAR, LAST_YEAR = 1678, 2261  # whole years that nanoseconds since 1970 hold; numpy wraps around beyond them
LONGEST_S = 1e9  # 31 years: more than this is a mistake of units


class Columns(Protocol):
    """Whatever gives a column by its name: a dict of arrays, a structured array, a pandas or polars data frame."""

    def __getitem__(self, name: str, /) -> ArrayLike: ...


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What became of a table: an entry for each of its rows, in its order.

    `score`: float64 [row], the distance from normal; NaN where no window ends, as before the first full one.
    `threshold`: float64 [row], the boundary that the score was held against; NaN likewise.
    `alert`: bool [row], whether the asset has an alert as of this row.
    `events`: the beginnings, updates and ends of alerts, in order.
    `counts`: what was not used, by reason, such as `late` or `window_incomplete`; docs/troubleshooting.md explains each.
    """

    score: NDArray[np.float64]
    threshold: NDArray[np.float64]
    alert: NDArray[np.bool_]
    events: tuple[AlertEvent, ...]
    counts: Mapping[str, int]


def load_model(path: str | Path) -> OnnxModel:
    """Read a model file, check it, and try it out on this machine.

    `model.spec` holds what the model knows of itself: its channels and their units, the sample period, the window's
    length. Raises BadModel, with one sentence on what to do, for a file that is absent, damaged, of another
    version, or that this machine's runtime computes wrongly.

        >>> model = load_model("pump.onnx")
        >>> model.spec.names
        ('flow', 'pressure')
        >>> model.spec.period_ns, model.spec.length
        (1000000000, 4)
    """
    return OnnxModel.load(path)


class Detector:
    """One asset, watched as the daemon would: push readings, get scores and alerts.

    `budget`: the alerts that you accept on normal data, a number per hour, day, week, month or year ("1/week").
    `asset`, `node`: the names in alerts; with them the ids of alerts are those of the daemon of that node.
    `on_delay_s`, `off_delay_s`, `deadband`, `lateness_s`: as the settings of these names; in seconds, the deadband as
    a part of the threshold. An on-delay of None is that of the model, an off-delay of None ten of its hops.

    Raises ValueError for a budget, delay or deadband that cannot be. A detector belongs to one thread at a time.

        >>> detector = Detector(load_model("pump.onnx"), budget="1/week", asset="pump-1")
        >>> for second in range(5):
        ...     events = detector.push(1790000000 + second, {"flow": 5.0, "pressure": 2.5})
        >>> [(event.t_ns, event.verdict.ratio < 1.0) for event in events]
        [(1790000003000000000, True)]
    """

    def __init__(
        self,
        model: OnnxModel,
        budget: str = "1/week",
        *,
        asset: str = "asset",
        node: str = "offline",
        on_delay_s: float | None = None,
        off_delay_s: float | None = None,
        deadband: float = 0.2,
        lateness_s: float = 0.0,
    ) -> None:
        rules = _rules(budget, on_delay_s, off_delay_s, deadband)
        self._asset = asset
        self._names = model.spec.names
        self._watch = Watch(model, rules, _ns("lateness_s", lateness_s))
        self._fleet = Fleet(node)
        self._inner = self._fleet.add(asset, self._watch)

    def push(self, time: Time, values: Mapping[str, float | None]) -> list[Scored | AlertEvent]:
        """Take the readings of one moment; return what they made certain, in order, often nothing.

        `time`: an event time. A number is an epoch time in s, ms, us or ns, whose unit its magnitude shows as in payloads;
        a string is ISO 8601, in UTC where it names no offset; a datetime must have a time zone; numpy's datetime64 is UTC.
        `values`: channel -> value in the model's unit. A channel that is left out, None or NaN is missing; names that the
        model does not know are ignored.

        A row of the model's time grid closes once a later reading arrives, so that a score comes one row after its
        newest reading. Raises ValueError for what is no time or no number, and where `values` has no channel of the model.
        """
        known = {name: _value(name, values[name]) for name in self._names if name in values}
        if not known:
            raise ValueError(f"values: has {', '.join(values) or 'nothing'}, the model needs {', '.join(self._names)}")
        self._fleet.push(Readings(self._asset, _time_ns(time), known), self._watch)
        return self._step()

    def flush(self) -> list[Scored | AlertEvent]:
        """Close the rows that still wait for a later reading: the end of the data.

        >>> detector = Detector(load_model("pump.onnx"))
        >>> sum(len(detector.push(1790000000 + s, {"flow": 5.0, "pressure": 2.5})) for s in range(4))
        0
        >>> len(detector.flush())
        1
        """
        self._fleet.flush()
        return self._step()

    def _step(self) -> list[Scored | AlertEvent]:
        """Without rules, which are an owner's and not a program's, nothing is withheld."""
        return [one for one in self._fleet.step() if not isinstance(one, Withheld)]

    @property
    def counts(self) -> Counter[str]:
        """What was not used, by reason, such as `late`, `duplicate` or `window_incomplete`."""
        return +self._inner.counts


def score(
    model: OnnxModel,
    table: Columns,
    *,
    time: str = "time",
    budget: str = "1/week",
    asset: str = "asset",
    node: str = "offline",
    on_delay_s: float | None = None,
    off_delay_s: float | None = None,
    deadband: float = 0.2,
) -> Scores:
    """Score a whole table, as `edge-ae score` does with a file: an answer for each row, from it and earlier ones alone.

    `table`: gives columns [row] by name; those of the model's channels are read as floats, NaN where missing, and the
    column `time` as `Detector.push` reads times. The other arguments are those of `Detector`. Raises BadData where a
    column is absent or has another length, ValueError for what is no time or no number.

        >>> import numpy as np
        >>> rows = 60
        >>> table = {"time": 1790000000 + np.arange(rows), "flow": np.full(rows, 5.0), "pressure": np.full(rows, 2.5)}
        >>> table["flow"][40:50] = 40.0
        >>> found = score(load_model("pump.onnx"), table)
        >>> np.flatnonzero(found.alert)[[0, -1]].tolist()
        [40, 59]
        >>> found.events[0].alert.reason
        'flow 40 m3/h, expected 5 (high, 100 % of the deviation)'
    """
    watch = Watch(model, _rules(budget, on_delay_s, off_delay_s, deadband))
    found = score_table(_table(table, time, model.spec), model, watch, node=node, asset=asset)
    return Scores(found.score, found.threshold, found.alert, tuple(found.events), +found.counts)


def _value(name: str, value: float | None) -> float:
    """None is missing, as it is in a table."""
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"values: {name} is {value!r:.40}, which is no number") from None


def _table(columns: Columns, time: str, spec: ModelSpec) -> Table:
    t_ns = _times_ns(_column(columns, time))
    values = [_floats(columns, name) for name in spec.names]
    for name, column in zip(spec.names, values, strict=True):
        if column.shape != t_ns.shape:
            raise BadData(f"table: {name} has the shape {column.shape}, {time} has {t_ns.shape}; one value a row each")
    return Table(Path("table"), list(map(str, t_ns.tolist())), t_ns, spec.names, np.stack(values, axis=1))


def _floats(columns: Columns, name: str) -> NDArray[np.float64]:
    try:
        return np.asarray(_column(columns, name), np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"table: {name} holds what is no number: {error}") from None


def _column(columns: Columns, name: str) -> NDArray[np.generic]:
    try:
        return np.asarray(columns[name])
    except (KeyError, ValueError, IndexError):  # a structured array raises ValueError, a plain one IndexError
        raise BadData(f"table: lacks the column {name}") from None


def _times_ns(column: NDArray[np.generic]) -> NDArray[np.int64]:
    if column.dtype.kind != "M":
        return np.array([_time_ns(value) for value in column.ravel().tolist()], np.int64)
    years = 1970 + column.astype("datetime64[Y]").astype(np.int64)  # of NaT, far below zero
    if not ((years >= FIRST_YEAR) & (years <= LAST_YEAR)).all():
        raise ValueError(f"a time is NaT, or outside {FIRST_YEAR} to {LAST_YEAR}")
    return column.astype("datetime64[ns]").astype(np.int64)


def _time_ns(time: Time) -> int:
    match time:
        case np.datetime64():
            return int(_times_ns(np.array([time]))[0])
        case np.generic():
            return time_ns(time.item())
        case datetime(tzinfo=None):
            raise ValueError(f"{time} has no time zone; give it one, such as tzinfo=UTC")
        case datetime():
            return time_ns(time.isoformat())
        case _:
            return time_ns(time)


def _rules(budget: str, on_delay_s: float | None, off_delay_s: float | None, deadband: float) -> AlertRules:
    if not 0.0 <= deadband < 1.0:
        raise ValueError(f"deadband: {deadband} should be at least 0 and below 1")
    try:
        interval_ns = budget_ns(budget)
    except ValueError as error:
        raise ValueError(f"budget: {budget!r} {error}") from None
    on_delay_ns = None if on_delay_s is None else _ns("on_delay_s", on_delay_s)
    off_delay_ns = None if off_delay_s is None else _ns("off_delay_s", off_delay_s)
    return AlertRules(interval_ns, on_delay_ns, off_delay_ns, deadband)


def _ns(name: str, seconds: float) -> int:
    if not (math.isfinite(seconds) and 0.0 <= seconds < LONGEST_S):
        raise ValueError(f"{name}: {seconds} should be zero or more seconds")
    return seconds_ns(seconds)
