"""What the watch knows of the time that is recorded: alerts, and sensors that were sick, as marks beside the rows.

They tell the next training what was not normal, whichever machine it runs on. An alert is marked with each step of its life; a
sick sensor as it is found out, as it is well again, and now and then while it lasts, so that a crash costs little of it.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from edge_ae.core.alert_events import AlertEvent, Happening, Withheld
from edge_ae.core.detector import Detector
from edge_ae.core.timestamps import SECOND
from edge_ae.store.columnar.block import ALERT, SICK

EVERY_NS = 60 * SECOND  # between two looks at the sensors
AGAIN_NS = 3600 * SECOND  # of event time: what goes on is marked again


class MarkKeeper(Protocol):
    """What keeps marks with the rows that they are of."""

    def mark(self, asset: str, from_ns: int, until_ns: int, why: str) -> None: ...


class RecordingMarks:
    """Marks into `keeper`: "alert ID" and "sick CHANNEL"."""

    def __init__(self, keeper: MarkKeeper, now_ns: int) -> None:
        self._keeper = keeper
        self._looked_ns = now_ns
        self._sick: dict[str, dict[str, tuple[int, int]]] = {}  # of an asset's channels: since when, until when marked

    def happened(self, happenings: Iterable[Happening]) -> None:
        """Alerts among what has happened, withheld ones too."""
        for one in happenings:
            event = one.event if isinstance(one, Withheld) else one
            if isinstance(event, AlertEvent) and event.alert.onset_ns is not None:
                onset_ns = event.alert.onset_ns
                self._keeper.mark(
                    event.asset, onset_ns, onset_ns + (event.alert.duration_ns or 0), f"{ALERT}{event.id}"
                )

    def tick(self, detectors: Iterable[Detector], now_ns: int) -> None:
        """Look at the sensors, once in EVERY_NS. `now_ns`: monotonic."""
        if now_ns - self._looked_ns >= EVERY_NS:
            self._looked_ns = now_ns
            self.look(detectors)

    def look(self, detectors: Iterable[Detector]) -> None:
        """Mark what is sick, and what was until now."""
        for detector in detectors:
            t_ns = detector.last_t_ns
            if t_ns is not None:
                faults = {fault.channel: fault.since_ns for fault in detector.health_now().channels}
                self._compare(detector.asset, faults, t_ns)

    def _compare(self, asset: str, faults: Mapping[str, int], t_ns: int) -> None:
        known = self._sick.get(asset, {})
        for channel in known.keys() - faults.keys():
            self._mark(asset, channel, known[channel][0], t_ns)
        due = [name for name in faults if name not in known or t_ns - known[name][1] >= AGAIN_NS]
        for channel in due:
            self._mark(asset, channel, faults[channel], t_ns)
        now = {name: (since_ns, t_ns) if name in due else known[name] for name, since_ns in faults.items()}
        self._sick[asset] = now

    def _mark(self, asset: str, channel: str, since_ns: int, t_ns: int) -> None:
        self._keeper.mark(asset, since_ns, max(since_ns, t_ns), f"{SICK}{channel}")
