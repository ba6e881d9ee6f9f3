"""What is published of an asset only because somebody asked: its signals, while a page shows it, and its past.

    cmd/view ─► begins, or goes on ─ once a second ─► signals      QoS 0, expires
    cmd/history ───────────────────────────────────► history      QoS 1, one message

A view that is not renewed ends, and none survives a restart: who looks asks again and again. It changes nothing of the watch, and
costs an asset that nobody looks at nothing.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from edge_ae.core.alert_events import Happening
from edge_ae.core.commands import AskHistory, Question, ViewSignals
from edge_ae.core.detector import Detector
from edge_ae.core.events import Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.payloads import signals_payload
from edge_ae.core.signals import AssetView
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.history import History
from edge_ae.errors import BadPayload
from edge_ae.mqtt.link import Link

MOST_VIEWED = 50
"""Assets that are looked at at a time: each of them costs a call of its model a second."""

MOST_BYTES = 128 * 1024
"""Of one answer; brokers may be set to take no more."""

SIGNALS_EXPIRY_S, HISTORY_EXPIRY_S = 10, 60


class _Lease:
    """Until when an asset is viewed, and when it may be shown again. Times are monotonic."""

    def __init__(self, view: AssetView) -> None:
        self.view = view
        self.until_ns = self.due_ns = 0
        self.whole = True  # The next message is to have all rows of the newest window.


class LiveViews:
    """Answers what is asked about a node's assets, on topics that begin with `prefix`."""

    def __init__(self, prefix: str, link: Link, history: History) -> None:
        self._prefix = prefix
        self._link = link
        self._history = history
        self._leases: dict[str, _Lease] = {}

    def __bool__(self) -> bool:
        return len(self._leases) > 0

    def answer(self, question: Question, fleet: Fleet, detector: Detector, now_ns: int) -> None:
        """`now_ns`: monotonic. Raises BadPayload with a sentence for who asks."""
        match question:
            case ViewSignals():
                self._view(question, fleet, detector, now_ns)
            case AskHistory():
                answer = self._history.answer(question, detector, time.time_ns())
                body = _fitting(answer, question.limit)
                self._link.publish(self._topic(detector, "history"), body, 1, expiry_s=HISTORY_EXPIRY_S)

    def _topic(self, detector: Detector, kind: str) -> str:
        return f"{self._prefix}/{detector.asset}/{kind}"

    # -- signals -------------------------------------------------------------------------------------------

    def _view(self, question: ViewSignals, fleet: Fleet, detector: Detector, now_ns: int) -> None:
        self._end_old(now_ns)
        lease = self._leases.get(detector.asset)
        if lease is None:
            if len(self._leases) >= MOST_VIEWED:
                raise BadPayload("bad_command", f"{MOST_VIEWED} assets are viewed now, and no more can be; try later")
            lease = self._leases[detector.asset] = _Lease(AssetView(detector, fleet.model_of(detector)))
        lease.until_ns = max(lease.until_ns, now_ns + question.for_ns)
        lease.whole |= question.whole
        self._show(lease, now_ns)

    def happened(self, happenings: Iterable[Happening]) -> None:
        """Take note of the scores of assets that are viewed."""
        for one in happenings:
            if type(one) is Scored and one.asset in self._leases:
                self._leases[one.asset].view.scored(one.verdict)

    def tick(self, fleet: Fleet, now_ns: int) -> None:
        """Once a second: publish what has become of the assets that are viewed."""
        self._end_old(now_ns)
        for asset in self._leases.keys() - fleet.detectors.keys():
            del self._leases[asset]
        for asset, lease in self._leases.items():
            detector = fleet.detectors[asset]
            if detector is not lease.view.detector:  # the settings were read again: it may have another model
                lease.view, lease.whole = AssetView(detector, fleet.model_of(detector)), True
            self._show(lease, now_ns)

    def _end_old(self, now_ns: int) -> None:
        for asset in [asset for asset, lease in self._leases.items() if lease.until_ns <= now_ns]:
            del self._leases[asset]

    def _show(self, lease: _Lease, now_ns: int) -> None:
        if now_ns < lease.due_ns or not self._link.connected:
            return
        signals = lease.view.look(whole=lease.whole)
        if signals is None:
            return
        lease.due_ns, lease.whole = now_ns + SECOND, False
        body = _fitting(lambda rows: signals_payload(signals.newest(rows)), len(signals))
        self._link.publish(self._topic(lease.view.detector, "signals"), body, expiry_s=SIGNALS_EXPIRY_S)


def _fitting(payload: Callable[[int], dict[str, Any]], most: int) -> bytes:
    """The JSON of a payload of so many parts; of fewer, one at least, where it has more than MOST_BYTES."""
    body = orjson.dumps(payload(most))
    while len(body) > MOST_BYTES and most > 1:
        most = max(min(most * MOST_BYTES // len(body), most - 1), 1)
        body = orjson.dumps(payload(most))
    return body
