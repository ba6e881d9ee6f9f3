"""Whether the time of day does something to a machine that is the same each day, and what: a smooth curve for each channel.

    rows of seven days and more ─► the first part: waves of a day, by least squares ─► the rest: does it take anything off?
    and where two weekends are in the first part, and days of one in the rest: does it take off more with weekends apart?

All channels that have levels are taken together: what one channel does by another stays so when both lose their course. Pure:
stretches of rows in, weights out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Channel, Kind
from edge_ae.core.season import DAY_NS, DAY_WAVES, WEEK_WAVES, DayCourse, is_weekend, local_ns, waves
from edge_ae.core.timestamps import HOUR
from edge_ae_train.data.segments import Segment

LEAST_DAYS = 7
CLOCKS_NS = 30 * 365 * DAY_NS  # 2000, about: times before that are counted from some beginning, and no clock's
HOURS = 24
FIRST = 0.7  # of the rows, to which the course is fitted: of many rows networks are fitted to these, and calibrated on the others
LEAST_GAIN = 0.3  # of a channel's variance in the rest, that the course takes off: some channel's
LEAST_WEEKENDS = 4, 1  # Saturdays and Sundays in the first rows, and in the rest
LEAST_MORE = 0.01  # that a course of its own at weekends takes off in the mean, beyond what every day's does
LEAST_MEAN = 0.05  # of all channels': with less, days of servers raised a quarter more false alerts and showed hardly more faults
MOST_ROWS = 50_000  # looked at
MOST_NAMED, LEAST_NAMED = 5, 0.1  # channels, and of their variance
RIDGE = 1e-3  # of the rows: so few days say little of the short waves


@dataclass(frozen=True)
class Season:
    """`weights` [channel]: as `Channel.season`. `gain` [channel]: the share of the variance of later rows that it takes off."""

    weights: tuple[tuple[float, ...], ...]
    gain: tuple[float, ...]
    zone: tzinfo
    period_ns: int

    def text(self, names: Sequence[str]) -> str:
        """Which channels it is of most, in a sentence."""
        most = sorted(zip(self.gain, names, strict=True), reverse=True)[:MOST_NAMED]
        shares = ", ".join(f"{gain:.0%} of {name}" for gain, name in most if gain >= LEAST_NAMED)
        advice = "; where clocks go forward in spring, give --time-zone" if self.zone is UTC else ""
        known = "a day, and of one at the weekend" if max(map(len, self.weights)) == WEEK_WAVES else "a day"
        return f"knows the course of {known}, by the clock of {self.zone}: on later days it explains {shares}{advice}"

    def less(self, segments: Sequence[Segment]) -> list[Segment]:
        """Rows as the graph takes them."""
        course = DayCourse(self.weights, self.zone, self.period_ns)
        return [replace(one, values=one.values - course.of(one.start_slot, len(one))) for one in segments]


def find_season(
    segments: Sequence[Segment], channels: Sequence[Channel], period_ns: int, zone: tzinfo
) -> Season | None:
    """None where times are no clock's, fewer than seven days show every hour of a day, or no channel has a course that holds in the
    days after those that it was found in."""
    slots = np.concatenate([one.start_slot + np.arange(len(one), dtype=np.int64) for one in segments])
    step = -(-len(slots) // MOST_ROWS)
    slots, values = slots[::step], np.concatenate([one.values for one in segments])[::step].astype(np.float64)
    if slots[0] * period_ns < CLOCKS_NS or not _shows_every_hour(slots, period_ns, zone):
        return None
    level = [index for index, channel in enumerate(channels) if channel.kind in (Kind.ANALOG, Kind.COUNTER)]
    if not level:
        return None
    first, basis = int(FIRST * len(slots)), waves(slots, period_ns, zone)
    weights, gain = _courses(basis[:, :DAY_WAVES], values, level, first)
    if _shows_weekends(slots, first, period_ns, zone):
        apart, more = _courses(basis, values, level, first)
        if more[level].mean() >= gain[level].mean() + LEAST_MORE:
            weights, gain = apart, more
    if gain.max() < LEAST_GAIN or gain[level].mean() < LEAST_MEAN:
        return None
    kept = tuple(tuple(row.tolist()) if index in level else () for index, row in enumerate(weights))
    return Season(kept, tuple(gain.tolist()), zone, period_ns)


def _courses(
    basis: NDArray[np.float64], values: NDArray[np.float64], level: Sequence[int], first: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights [channel, wave], and gain [channel]; 0 of channels that have no level. `basis` [row, wave]."""
    weights, gain = np.zeros((values.shape[1], basis.shape[1])), np.zeros(values.shape[1])
    for index in level:
        weights[index], gain[index] = _course(basis, values[:, index], first)
    return weights, gain


def _course(basis: NDArray[np.float64], values: NDArray[np.float64], first: int) -> tuple[NDArray[np.float64], float]:
    """The weights of the waves, from the first rows, and the share that they take off the variance of the others."""
    there = ~np.isnan(values)
    known, rest = there[:first], there[first:]
    if known.sum() < basis.shape[1] or rest.sum() < basis.shape[1]:
        return np.zeros(basis.shape[1]), 0.0
    design, signal = basis[:first][known], values[:first][known]
    centre, mean = design.mean(axis=0), float(signal.mean())
    moved = design - centre
    found = np.linalg.solve(moved.T @ moved + RIDGE * len(moved) * np.eye(moved.shape[1]), moved.T @ (signal - mean))
    later, course = values[first:][rest], basis[first:][rest] @ found
    variance = float(later.var())
    return found, 1.0 - float((later - course).var()) / variance if variance > 0.0 else 0.0


def _shows_every_hour(slots: NDArray[np.int64], period_ns: int, zone: tzinfo) -> bool:
    """Whether each hour of a day was seen on seven days."""
    hours = np.unique(local_ns(slots, period_ns, zone) // HOUR)
    return len(hours) > 0 and int(np.bincount(hours % HOURS, minlength=HOURS).min()) >= LEAST_DAYS


def _shows_weekends(slots: NDArray[np.int64], first: int, period_ns: int, zone: tzinfo) -> bool:
    """Whether there are weekends enough to learn from, and behind them days of one to try it on."""
    local = local_ns(slots, period_ns, zone)
    weekend = is_weekend(local)
    seen = (len(np.unique(part // DAY_NS)) for part in (local[:first][weekend[:first]], local[first:][weekend[first:]]))
    return all(days >= least for days, least in zip(seen, LEAST_WEEKENDS, strict=True))
