"""Alarms and events of thin-edge.io, which takes them to its cloud.

    te/device/<asset>///a/anomaly    retained while there is an alert, empty otherwise
    te/device/<asset>///e/anomaly    each step of an alert: new, update, end

An alarm is a state and made true again on each connection. An alert that people have shelved, or that a rule of theirs suppresses, is no alarm.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from edge_ae.core.alert_events import Alert, AlertEvent, Happening
from edge_ae.core.detector import Detector
from edge_ae.core.timestamps import rfc3339

log = logging.getLogger(__name__)

Send = Callable[[str, bytes, int, bool], object | None]
"""Topic, payload, QoS, whether it is retained; gives None where it could not be sent."""

SEVERITIES = {"high": "critical", "medium": "major", "low": "minor"}
"""The words of thin-edge.io for ours."""

PER_TICK = 100
"""Messages in a second of each sort; the others wait for the next one."""

EVENTS_KEPT = 1_000
"""While there is no connection; the oldest go first."""

Shown = tuple[bool, str | None, int]
"""Whether there is an alarm, of which alert, at which of its steps."""


class ThinEdge:
    """`lost`: events that went for want of room."""

    filters: Sequence[tuple[str, int]] = ()

    def __init__(self, send: Send) -> None:
        self.lost = 0
        self._send = send
        self._sent: dict[str, Shown] = {}
        self._events: deque[tuple[str, bytes]] = deque()

    def retained(self, assets: Iterable[str]) -> set[str]:
        """One topic an asset."""
        return {_topic(asset, "a") for asset in assets}

    def connected(self, _detectors: Mapping[str, Detector]) -> None:
        """A broker may have lost its memory, or kept an alarm that is over: all are sent again."""
        self._sent.clear()

    def received(self, _topic: str, _payload: bytes, _retained: bool) -> None:
        """Nothing is listened to."""

    def happened(self, happenings: Sequence[Happening]) -> None:
        """Events go out with the next tick."""
        for one in happenings:
            if isinstance(one, AlertEvent):
                self._events.append((_topic(one.asset, "e"), _event(one)))
        while len(self._events) > EVENTS_KEPT:
            self._events.popleft()
            self.lost += 1
            if self.lost == 1:
                log.warning("events for thin-edge.io are lost: more than %d wait for a connection", EVENTS_KEPT)

    def tick(self, detectors: Mapping[str, Detector], _stats: Callable[[], Mapping[str, Any]], _now_ns: int) -> None:
        """Send what has changed."""
        self._send_alarms(detectors)
        for _ in range(min(len(self._events), PER_TICK)):
            topic, body = self._events[0]
            if self._send(topic, body, 1, False) is None:
                return
            self._events.popleft()

    def _send_alarms(self, detectors: Mapping[str, Detector]) -> None:
        sent = 0
        for asset, detector in detectors.items():
            shown = _shown(detector)
            if self._sent.get(asset) == shown:
                continue
            body = _alarm(detector.alert_now()) if shown[0] else b""
            if sent >= PER_TICK or self._send(_topic(asset, "a"), body, 1, True) is None:
                return
            self._sent[asset] = shown
            sent += 1

    def withdrawn(self, asset: str) -> None:
        """The daemon empties its topic."""
        self._sent.pop(asset, None)

    def close(self) -> None:
        """An alarm stays: the machine is no better for our having stopped."""


def _topic(asset: str, channel: str) -> str:
    return f"te/device/{asset}///{channel}/anomaly"


def _shown(detector: Detector) -> Shown:
    state = detector.alert
    alarm = state.active and not state.silent
    episode = state.episode if alarm else None
    return alarm, None if episode is None else episode.id, 0 if episode is None else episode.seq


def _alarm(alert: Alert) -> bytes:
    body = {"severity": SEVERITIES.get(alert.severity or "", "warning")} | _said(alert, alert.raised_ns)
    return orjson.dumps(body)


def _event(event: AlertEvent) -> bytes:
    alert = event.alert
    body = {"type": str(event.type), "id": event.id, "severity": alert.severity}
    return orjson.dumps(body | _said(alert, alert.raised_ns if alert.cleared_ns is None else alert.cleared_ns))


def _said(alert: Alert, t_ns: int | None) -> dict[str, str]:
    time = {} if t_ns is None else {"time": rfc3339(t_ns)}
    return {"text": alert.reason or f"anomaly of {alert.asset}"} | time
