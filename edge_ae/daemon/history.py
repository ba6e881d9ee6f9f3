"""An asset's past -> the body of the topic `history`: its alerts of the past days with what people said of them, and what another
budget would have raised.

Alerts that nobody was told of are in it too: of a flood, or suppressed.
"""

from collections.abc import Callable
from typing import Any

import orjson

from edge_ae.core.alert_state import Cause
from edge_ae.core.commands import AskHistory
from edge_ae.core.detector import Detector
from edge_ae.core.payloads import history_payload, past_alert_payload, what_if_payload
from edge_ae.core.peak_hours import PeakHour, higher
from edge_ae.core.timestamps import HOUR, SECOND
from edge_ae.core.what_if import what_if
from edge_ae.store.node_store import NodeStore

DAY_NS = 86_400 * SECOND
ALWAYS_NS = 2**63 - 1
MOST_COUNTED = 1000
"""Alerts of the past days that are looked at for their cause."""


class History:
    """Of the assets of one node, as `store` remembers it."""

    def __init__(self, node: str, store: NodeStore) -> None:
        self._node = node
        self._store = store

    def answer(self, question: AskHistory, detector: Detector, now_ns: int) -> Callable[[int], dict[str, Any]]:
        """What makes the body with so many alerts at most. `now_ns`: the wall's time.

        The days are counted back from the asset's newest score, which may be older than the wall, as in a replay; a clock that
        ran ahead pushes nothing out.
        """
        asset, since_ns = detector.asset, _since_ns(question, detector, now_ns)
        before_ns = ALWAYS_NS if question.before_ns is None else question.before_ns
        feedback = self._store.feedback_on(asset)
        alerts = [
            past_alert_payload(orjson.loads(record.payload), bool(record.announced), feedback.get(record.id))
            for record in self._store.alerts(asset, since_ns, before_ns, question.limit + 1)
        ]
        supposed = what_if(detector, self._hours(detector, since_ns))
        others = what_if_payload(supposed, question.days, self._not_by_score(asset, since_ns))
        return lambda most: history_payload(self._node, asset, alerts[:most], len(alerts) > most, others)

    def _hours(self, detector: Detector, since_ns: int) -> list[PeakHour]:
        """Those kept, and the present one as far as it has come."""
        self._store.peaks.add(detector.asset, detector.peaks.take_over())
        kept = {one.hour: one for one in self._store.peaks.since(detector.asset, since_ns // HOUR)}
        now = detector.peaks.now
        if now is not None and now.t_ns >= since_ns:
            kept[now.hour] = higher(now, kept.get(now.hour, now))
        return [kept[hour] for hour in sorted(kept)]

    def _not_by_score(self, asset: str, since_ns: int) -> int:
        """Alerts that no budget moves: channels that stopped together, an asset that was not watched."""
        found = self._store.alerts(asset, since_ns, ALWAYS_NS, MOST_COUNTED)
        return sum(orjson.loads(record.payload).get("cause", Cause.SCORE) != Cause.SCORE for record in found)


def _since_ns(question: AskHistory, detector: Detector, now_ns: int) -> int:
    return max(min(detector.t_ns, now_ns) - round(question.days * DAY_NS), -ALWAYS_NS)
