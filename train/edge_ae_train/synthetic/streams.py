"""Random streams by name, each with a generator of its own: adding one, or drawing more of one, changes no other."""

import math
import zlib
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Draw:
    """The streams of one pump, an entry for each row."""

    def __init__(self, seed: int, rows: int, period_s: float) -> None:
        self._seed, self._rows, self._period_s = seed, rows, period_s

    def white(self, name: str) -> Array:
        return generator(self._seed, name).standard_normal(self._rows)

    def wander(self, name: str, lag_s: float) -> Array:
        """An Ornstein-Uhlenbeck process: unit variance, memory `lag_s`, the same law at any period."""
        keep = math.exp(-self._period_s / lag_s)
        noise = self.white(name)
        noise[1:] *= math.sqrt(1.0 - keep * keep)
        return remember(noise, keep)


def generator(*key: int | str) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(str(part).encode()) for part in key])


def remember(drive: Array, keep: float) -> Array:
    """y[k] = keep * y[k-1] + drive[k]"""
    return np.fromiter(accumulate(drive.tolist(), lambda y, u: keep * y + u), float, len(drive))
