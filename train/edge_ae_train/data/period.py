"""How often a recording's lines come: the period of the model's rows, and sentences where the lines do not keep to it."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.pace import ANOTHER_PACE, has_another_pace
from edge_ae.core.timestamps import HOUR, MINUTE, MS, SECOND, duration_text
from edge_ae.errors import BadData
from edge_ae.store.recording_csv import Table
from edge_ae_train.data.loading import where_of

ROUND_PERIODS_NS = np.array(
    [n * MS for n in (1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 80, 100, 125, 200, 250, 400, 500)]
    + [n * SECOND for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)]
    + [n * MINUTE for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)]
    + [n * HOUR for n in (1, 2, 3, 4, 6, 8, 12, 24)]
)
ROUNDING = 0.02  # a sensor set to 1 s sends every 0.98 to 1.02 s; a grid that far off has a hole in 50 rows
PERIOD_BLOCKS = 10  # a recording is looked at in tenths to see whether its period changes
LINES_TO_TELL = 20  # fewer lines do not show a period
NOTHING = "every channel is empty; nothing can be learned from it"


def sample_period_ns(tables: Sequence[Table]) -> int:
    """The median time between two values of a channel, made round when it is nearly so.

    By channel and not by line: a recording of one topic per channel has a line for each channel's value.
    """
    medians = [m for table in tables for m in _channel_steps(table)]
    if not medians and all(np.isnan(table.values).all() for table in tables):
        raise BadData(f"{where_of(tables)}: {NOTHING}")
    if not medians:
        raise BadData(f"{where_of(tables)}: fewer than two different times; no sample period can be found")
    measured = float(np.median(medians))
    nearest = int(ROUND_PERIODS_NS[np.argmin(np.abs(ROUND_PERIODS_NS - measured))])
    if abs(measured - nearest) <= ROUNDING * nearest:
        return nearest
    return max(1, round(measured))


def _channel_steps(table: Table) -> Iterator[float]:
    """For each channel the median of the steps between its values."""
    whole = _median_step(table.t_ns)
    for there in (~np.isnan(table.values)).T:
        step = whole if there.all() else _median_step(table.t_ns[there])
        if step is not None:
            yield step


def _median_step(t_ns: NDArray[np.int64]) -> float | None:
    steps = np.diff(t_ns)
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) > 0 else None


def period_notes(tables: Sequence[Table], period_ns: int) -> list[str]:
    """A sentence on the period, and one for each file that does not keep to it all along."""
    notes = [f"the sample period is {duration_text(period_ns)}"]
    for table in tables:
        blocks = min(PERIOD_BLOCKS, len(table) // LINES_TO_TELL + 1)
        steps = [_median_step(part) for part in np.array_split(table.t_ns, blocks)]
        known = [step for step in steps if step is not None]
        if known and max(known) > ANOTHER_PACE * min(known):
            notes.append(
                f"{table.path}: the time between lines changes, from {duration_text(min(known))} to "
                f"{duration_text(max(known))}; rows of {duration_text(period_ns)} are made of all"
            )
        elif known and has_another_pace(float(np.median(known)), period_ns):
            notes.append(
                f"{table.path}: lines come every {duration_text(float(np.median(known)))}; "
                f"rows of {duration_text(period_ns)} are made of them"
            )
    return notes
