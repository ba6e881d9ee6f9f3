"""Faults of discrete channels, put into held-out normal rows: what a valve, a mode or a command does when something is wrong.

Each changes one channel's readings [row] of a span, in physical units; the other channels are left as they are, as where a
command has no effect. What changes nothing (a valve that sticks where it would have stayed) is no fault.
"""

from collections.abc import Callable, Sequence

import numpy as np

from edge_ae.core.model_spec import Floats
from edge_ae_train.data.fault_injection import Injection, Rng, span_of

STRENGTH = "as it comes"  # a valve is open or it is not
Change = Callable[[Floats, int, Rng], Floats]


def _stuck(readings: Floats, start: int, _rng: Rng) -> Floats:
    return np.full(len(readings) - start, readings[start - 1], np.float32)


def _at_the_wrong_time(readings: Floats, start: int, rng: Rng) -> Floats:
    """What it does at another time."""
    return np.roll(readings, int(rng.integers(1, len(readings))))[start:]


def _without_effect(readings: Floats, start: int, _rng: Rng) -> Floats:
    """Each of its values in the place of another: it shows what is not carried out."""
    values = np.unique(readings[np.isfinite(readings)])
    place = np.searchsorted(values, readings[start:]) + 1
    return np.where(np.isfinite(readings[start:]), values[place % len(values)], np.nan)


def _never_seen(readings: Floats, start: int, _rng: Rng) -> Floats:
    return np.full(len(readings) - start, np.nanmax(readings) + 1.0, np.float32)


KINDS: dict[str, Change] = {
    "stuck": _stuck,
    "at the wrong time": _at_the_wrong_time,
    "without effect": _without_effect,
    "a value never seen": _never_seen,
}


def inject(rows: Floats, channels: Sequence[int], length: int, repeats: int, rng: Rng) -> list[Injection]:
    """Each kind `repeats` times, those that change nothing left out: stretches of physical rows [row, channel] with a window of
    normal before each fault. `channels`: those that are discrete."""
    span = span_of(rows, length)
    injections = []
    for kind, change in KINDS.items():
        for _ in range(repeats):
            first = int(rng.integers(0, len(rows) - length - span + 1))
            stretch = rows[first : first + length + span].copy()
            channel = int(rng.choice(channels))
            readings = stretch[:, channel].copy()
            if np.isfinite(readings).any():
                stretch[length:, channel] = change(readings, length, rng)
            if not np.array_equal(readings, stretch[:, channel], equal_nan=True):
                injections.append(Injection(kind, STRENGTH, stretch, length))
    return injections
