"""How many rows a window should hold: what the signals remember, as far as the recordings allow it."""

from collections.abc import Sequence

import numpy as np

from edge_ae.core.model_spec import Floats
from edge_ae_train.data.segments import Segment, is_constant, stretches

LENGTHS = (16, 32, 64)  # rows, to choose from
CORRELATION_TIMES = 4.0  # in a window
SIDE_BY_SIDE = 12  # windows that the recordings must hold for a length to be affordable
MOST_ROWS = 20_000  # of the longest stretch, that correlation is measured on


def choose_length(segments: Sequence[Segment]) -> int:
    """Four correlation times of the median channel, as far as there are a dozen windows side by side, in whole stretches."""
    rows = sum(map(len, segments))
    signals = max(segments, key=len).values[:MOST_ROWS].T
    wanted = CORRELATION_TIMES * float(np.median([correlation_time(signal) for signal in signals]))
    longest = {length: max(map(len, stretches(segments, length)), default=0) for length in LENGTHS}
    affordable = [length for length in LENGTHS if rows >= SIDE_BY_SIDE * length and longest[length] > length] or [
        LENGTHS[0]
    ]
    return next((length for length in affordable if length >= wanted), affordable[-1])


def correlation_time(signal: Floats) -> float:
    """Rows until the autocorrelation falls below 1/e; 1 for a constant."""
    known = signal[np.isfinite(signal)].astype(np.float64)
    if len(known) == 0 or is_constant(known.mean(), known.std()):
        return 1.0
    known -= known.mean()
    power = float((known**2).mean())
    for lag in range(1, min(len(known) - 1, LENGTHS[-1])):
        if float((known[lag:] * known[:-lag]).mean()) < power / np.e:
            return float(lag)
    return float(LENGTHS[-1])
