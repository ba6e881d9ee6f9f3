"""The highest ratios of past hours: a table of one row an hour and asset, and those that the next commit brings there."""

import sqlite3
from collections.abc import Iterable
from typing import Any

from edge_ae.core.peak_hours import HOURS_KEPT, PeakHour, higher
from edge_ae.store.database import Database

MOST_PENDING = 50_000
"""Hours of all assets that are kept in memory while the disk fails; then the oldest go."""


class PeakTable:
    """HOURS_KEPT of each asset stay."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: dict[tuple[str, int], PeakHour] = {}

    def add(self, asset: str, hours: Iterable[PeakHour]) -> None:
        """Take in hours that are over; on disk with the next commit."""
        for one in hours:
            key = asset, one.hour
            self._pending[key] = higher(one, self._pending.get(key, one))
        while len(self._pending) > MOST_PENDING:
            del self._pending[next(iter(self._pending))]

    def since(self, asset: str, hour: int) -> list[PeakHour]:
        """Those of an asset from an hour on, the oldest first."""
        rows: Iterable[tuple[Any, ...]] = self._database.rows(
            "SELECT hour, peak_ratio, interval_ns FROM hour WHERE asset = ? AND hour >= ?", asset, hour
        )
        found = {row[0]: PeakHour(*row) for row in rows}
        for (name, at), one in self._pending.items():
            if name == asset and at >= hour:
                found[at] = higher(one, found.get(at, one))
        return [found[at] for at in sorted(found)]

    def write(self, connection: sqlite3.Connection, removed: Iterable[str]) -> None:
        """Bring what is pending to disk, and forget the assets that are `removed`."""
        connection.executemany("DELETE FROM hour WHERE asset = ?", [(asset,) for asset in removed])
        connection.executemany(
            "INSERT INTO hour VALUES (?, ?, ?, ?) ON CONFLICT (asset, hour) DO UPDATE SET peak_ratio = "
            "excluded.peak_ratio, interval_ns = excluded.interval_ns WHERE excluded.peak_ratio > peak_ratio",
            [(asset, hour, one.ratio, one.interval_ns) for (asset, hour), one in self._pending.items()],
        )
        connection.executemany(
            "DELETE FROM hour WHERE asset = ?1 AND hour <= "
            "(SELECT hour FROM hour WHERE asset = ?1 ORDER BY hour DESC LIMIT 1 OFFSET ?2)",
            [(asset, HOURS_KEPT) for asset in {asset for asset, _ in self._pending}],
        )

    def clear(self) -> None:
        """What was pending is on disk, or is to be forgotten."""
        self._pending.clear()
