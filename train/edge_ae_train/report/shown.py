"""A recording with the daemon's answers, as the sections of a report look at it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.alert import AlertRules
from edge_ae.core.detector import Watch
from edge_ae.core.events import AlertEvent
from edge_ae.core.model_spec import Floats
from edge_ae.core.payloads import alert_payload
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Result, score_table
from edge_ae.store.recording_csv import Table
from edge_ae_train.data.recorded import Series
from edge_ae_train.data.segments import episodes
from edge_ae_train.report.pictures import Marks


@dataclass(frozen=True)
class Shown:
    """A recording with the daemon's answers; the columns are the model's channels in its order.

    `zone`: in which its times are shown.
    """

    name: str
    table: Table
    result: Result
    alerts: list[dict[str, Any]]
    """the last word on each alert, as subscribers get it"""
    marks: Marks
    zone: tzinfo = UTC

    @property
    def channel_score(self) -> Floats:
        assert self.result.channel_score is not None
        return self.result.channel_score

    @property
    def reconstruction(self) -> Floats:
        assert self.result.reconstruction is not None
        return self.result.reconstruction


def shown_of(one: Series, model: OnnxModel, rules: AlertRules, zone: tzinfo = UTC) -> Shown:
    result = score_table(one.table, model, Watch(model, rules), asset=one.asset, explained=True)
    return Shown(one.asset, one.table, result, _last_words(result.events), _marks(one.table, result), zone)


def _last_words(events: Iterable[AlertEvent]) -> list[dict[str, Any]]:
    return list({event.id: alert_payload(event.alert) for event in events}.values())


def _marks(table: Table, result: Result) -> Marks:
    labels = np.zeros(len(table), dtype=np.bool_) if table.labels is None else table.labels
    return Marks(_spans(table, result.alert), _spans(table, labels))


def _spans(table: Table, flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end in ns of each run."""
    last = len(table) - 1
    return [(int(table.t_ns[a]), int(table.t_ns[min(b, last)])) for a, b in episodes(flags)]
