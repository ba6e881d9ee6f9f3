"""A recording with the daemon's answers, as the sections of a report look at it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.alert_events import AlertEvent
from edge_ae.core.counters import CounterRates
from edge_ae.core.detector import Watch
from edge_ae.core.events import Row
from edge_ae.core.model_spec import Channel, Floats, Kind
from edge_ae.core.payloads import alert_payload
from edge_ae.core.rules import AlertRules
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Result, score_table
from edge_ae.store.recording_csv import Table
from edge_ae_train.data.recorded import Series
from edge_ae_train.data.segments import episodes
from edge_ae_train.progress import SILENT, Reporter
from edge_ae_train.report.pictures import Marks


@dataclass(frozen=True)
class Shown:
    """A recording with the daemon's answers; the columns are the model's `channels` in its order.

    `zone`: in which its times are shown.
    """

    name: str
    table: Table
    result: Result
    alerts: list[dict[str, Any]]
    """the last word on each alert, as subscribers get it"""
    marks: Marks
    zone: tzinfo = UTC
    channels: tuple[Channel, ...] = ()

    @cached_property
    def signals(self) -> NDArray[np.float64]:
        """What the model looks at [line, channel]: the values, and of a counter the rate since the line before."""
        if all(channel.kind != Kind.COUNTER for channel in self.channels):
            return self.table.values
        stage = CounterRates(self.channels, 1)
        rows = zip(self.table.t_ns.tolist(), self.table.values.tolist(), strict=True)
        return np.array([stage.push(Row(t_ns, tuple(values))).values for t_ns, values in rows])

    @property
    def channel_score(self) -> Floats:
        assert self.result.channel_score is not None
        return self.result.channel_score

    @property
    def reconstruction(self) -> Floats:
        assert self.result.reconstruction is not None
        return self.result.reconstruction


def shown_of(
    one: Series, model: OnnxModel, rules: AlertRules, zone: tzinfo = UTC, reporter: Reporter = SILENT
) -> Shown:
    said = reporter.counting(f"scoring {one.asset}")
    result = score_table(one.table, model, Watch(model, rules), asset=one.asset, explained=True, progress=said)
    marks = _marks(one.table, result)
    return Shown(one.asset, one.table, result, _last_words(result.events), marks, zone, model.spec.channels)


def _last_words(events: Iterable[AlertEvent]) -> list[dict[str, Any]]:
    return list({event.id: alert_payload(event.alert) for event in events}.values())


def _marks(table: Table, result: Result) -> Marks:
    labels = np.zeros(len(table), dtype=np.bool_) if table.labels is None else table.labels
    return Marks(_spans(table, result.alert), _spans(table, labels))


def _spans(table: Table, flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end in ns of each run."""
    last = len(table) - 1
    return [(int(table.t_ns[a]), int(table.t_ns[min(b, last)])) for a, b in episodes(flags)]
