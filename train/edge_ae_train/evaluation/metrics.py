"""How good are scores and alarms, row by row and event by event. Pure: arrays in, numbers out.

A row is labelled or not, an alarm is on or off, an event is a run of labelled rows and an alert a run of alarm
rows. Nothing here is point-adjusted: crediting a whole event for one row of it makes a coin look like a detector
(Kim et al., "Towards a rigorous evaluation of time-series anomaly detection", AAAI 2022).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ae_train.data.segments import Flags, episodes

Array = NDArray[np.float64]

THRESHOLDS = 250  # of the VUS curve, as in TSB-AD
QUARTERS = 4  # sub-rows for the affiliation integrals: every kink lies on a quarter of a row


# -- row by row --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """Rows by alarm and label. Counts of several series add up, as in the SKAB leaderboard."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def precision(self) -> float:
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def false_alarm_rate(self) -> float:
        """Share of the normal rows under an alarm."""
        return _ratio(self.fp, self.fp + self.tn)

    @property
    def missed_rate(self) -> float:
        """Share of the labelled rows without an alarm."""
        return _ratio(self.fn, self.fn + self.tp)


def count(alarm: Flags, label: Flags) -> Counts:
    return Counts(
        tp=int((alarm & label).sum()),
        fp=int((alarm & ~label).sum()),
        fn=int((~alarm & label).sum()),
        tn=int((~alarm & ~label).sum()),
    )


def best_f1(score: Array, label: Flags) -> float:
    """The F1 of the best boundary, chosen with the labels in hand: what no one has in the field."""
    tp, alarms = _sweep(score, label)
    return float((2 * tp / (alarms + label.sum())).max()) if label.any() else math.nan


def average_precision(score: Array, label: Flags) -> float:
    """Area under precision over recall, by steps (AUC-PR)."""
    if not label.any():
        return math.nan
    tp, alarms = _sweep(score, label)
    steps = np.diff(tp, prepend=0.0) / label.sum()
    return float((steps * tp / alarms).sum())


def _sweep(score: Array, label: Flags) -> tuple[Array, Array]:
    """True alarms and alarms for `score >= t`, with t going down through all the different scores."""
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    return np.cumsum(label[order], dtype=np.float64)[last_of_ties], last_of_ties + 1.0


# -- VUS-PR ------------------------------------------------------------------------------------------------


def vus_pr(score: Array, label: Flags, max_buffer: int = 100) -> float:
    """Volume under the precision-recall surface: range-AUC-PR, averaged over buffers of 0 to `max_buffer` rows.

    Paparrizos et al., "Volume under the surface", PVLDB 15 (2022); the variant that TSB-AD reports: 250
    boundaries at even ranks of the score, and a buffer's weight counts as positive only where it is alarmed.
    """
    if not label.any():
        return math.nan
    order = np.argsort(-score, kind="stable")
    ranks = np.linspace(0, len(score) - 1, THRESHOLDS).astype(np.int64)
    boundary = score[order][ranks]
    alarms = np.searchsorted(-score[order], -boundary, side="right")
    events = episodes(label)
    curves = [_range_ap(score, label, events, order, boundary, alarms, width) for width in range(max_buffer + 1)]
    return float(np.mean(curves))


