"""What was recorded, counted by asset and channel, and as sentences: a line a minute for each asset, and a table at the end.

Pure: rows and times come in, text goes out. Bounded: so many assets, and of each so many channels, are recorded and no more.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_ae.core.events import Readings
from edge_ae.core.printable import some_of
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.errors import BadPayload

LISTED = 20
"""Assets with a line of their own each minute."""

LISTED_CHANNELS = 30
"""Channels of an asset that are named in one line."""

CHANNELS = 1_024
"""Channels of an asset that are recorded: each is a column, and a new one begins a new file."""

TABLE_ASSETS = 200


@dataclass(slots=True)
class AssetTally:
    """One asset's rows. Event times `first_ns` to `last_ns`; `came_ns`: when the newest row came, by the loop's clock.

    `values`: how many by channel. `fresh_rows`, `fresh`: the same since the last minute's line, which are not in `values` yet.
    """

    first_ns: int
    last_ns: int
    came_ns: int
    rows: int = 0
    values: Counter[str] = field(default_factory=Counter)
    fresh_rows: int = 0
    fresh: Counter[str] = field(default_factory=Counter)

    def settle(self) -> None:
        """What is fresh becomes part of the whole."""
        self.values.update(self.fresh)
        self.fresh, self.fresh_rows = Counter(), 0


class Tally:
    """Counts rows by asset. `assets`: in the order in which they came."""

    def __init__(self, max_assets: int, now_ns: int) -> None:
        self.assets: dict[str, AssetTally] = {}
        self._max_assets = max_assets
        self._since_ns = now_ns

    def push(self, readings: Readings, now_ns: int) -> Mapping[str, float]:
        """Count a row. Returns its values, without those of channels beyond the limit; BadPayload for one asset too many."""
        asset, t_ns = self._asset(readings, now_ns), readings.t_ns
        values = readings.values
        if not values.keys() <= asset.values.keys():
            values = _admitted(values, asset.values)
        asset.first_ns, asset.last_ns = min(asset.first_ns, t_ns), max(asset.last_ns, t_ns)
        asset.rows, asset.fresh_rows, asset.came_ns = asset.rows + 1, asset.fresh_rows + 1, now_ns
        asset.fresh.update(values.keys())
        return values

    def _asset(self, readings: Readings, now_ns: int) -> AssetTally:
        asset = self.assets.get(readings.asset)
        if asset is None:
            if len(self.assets) >= self._max_assets:
                raise BadPayload("too_many_assets", f"limits.assets is {self._max_assets}; raise it to record more")
            asset = self.assets[readings.asset] = AssetTally(readings.t_ns, readings.t_ns, now_ns)
        return asset

    def minute(self, now_ns: int) -> list[str]:
        """What came of each asset since the last call, and what did not, a line each."""
        span = _span(now_ns - self._since_ns)
        self._since_ns = now_ns
        lines = [_minute_line(name, asset, span, now_ns) for name, asset in [*self.assets.items()][:LISTED]]
        rest = [*self.assets.items()][LISTED:]
        lines += [_rest_line(rest, span)] if rest else []
        for asset in self.assets.values():
            asset.settle()
        return lines or [f"no reading came in {span}"]

    @property
    def rows(self) -> int:
        """Of all assets."""
        return sum(asset.rows for asset in self.assets.values())

    def table(self, folder: Path) -> list[str]:
        """The whole recording: for each asset its rows, from when to when, where they are, and how many values of what."""
        if not self.assets:
            return ["nothing was recorded"]
        for asset in self.assets.values():
            asset.settle()
        shown = [*self.assets.items()][:TABLE_ASSETS]
        cells = [("asset", "rows", "from", "to", "folder")]
        cells += [
            (name, f"{asset.rows:,}", rfc3339(asset.first_ns), rfc3339(asset.last_ns), str(folder / name))
            for name, asset in shown
        ]
        head, *lines = columns(cells)
        table = [head]
        for line, (_, asset) in zip(lines, shown, strict=True):
            table += [line, f"  {_shares(asset)}"]
        more = len(self.assets) - len(shown)
        return table + ([f"and {more} more assets"] if more > 0 else [])


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _admitted(values: Mapping[str, float], known: Counter[str]) -> Mapping[str, float]:
    """The values of channels that are known, or that there is room for; these become known."""
    for name in values:
        if len(known) >= CHANNELS:
            break
        known[name] += 0
    return {name: value for name, value in values.items() if name in known}


def _span(length_ns: int) -> str:
    """As exact as a line a minute needs it."""
    seconds = round(length_ns / SECOND)
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _minute_line(name: str, asset: AssetTally, span: str, now_ns: int) -> str:
    if asset.fresh_rows == 0:
        return f"{name}: nothing came for {_span(now_ns - asset.came_ns)}"
    silent = [channel for channel in asset.values if channel not in asset.fresh]
    lost = f"; nothing of {some_of(silent, LISTED_CHANNELS)}" if silent else ""
    return f"{name}: {_rows(asset.fresh_rows)} in {span}: {_counted(asset.fresh.items())}{lost}"


def _rest_line(rest: Sequence[tuple[str, AssetTally]], span: str) -> str:
    quiet = [name for name, asset in rest if asset.fresh_rows == 0]
    rows = sum(asset.fresh_rows for _, asset in rest)
    return f"{len(rest)} more assets: {_rows(rows)} in {span}" + (
        f"; nothing of {some_of(quiet, LISTED)}" if quiet else ""
    )


def _counted(counts: Iterable[tuple[str, int]]) -> str:
    return some_of([f"{name} {count:,}" for name, count in counts], LISTED_CHANNELS)


def _shares(asset: AssetTally) -> str:
    parts = [f"{name} {count:,} ({_percent(count, asset.rows)})" for name, count in asset.values.items()]
    return some_of(parts, LISTED_CHANNELS) or "no values"


def _percent(part: int, whole: int) -> str:
    """Of what is nearly all, or nearly nothing, never all or nothing."""
    share = 100 * part / whole
    return f"{share:.0f} %" if share in (0.0, 100.0) or 1 <= share <= 99 else f"{'<1' if share < 1 else '>99'} %"
