"""What an edge node of Sparkplug B says of itself and of its devices, the assets: metrics as a table, topics and payloads. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge_ae import __version__
from edge_ae.core.alert_events import AlertWord
from edge_ae.core.detector import Detector
from edge_ae.core.events import Verdict
from edge_ae.core.formats.sparkplug import BD_SEQ, NAMESPACE, SEQUENCE
from edge_ae.core.formats.sparkplug_payload import (
    BOOLEAN,
    DOUBLE,
    INT64,
    REBIRTH,
    STRING,
    payload_of,
    value_of,
)
from edge_ae.core.formats.sparkplug_writing import metric_bytes, payload_bytes
from edge_ae.core.health_events import Watching
from edge_ae.core.payloads import significant

DEVICE = (
    ("anomaly/score", DOUBLE),
    ("anomaly/ratio", DOUBLE),
    ("anomaly/threshold", DOUBLE),
    ("anomaly/active", BOOLEAN),
    ("anomaly/severity", STRING),
    ("anomaly/reason", STRING),
    ("anomaly/top_channel", STRING),
    ("anomaly/watched", BOOLEAN),
)
"""Name and type of each metric of an asset; the first `SCORED` of them are of its newest score."""

SCORED = 3
WATCHED = 7  # where `anomaly/watched` is
ALIASES = 16  # kept for each device, so that more metrics may come

Values = tuple[Any, ...]
"""Of the metrics of `DEVICE`, in their order; None: there is no value."""


@dataclass(frozen=True, slots=True)
class EdgeIdentity:
    """Who an edge node is. `first`: the `bdSeq` of connections counts from there, so that two runs seldom have the same."""

    group: str
    edge: str
    first: int = 0

    def topic(self, kind: str, device: str | None = None) -> str:
        """Of a message of the node, or of a device."""
        own = f"{NAMESPACE}/{self.group}/{kind}/{self.edge}"
        return own if device is None else f"{own}/{device}"

    def death(self, connection: int, now_ms: int) -> bytes:
        """The payload of the NDEATH of a connection."""
        return payload_bytes(now_ms, [self._bd_seq(connection, now_ms)])

    def birth(self, connection: int, now_ms: int) -> bytes:
        """The payload of the NBIRTH of a connection; its `seq` is 0."""
        facts = (
            (REBIRTH, BOOLEAN, False),
            ("Properties/Program", STRING, "edge-ae"),
            ("Properties/Version", STRING, __version__),
        )
        metrics = [metric_bytes(datatype, value, now_ms, name=name) for name, datatype, value in facts]
        return payload_bytes(now_ms, [self._bd_seq(connection, now_ms), *metrics], 0)

    def _bd_seq(self, connection: int, now_ms: int) -> bytes:
        return metric_bytes(INT64, (self.first + connection) % SEQUENCE, now_ms, name=BD_SEQ)


def values_of(detector: Detector, verdict: Verdict | None) -> Values:
    """`verdict`: of the newest score that is to be said. While an asset is not watched, there is none."""
    watched = detector.health_now().watching is Watching.WATCHED
    said = verdict if watched else None
    scored = (None, None, None) if said is None else (said.score, said.ratio, said.threshold)
    return (*map(significant, scored), *_alert(detector), watched)


def _alert(detector: Detector) -> Values:
    if not detector.alert.raised:
        return False, None, None, None
    alert = detector.alert_now()
    top = alert.channels[0].name if alert.channels else None
    return alert.state is AlertWord.ACTIVE, alert.severity, alert.reason, top


def device_payload(
    values: Values, places: Iterable[int], first_alias: int, t_ms: int, scored_ms: int, seq: int, *, birth: bool
) -> bytes:
    """The metrics at `places`, at `t_ms`, a score at its event time `scored_ms`: in a birth with name, alias and type, else by alias alone."""
    metrics = [
        metric_bytes(
            DEVICE[place][1],
            values[place],
            t_ms if values[place] is None or place >= SCORED else scored_ms,
            name=DEVICE[place][0] if birth else None,
            alias=first_alias + place,
            typed=birth,
        )
        for place in places
    ]
    return payload_bytes(t_ms, metrics, seq)


def asks_for_births(data: bytes) -> bool:
    """Whether an NCMD does. Raises BadPayload where it is no payload of Sparkplug."""
    return any(metric.name == REBIRTH and value_of(metric, BOOLEAN) is True for metric in payload_of(data).metrics)