def _range_ap(
    score: Array,
    label: Flags,
    events: NDArray[np.int64],
    order: NDArray[np.int64],
    boundary: Array,
    alarms: NDArray[np.int64],
    width: int,
) -> float:
    tp = np.cumsum(_buffered(label, events, width)[order])[alarms - 1]
    hits = np.cumsum(label[order])[alarms - 1]
    positives = label.sum() + (tp - hits) / 2
    peaks = np.array([score[first:end].max() for first, end in _merged(events, width // 2, len(score))])
    found = (peaks[None, :] >= boundary[:, None]).mean(axis=1)
    recall = np.minimum(tp / positives, 1.0) * found
    return float((np.diff(recall, prepend=0.0) * tp / alarms).sum())


def _buffered(label: Flags, events: NDArray[np.int64], width: int) -> Array:
    """Labels as weights, with slopes of half a `width` of rows before and after each event."""
    weight = label.astype(np.float64)
    if width < 2:
        return weight
    slope = np.sqrt(1.0 - np.arange(1, width // 2 + 1) / width)
    for first, end in events:
        after = weight[end : end + len(slope)]
        after += slope[: len(after)]
        before = weight[max(first - len(slope), 0) : first]
        before += slope[: len(before)][::-1]
    return np.minimum(weight, 1.0)


def _merged(events: NDArray[np.int64], half: int, rows: int) -> list[tuple[int, int]]:
    """Events with their buffers; those that touch are one."""
    merged: list[tuple[int, int]] = []
    for first, end in events.tolist():
        if merged and first - half < merged[-1][1]:
            merged[-1] = (merged[-1][0], min(end + half, rows))
        else:
            merged.append((max(first - half, 0), min(end + half, rows)))
    return merged


# -- affiliation -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affiliation:
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        if math.isnan(self.precision):
            return 0.0
        return _ratio(2 * self.precision * self.recall, self.precision + self.recall)


def affiliation(alarm: Flags, label: Flags) -> Affiliation:
    """How much nearer to the events the alarms are than chance: Huet et al., KDD 2022. 0.5 is chance, 1 is exact.

    Each event has the zone of rows that are nearest to it. Precision is the mean, over alarmed time in a zone,
    of the chance that a random instant of the zone lies farther from the event; recall the mean, over the event,
    of the chance that it lies farther than the nearest alarm. Both are then averaged over the zones (precision
    over those with alarms). The integrands are piecewise linear, so that midpoints of quarter rows are exact.
    """
    if not label.any():
        return Affiliation(math.nan, math.nan)
    events = episodes(label).astype(np.float64)
    borders = np.concatenate(([0.0], (events[:-1, 1] + events[1:, 0]) / 2, [float(len(label))]))
    time = (np.arange(len(label) * QUARTERS) + 0.5) / QUARTERS
    alarmed = np.repeat(alarm, QUARTERS)
    zones = [
        _zone(time[part], alarmed[part], event, low, high)
        for event, low, high in zip(events, borders[:-1], borders[1:], strict=True)
        for part in [slice(round(low * QUARTERS), round(high * QUARTERS))]
    ]
    known = [precision for precision, _ in zones if not math.isnan(precision)]
    precision = float(np.mean(known)) if known else math.nan
    return Affiliation(precision, float(np.mean([recall for _, recall in zones])))


def _zone(time: Array, alarmed: Flags, event: Array, low: float, high: float) -> tuple[float, float]:
    """Precision and recall of the alarms in the zone `low` to `high` of one event."""
    if not alarmed.any():
        return math.nan, 0.0
    first, end = event
    away = np.maximum(np.maximum(first - time, time - end), 0.0)[alarmed]
    nearer = (end - first) + np.minimum(away, first - low) + np.minimum(away, high - end)
    precision = np.where(away > 0, 1.0 - nearer / (high - low), 1.0).mean()
    inside = time[(time > first) & (time < end)]
    away = _distance(inside, episodes(alarmed) / QUARTERS + low)
    nearer = np.minimum(away, inside - low) + np.minimum(away, high - inside)
    return float(precision), float((1.0 - nearer / (high - low)).mean())


def _distance(time: Array, runs: Array) -> Array:
    """From each instant to the nearest of the runs, which are in order and apart."""
    after = np.searchsorted(runs[:, 0], time)  # the first run that begins later
    ahead = np.append(runs[:, 0], np.inf)[after] - time
    behind = time - np.append(-np.inf, runs[:, 1])[after]
    nearest: Array = np.maximum(np.minimum(ahead, behind), 0.0)
    return nearest


# -- event by event ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Events:
    """What a person on duty sees. Several series add up."""

    events: int = 0
    found: int = 0
    delays_rows: tuple[int, ...] = ()
    """rows of the grid from the beginning of each event found to its first alarm row"""
    alerts: int = 0
    false_alerts: int = 0
    normal_rows: int = 0

    def __add__(self, other: "Events") -> "Events":
        return Events(
            self.events + other.events,
            self.found + other.found,
            self.delays_rows + other.delays_rows,
            self.alerts + other.alerts,
            self.false_alerts + other.false_alerts,
            self.normal_rows + other.normal_rows,
        )

    @property
    def recall(self) -> float:
        return _ratio(self.found, self.events)

    @property
    def median_delay_rows(self) -> float:
        return float(np.median(self.delays_rows)) if self.delays_rows else math.nan

    def false_alerts_per(self, rows: float) -> float:
        """False alerts in so many normal rows."""
        return _ratio(self.false_alerts * rows, self.normal_rows)


def match_events(alarm: Flags, label: Flags, slot: NDArray[np.int64] | None = None) -> Events:
    """An event is found by any alarm row in it; an alert is false when it touches no event.

    `slot` [row]: where each lies on the grid; None: one follows the other.
    """
    at = np.arange(len(label)) if slot is None else slot
    events, alerts = episodes(label), episodes(alarm)
    firsts = [(first, np.flatnonzero(alarm[first:end])) for first, end in events]
    delays = tuple(int(at[first + rows[0]] - at[first]) for first, rows in firsts if len(rows) > 0)
    return Events(
        events=len(events),
        found=len(delays),
        delays_rows=delays,
        alerts=len(alerts),
        false_alerts=sum(not label[first:end].any() for first, end in alerts),
        normal_rows=int((~label).sum()),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
