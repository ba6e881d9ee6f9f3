"""The last hour of each asset, kept for the picture in a message: how far from normal it was, and what its channels were.

A point each 15 s of event time: the largest ratio of that time, and the channels' newest row in it. What is kept is bounded, for
each asset and for all together.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_ae.bridges.notify_picture import Curves
from edge_ae.core.detector import Detector
from edge_ae.core.events import Scored
from edge_ae.core.model_spec import Floats
from edge_ae.core.timestamps import HOUR, SECOND

POINT_NS = 15 * SECOND
POINTS = HOUR // POINT_NS
BYTES = 16 * 2**20
"""Of all assets together; assets that come later have no picture."""
CHANNELS_DRAWN = 3


class LastHour:
    """One asset's ring. `values` [point, 1 + channel]: the ratio, then the channels; NaN where nothing came."""

    def __init__(self, channels: int) -> None:
        self.newest: int | None = None  # The newest point, counted from 1970.
        self._values: Floats = np.full((POINTS, 1 + channels), np.nan, np.float32)

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return self._values.nbytes

    def put_ratio(self, t_ns: int, ratio: float) -> None:
        """Keep the largest of each point."""
        index = self._index(t_ns // POINT_NS)
        self._values[index, 0] = np.fmax(self._values[index, 0], ratio)

    def put_row(self, t_ns: int, values: Floats) -> None:
        """`values` [channel]."""
        self._values[self._index(t_ns // POINT_NS), 1:] = values

    def _index(self, point: int) -> int:
        """Where a point lies; what is between it and the newest one is emptied, and all where it is an hour away."""
        if self.newest is None or abs(point - self.newest) >= POINTS:
            self._values[:] = np.nan
            self.newest = point
        while self.newest < point:
            self.newest += 1
            self._values[self.newest % POINTS] = np.nan
        return point % POINTS

    def curves(self, accused: Sequence[tuple[int, str, str, float | None]]) -> Curves | None:
        """`accused`: index, name, unit and expected value of channels. None: there is nothing to be drawn."""
        if self.newest is None:
            return None
        points = np.arange(self.newest - POINTS + 1, self.newest + 1)
        rows = self._values[points % POINTS]
        first = int(
            np.argmax(~np.isnan(rows).all(axis=1))
        )  # The part before the first point is no picture of anything.
        points, rows = points[first:], rows[first:]
        if len(points) < 2:
            return None
        channels = tuple((name, unit, _plain(rows[:, 1 + index]), expected) for index, name, unit, expected in accused)
        return Curves(tuple((points * (POINT_NS // SECOND)).tolist()), _plain(rows[:, 0]), channels)


def _plain(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if value != value else value for value in values.tolist())


class Hours:
    """The rings of all assets. `left_out`: assets that have none for want of room."""

    def __init__(self, most_bytes: int = BYTES) -> None:
        self._rings: dict[str, LastHour] = {}
        self._taken_to: dict[str, int] = {}
        self._bytes_left = most_bytes
        self.left_out: set[str] = set()

    def scored(self, one: Scored) -> None:
        """A window's ratio; before the asset's first `follow` there is nowhere to put it."""
        ring = self._rings.get(one.asset)
        if ring is not None:
            ring.put_ratio(one.t_ns, one.verdict.ratio)

    def follow(self, detector: Detector, *, at_once: bool = False) -> None:
        """Take the rows since the last time, once a point is over. `at_once`: what there is, for a picture is wanted."""
        ring, t_ns = self._ring(detector), detector.last_t_ns
        if ring is None or t_ns is None:
            return
        taken_ns = min(self._taken_to.get(detector.asset, 0), t_ns)  # A clock that is set back begins anew.
        if t_ns == self._taken_to.get(detector.asset) or (not at_once and t_ns // POINT_NS == taken_ns // POINT_NS):
            return
        window = detector.newest
        if window is None:
            return
        period_ns, last = detector.spec.period_ns, window.slot
        self._taken_to[detector.asset] = t_ns
        for slot in _one_a_point(last - len(window.values) + 1, last, period_ns, taken_ns):
            ring.put_row(slot * period_ns, window.values[slot - last - 1])

    def _ring(self, detector: Detector) -> LastHour | None:
        asset, channels = detector.asset, len(detector.spec.channels)
        if asset not in self._rings and asset not in self.left_out:
            ring = LastHour(channels)
            if ring.nbytes > self._bytes_left:
                self.left_out.add(asset)
                return None
            self._bytes_left -= ring.nbytes
            self._rings[asset] = ring
        return self._rings.get(asset)

    def forget(self, asset: str) -> None:
        """It is watched no more."""
        self.left_out.discard(asset)
        self._taken_to.pop(asset, None)
        ring = self._rings.pop(asset, None)
        self._bytes_left += 0 if ring is None else ring.nbytes

    def curves(self, detector: Detector, body: Mapping[str, Any]) -> Curves | None:
        """The hour up to now, with the channels that an alert's JSON accuses. None: there is none."""
        self.follow(detector, at_once=True)
        ring = self._rings.get(detector.asset)
        places = {channel.name: index for index, channel in enumerate(detector.spec.channels)}
        accused = [
            (places[one["name"]], one["name"], one["unit"], one["expected"])
            for one in body["channels"][:CHANNELS_DRAWN]
            if one["name"] in places
        ]
        return None if ring is None else ring.curves(accused)


def _one_a_point(first: int, last: int, period_ns: int, after_ns: int) -> list[int]:
    """Of the slots from `first` to `last` that are later than `after_ns`, the newest of each point."""
    slots = range(max(first, after_ns // period_ns + 1), last + 1)
    newest = {slot * period_ns // POINT_NS: slot for slot in slots}
    return list(newest.values())
