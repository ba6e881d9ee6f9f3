"""Time by the clock, and by assets: how long a recording is, and for how much of that a score stood.

A recording of channels that report on change has few lines, and a week in it is a week all the same. A gap is recorded time,
and is not watched.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.timestamps import duration_text
from edge_ae.core.window import longest_gap

Slots = NDArray[np.int64]

WEEK_NS = 7 * 24 * 3600 * 10**9
ALIKE = 0.02  # spans that differ by less are said to be of one length
UNITS: Mapping[str, str] = {"days": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds"}


def watched_ns(slots: Slots, scored: Slots, spec: ModelSpec) -> Slots:
    """For how long the answer at each row [row] stands, in ns: until the next row where the values stand so long, else for
    one row; 0 where its score is older than a hop.

    `slots`: of the rows, in order; `scored`: of the newest score at each.
    """
    steps = np.diff(slots, append=slots[-1:] + 1)
    bridged = steps <= longest_gap(spec.length) + 1
    stands = np.where(bridged, np.minimum(steps, 1 + spec.hold_rows), 1)
    watched: Slots = np.where(slots - scored < spec.hop, stands, 0) * spec.period_ns
    return watched


def asset_time(spans: Sequence[tuple[str, int]], watched_ns: int | None = None) -> str:
    """The time of all assets together, from each recording's asset and length in ns: "28 asset-days (4 assets x 7 days)".

    `watched_ns`: what of it was watched, where that is to be said.
    """
    of_asset: dict[str, int] = {}
    for asset, length_ns in spans:
        of_asset[asset] = of_asset.get(asset, 0) + length_ns
    total_ns, count = sum(of_asset.values()), len(of_asset)
    number, unit = _short(total_ns).split()
    facts = [] if watched_ns is None else [f"watched: {_short(watched_ns)}"]
    if count > 1:
        alike = max(of_asset.values()) - min(of_asset.values()) <= ALIKE * total_ns / count
        facts.insert(0, f"{count} assets x {_short(total_ns / count)}" if alike else f"{count} assets")
    text = f"{number} {unit}" if count < 2 else f"{number} asset-{UNITS[unit]}"
    return f"{text} ({'; '.join(facts)})" if facts else text


def _short(length_ns: float) -> str:
    """To three digits, so that a week whose last line comes a minute early is one."""
    number, unit = duration_text(length_ns).split()
    return f"{float(f'{float(number):.3g}'):g} {unit}"
