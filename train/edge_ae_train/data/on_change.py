"""Whether channels report on change alone, and the options that make rows of such lines."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.timestamps import SECOND, duration_text
from edge_ae.store.recording_csv import Table
from edge_ae_train.data.period import ROUND_PERIODS_NS, sample_period_ns

LEAST_VALUES = 50  # of a channel, to say how it reports
UNEVEN = 4.0  # times longer are long steps between values than short ones
REPEATS = 0.1  # of the values, at most, are the same as the one before
SHORT, LONG, LONGEST = 0.1, 0.9, 0.99  # quantiles of the steps


def on_change_note(tables: Sequence[Table]) -> str | None:
    """A sentence with --period and --hold, where most channels that show it report on change."""
    shown = {name: steps for name, steps in _steps(tables) if len(steps) >= LEAST_VALUES}
    on_change = {name: steps for name, steps in shown.items() if _is_on_change(tables, name, steps)}
    if not on_change or 2 * len(on_change) < len(shown):
        return None
    name, steps = max(on_change.items(), key=lambda pair: float(np.quantile(pair[1], LONGEST)))
    short, long, longest = (float(np.quantile(steps, q)) for q in (SHORT, LONG, LONGEST))
    period_ns = _rounded_up(sample_period_ns(tables))
    return (
        f"{len(on_change)} of {len(tables[0].names)} channels seem to report on change alone ({name}: after "
        f"{duration_text(int(short))} to {duration_text(int(long))}, and hardly ever the same value again), so that a value "
        f"stands until the next: --period {period_ns / SECOND:g} --hold {max(_rounded_up(longest), period_ns) / SECOND:g}"
    )


def _steps(tables: Sequence[Table]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """For each channel the times between its values."""
    for index, name in enumerate(tables[0].names):
        parts = [np.diff(table.t_ns[~np.isnan(table.values[:, index])]) for table in tables]
        steps = np.concatenate(parts)
        yield name, steps[steps > 0]


def _is_on_change(tables: Sequence[Table], name: str, steps: NDArray[np.int64]) -> bool:
    short, long = np.quantile(steps, (SHORT, LONG))
    if long < UNEVEN * short:
        return False
    columns = [table.values[:, table.names.index(name)] for table in tables]
    changes = np.concatenate([np.diff(column[~np.isnan(column)]) for column in columns])
    return bool((changes == 0.0).mean() <= REPEATS)


def _rounded_up(t_ns: float) -> int:
    """To a length of time that people use."""
    longer = ROUND_PERIODS_NS[t_ns <= ROUND_PERIODS_NS]
    return int(longer[0]) if len(longer) > 0 else int(t_ns)
