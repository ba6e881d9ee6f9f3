"""A channel's values -> those that no sensor measured. Value by value: whatever else is odd in the channel protects none.

    error word    lies apart from all other values with nothing in between, comes for a row or a few, between values as they
                  usually are; and is one of those that sensors and loggers are known for, or comes again and again, the same
                  in all digits. 85.0 and -127 of a DS18B20 are such, and need not be far.
    outage word   -999, 65535 and their like may stand for hours, where nothing else comes near
    far           a distance beyond the others that is ten times the next one's: a flipped bit

One such value would make every window that holds it the oddest of all, and the boundary would lie beyond any fault. A machine's
own rare bursts have others of all sizes beside them, and no two are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.sensor_limits import LARGEST_VALUE
from edge_ae_train.data.segments import episodes

Values = NDArray[np.float64]

FAR_SHARE = 0.005  # of a channel's values, at each end: more are what the sensor does
FAR_TIMES = 10.0  # the span of the other values, or the next distance: as far as `health` lets no machine jump
APART = 0.1  # of the span: between an error word and any other value lies as much
ALONE = 0.8  # of the way from the usual values to an unknown word is empty: bursts that end at a sensor's limit fill it
WORD_SHARE = 0.02  # of the values: more are no glitch
WORD_ROWS = 3  # in a row: an error word stands no longer
LONE_SHARE = 0.8  # of its runs are no longer, and have usual values on both sides
LEAPS = 5.0  # a usual large step: so far is an error word from its neighbours
REPEATS = 3  # of an unknown word, and of 0: so often it must come
OUTERMOST = 3  # values at each end that may be an unknown word
FINE = 50  # different values: a channel with fewer repeats itself anyhow
OUTAGE_SHARE = 0.3

OUTAGES = frozenset(
    sign * size for sign in (1.0, -1.0) for size in (999.0, 999.9, 9999.0, 9999.9, 99999.0, 999999.0, 6999.0, 8999.0)
) | {
    32767.0,
    -32768.0,
    65535.0,
    3276.7,
    -3276.8,
    6553.5,
    327.67,
    -327.68,
    655.35,
    2147483647.0,
    -2147483648.0,
    4294967295.0,
}
SENSORS = frozenset({85.0, -127.0, 127.0, -55.0, 850.0, 998.0, 65534.0, 6553.4, 32766.0})
COMMON = frozenset({0.0, -1.0, 255.0})  # A machine that stops sends these, too: the device never masks them.


@dataclass(frozen=True, slots=True)
class Glitches:
    """`flags` [part][value]: what is none. `words`: those among them that are known as error words, which a device masks."""

    flags: tuple[NDArray[np.bool_], ...]
    words: tuple[float, ...] = ()


def find_glitches(parts: Sequence[Values]) -> Glitches:
    """Of a channel's values in time, NaN being none, of each table; all parts together say what is usual."""
    known = np.concatenate([part[np.abs(part) < LARGEST_VALUE] for part in parts])
    words = _error_words(known)
    low, high = plausible(known[~np.isin(known, list(words))])
    flags = tuple((part < low) | (part > high) | np.isin(part, list(words)) for part in parts)
    return Glitches(flags, tuple(sorted(word for word in words if word in OUTAGES | SENSORS)))


def plausible(known: Values) -> tuple[float, float]:
    """Lowest and highest value that a channel's sensor can have measured, error words apart."""
    everything = (-LARGEST_VALUE, LARGEST_VALUE)
    if len(known) < 1.0 / FAR_SHARE:
        return everything
    low, high = _core(known)
    apart = np.maximum(low - known, known - high)
    span = high - low
    if span == 0.0:
        return everything
    distances = np.unique(np.maximum(apart, span))
    leaps = np.flatnonzero(distances[1:] > FAR_TIMES * distances[:-1])
    if len(leaps) == 0:
        return everything
    reach = FAR_TIMES * float(distances[leaps[0]])
    return low - reach, high + reach


def _core(known: Values) -> tuple[float, float]:
    """What all but FAR_SHARE of the values at each end lie within."""
    low = float(np.quantile(known, FAR_SHARE, method="higher"))
    return low, float(np.quantile(known, 1.0 - FAR_SHARE, method="lower"))


# -- words -----------------------------------------------------------------------------------------------------


def _error_words(known: Values) -> set[float]:
    """Those of the candidates that are apart from all that is no candidate."""
    if len(known) < 1.0 / FAR_SHARE:
        return set()
    words = _candidates(known)
    while words:
        usual = ~np.isin(known, list(words))
        if usual.sum() < len(known) // 2:
            return set()
        series = _Usual(known, usual)
        passed = {word for word in words if series.is_apart_from(word)}
        if passed == words:
            break
        words = passed
    return words


def _candidates(known: Values) -> set[float]:
    values, counts = np.unique(known, return_counts=True)
    common = set(values[counts >= REPEATS].tolist())
    words = set(values.tolist()) & (OUTAGES | SENSORS) | (common & COMMON)
    if len(values) >= FINE:
        ends = (*values[:OUTERMOST].tolist(), *values[-OUTERMOST:].tolist())
        words |= common & set(ends)
    return words


class _Usual:
    """A channel's values in time, and what the usual ones among them are like."""

    def __init__(self, known: Values, usual: NDArray[np.bool_]) -> None:
        self._known, self._usual = known, usual
        self._sorted = np.sort(known[usual])
        self._low, self._high = _core(known[usual])
        self._span = self._high - self._low
        steps = np.abs(np.diff(known[usual]))
        self._leap = LEAPS * float(np.quantile(steps, 0.99))

    def is_apart_from(self, word: float) -> bool:
        """Whether a value is a word and no measurement."""
        beyond = max(self._low - word, word - self._high)
        unknown = word not in OUTAGES | SENSORS
        least = max(APART * self._span, ALONE * beyond if unknown else 0.0)
        if self._span == 0.0 or beyond <= 0.0 or self._gap(word) < least:
            return False
        share = float((self._known == word).mean())
        if word in OUTAGES and beyond > self._span and share <= OUTAGE_SHARE:
            return True
        return share <= WORD_SHARE and self._is_lone(word)

    def _gap(self, word: float) -> float:
        """To the nearest usual value."""
        place = int(np.searchsorted(self._sorted, word))
        return float(np.min(np.abs(self._sorted[max(place - 1, 0) : place + 1] - word)))

    def _is_lone(self, word: float) -> bool:
        runs = episodes(~self._usual & (self._known == word))
        before, after = (
            self._known[np.maximum(runs[:, 0] - 1, 0)],
            self._known[np.minimum(runs[:, 1], len(self._known) - 1)],
        )
        short = runs[:, 1] - runs[:, 0] <= WORD_ROWS
        lone = short & self._fits(before, word) & self._fits(after, word)
        return bool(lone.mean() >= LONE_SHARE)

    def _fits(self, neighbours: Values, word: float) -> NDArray[np.bool_]:
        """Whether neighbours are usual, and far from the word; another word says nothing."""
        inside = (neighbours >= self._low - APART * self._span) & (neighbours <= self._high + APART * self._span)
        far = np.abs(neighbours - word) >= self._leap
        return np.asarray((inside & far) | ~np.isin(neighbours, self._sorted))
