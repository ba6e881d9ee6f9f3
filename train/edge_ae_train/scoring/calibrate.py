"""Held-out windows -> whitening, limits and tail. What trained a network never calibrates it.

The held-out rows come as blocks in time. Whitening is fitted on all blocks but one and tried on that one, in turn, so
that the distances which set the limits and the tail are those of data that neither network nor whitening has seen (but
for the rows of one window, which two neighbouring blocks share).

    averages ─► whitening ─► tempered by the tail of each channel ─► distances ─► over the limits of each view ─► score ─► tail
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats, Tail
from edge_ae.core.timestamps import SECOND, duration_text
from edge_ae_train.scoring.graph import view_weights
from edge_ae_train.scoring.whitening import Whitening, fit_whitening, tail_excess

LIMIT_QUANTILE = 0.99  # of each view's distance, and of the score, on held-out windows: where it is 1
LEAST_LIMIT = 0.1  # for a view in which nothing moves
TAIL_QUANTILE = 0.9  # the tail begins here
# Two rows in a row: at the same budget, 4 % more events were found than by one, and as many as by three.
ON_DELAY_ROWS = 1
MIN_PEAKS = 5
PRIOR_SHAPE = 0.0  # the tail's shape before any peak is seen: exponential
PRIOR_PEAKS = 30  # and how many peaks that prior is worth
HOUR_NS = 3600 * SECOND
GROSS_PASS = 0.9  # of gross faults: more than the boundary may ever hide
LEAST_RATE = 1e-12  # alerts a window
LONG_NS = 366 * 24 * HOUR_NS  # a budget that is rarer than one alert in so long is nobody's
SHAPE_RANGE = (-0.15, 0.5)  # no tail is taken for lighter than that of Gaussian rows' distances


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A block's windows: averages [view, window, channel] of their residuals, and `distances` [view, window] in a whitening."""

    averages: Floats
    distances: Callable[[Whitening], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns a network's views into a score, and a budget into a boundary."""

    whitening: Whitening
    limit: Floats  # [view], the latent's last: the distance that makes a score of 1 by itself
    tail: Tail
    typical: float
    crossed: tuple[Whitening, ...]  # for each block: fitted on the other blocks
    windows: int  # held out, all blocks together

    def score(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of windows [window], from their distances [view, window]."""
        return score_of(distances, self.limit)


def calibrate(blocks: Sequence[HeldOut], floor: Floats, gap: int, on_delay: int = 0) -> Calibration:
    """`floor`: see Scaler; `gap`: windows that part two clusters; `on_delay`: see Tail."""
    crossed = [_whiten([b for j, b in enumerate(blocks) if j != i], floor) for i in range(len(blocks))]
    excess = _tail_excess(blocks, crossed)
    crossed = [whitening.tamed(excess) for whitening in crossed]
    held_out = [block.distances(whitening) for block, whitening in zip(blocks, crossed, strict=True)]
    limit = _limit(np.concatenate(held_out, axis=1))
    scores = [score_of(block, limit) for block in held_out]
    typical = float(np.median(np.concatenate(scores)))
    windows, tail = sum(map(len, scores)), fit_tail(scores, gap, on_delay)
    return Calibration(_whiten(blocks, floor).tamed(excess), limit, tail, typical, tuple(crossed), windows)


def _tail_excess(blocks: Sequence[HeldOut], crossed: Sequence[Whitening]) -> Floats:
    """[view, channel]; view by view, for the windows of all are many."""
    pairs = list(zip(blocks, crossed, strict=True))
    views = range(len(crossed[0].root))
    return np.stack(
        [
            tail_excess(np.concatenate([whitening.white(block.averages, view) for block, whitening in pairs]))
            for view in views
        ]
    )


def score_of(distances: NDArray[np.float64], limit: Floats) -> NDArray[np.float64]:
    """[window] of distances [view, window]."""
    score: NDArray[np.float64] = np.sqrt(((distances / limit[:, None]) ** 2).sum(axis=0))
    return score


def _limit(distances: NDArray[np.float64]) -> Floats:
    """[view] of distances [view, window]: each over its own limit, weighed, and all together brought to 1 where a score is."""
    own = np.maximum(np.quantile(distances, LIMIT_QUANTILE, axis=1), LEAST_LIMIT)
    weights = view_weights(len(own))
    limit = own * np.sqrt(weights.sum() / weights)
    unit = float(np.quantile(score_of(distances, limit), LIMIT_QUANTILE))
    found: Floats = (limit * max(unit, LEAST_LIMIT)).astype(np.float32)
    return found


def below_gross(tail: Tail, faults: NDArray[np.float64], windows: int) -> Tail:
    """The tail, and the score that GROSS_PASS of gross faults pass, with the highest scores `faults` [fault]. Not known where normal
    data is seen to pass it: there the budget holds, and the faults cannot be told from what is normal."""
    passed = float(np.quantile(faults, 1.0 - GROSS_PASS))
    return replace(tail, gross=passed) if passed > tail.extrapolated(1.0 / windows) else tail


def reach(windows: int, tail: Tail, hop_ns: int) -> str:
    """How rare an alert the held-out windows can vouch for, and gross faults leave room for, in a sentence or two."""
    hours = windows * hop_ns / HOUR_NS
    span = (
        f"{hours / 24:.1f} days"
        if hours >= 48
        else f"{hours:.1f} hours"
        if hours >= 1
        else duration_text(windows * hop_ns)
    )
    vouched = (
        f"calibrated on {windows:,} held-out windows, {span}: a budget of less than one alert in that time is extrapolated; "
        "the device corrects it by the alerts that it counts, over a few times the budget's interval"
    )
    return f"{vouched}\n{room_for_gross_faults(tail, hop_ns)}"


def room_for_gross_faults(tail: Tail, hop_ns: int) -> str:
    """From which budget on the boundary would lie beyond them, in a sentence."""
    if tail.gross == math.inf:
        return "gross faults do not stand out from what is normal here: a rare budget may hide some of them"
    windows = 1.0 / max(tail.exceeded(tail.gross), LEAST_RATE)
    if windows * hop_ns > LONG_NS:
        return "every budget leaves the boundary below gross faults"
    days = windows * hop_ns / HOUR_NS / 24
    return (
        f"a budget of less than one alert in {days:.2g} days would put the boundary beyond gross faults: it stays where "
        f"{GROSS_PASS:.0%} of them pass"
    )


def _whiten(blocks: Sequence[HeldOut], floor: Floats) -> Whitening:
    return fit_whitening([block.averages for block in blocks], floor)


def on_delay_of(hop: int) -> int:
    """The on-delay, in windows that are `hop` rows apart: a fault that windows further apart see once is not waited for."""
    return ON_DELAY_ROWS // hop


def sustained(series: NDArray[np.float64], on_delay: int) -> NDArray[np.float64]:
    """Of each window the least score of it and the `on_delay` windows before it, of as many as there are."""
    if on_delay == 0:
        return series
    before = np.concatenate([np.full(on_delay, np.inf), series])
    least: NDArray[np.float64] = sliding_window_view(before, on_delay + 1).min(axis=1)
    return least


def fit_tail(series: Sequence[NDArray[np.float64]], gap: int, on_delay: int = 0) -> Tail:
    """Peaks over threshold with declustering (Coles, 2001, chapter 5): each run of exceedances counts by its peak.

    Runs are parted by `gap` windows below the level. The shape is a probability-weighted-moments estimate (Hosking and
    Wallis, 1987) drawn towards PRIOR_SHAPE, for few peaks say little about a tail.
    """
    series = [sustained(one, on_delay) for one in series]
    pooled = np.concatenate(series)
    level = float(np.quantile(pooled, TAIL_QUANTILE))
    found = np.concatenate([peaks(one, level, gap) for one in series])
    if len(found) < MIN_PEAKS:
        found = np.sort(pooled)[-MIN_PEAKS:]
    excess = np.sort(np.maximum(found - level, 1e-9))
    count, mean = len(excess), float(excess.mean())
    weighted = float((excess * (1.0 - (np.arange(1, count + 1) - 0.35) / count)).mean())
    estimate = 2.0 - mean / max(mean - 2.0 * weighted, 1e-12)
    shape = (count * float(np.clip(estimate, *SHAPE_RANGE)) + PRIOR_PEAKS * PRIOR_SHAPE) / (count + PRIOR_PEAKS)
    return Tail(level, mean * (1.0 - shape), shape, count / len(pooled), on_delay=on_delay)


def peaks(series: NDArray[np.float64], level: float, gap: int) -> NDArray[np.float64]:
    """The highest of each run above `level`; `gap` windows below it part two runs."""
    above = np.flatnonzero(series > level)
    if len(above) == 0:
        return np.empty(0)
    runs = np.split(above, np.flatnonzero(np.diff(above) > gap) + 1)
    return np.array([series[run].max() for run in runs])
