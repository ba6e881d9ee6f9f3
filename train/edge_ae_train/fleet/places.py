"""Where an asset's channels lie and how far they move: what makes assets alike, and one the odd one. Pure.

The mean and the standard deviation without the outermost values. Medians will not do: where a pump runs at two speeds, half a
per cent more time at one of them moves the median from the one to the other.
"""

import numpy as np
from numpy.typing import NDArray

OUTERMOST = (0.01, 0.99)  # shares of the values, beyond which they are taken for those at the edge

Array = NDArray[np.float64]


def places_of(values: Array) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of [row, channel]; 0 of one without a value, for JSON knows no NaN."""
    silent = np.isnan(values).all(axis=0)
    known = np.where(silent, 0.0, values)
    cut = np.clip(known, *np.nanquantile(known, OUTERMOST, axis=0))
    return np.nanmean(cut, axis=0).tolist(), np.nanstd(cut, axis=0).tolist()
