"""Score -> Verdict: judge, then learn. Two calls, in that order; what is judged now has taught nothing yet.

The boundary comes from the model's tail and the owner's budget of alerts. Four things may move it, all bounded, and but for what
alerts cost none is learned from a window that looks suspicious:

    spending   alerts came more often, or more seldom, than the budget allows: the tail is asked for fewer, or for more, up
               to SPENDING_LIMIT either way, and the boundary up to SPENDING_HEIGHT (adaptive conformal inference: Gibbs
               and Candes, 2021), in steps that are the larger the fewer alerts have been counted, for a tail from few rows
               is soon seen to be wrong. An alert well
               above the boundary is a fault, not an error of the tail, and is not counted. One that hardly passes it and
               lasts goes on being charged: a level that stays just above the boundary is one that the tail did not know.
               Where gross faults keep the boundary below the tail's, alerts move it in proportion, also beyond them: they
               have shown what normal is
    drift      the median score of quiet windows has moved: followed slowly, up to DRIFT_LIMIT. Quiet is what lies below
               the tail's beginning
    residue    an excursion is over, the score has come more than half-way back, yet not down to normal (the water is
               still warm): what is left is drift, not fault. The boundary stands a margin above it, and only sinks
    accepted   the owner accepted the present level as normal

Spending alone may take it below where it was calibrated, and that not below the tail's beginning.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from edge_ae.core.events import Verdict
from edge_ae.core.model_spec import ModelSpec

SPENDING_STEP = 1.0  # an alert divides the rate asked of the tail by e; its budgeted time without one gives it back
# More at first, and a share of them later: with none, a fifth of the tails was too far off for the first two alerts.
EARLY_STEPS = 2.0
# Alerts that are charged in the budgeted time of one, for an alert that lasts so long just above the boundary.
LASTING = 2.0
# A window of an alert, where the boundary had sunk: it is as calibrated within 340 windows.
COMING_BACK = 0.01 * SPENDING_STEP
SPENDING_LIMIT = math.log(30.0)  # a thirtieth of the budgeted rate, and thirty times
# Times the calibrated boundary, and no higher: by a heavy tail a thirtieth of the rate may be beyond any fault.
SPENDING_HEIGHT = 2.0
FAULT_RATIO = 1.5  # An alert that reaches this is a fault and costs no budget; with 1.25, normal rows alert more often than asked.
DRIFT_LIMIT = math.log(2.0)
LIFT_LIMIT = math.log(20.0)  # residue and accepted level lift the boundary this far and no further
MEMORY_WINDOWS = 2000  # windows after which a lasting change of the quiet level has been followed
RECENT_WINDOWS = 8  # memory of the recent level
RECOVERY_WINDOWS = 10  # windows in a row that are more than half-way back, in logarithms, end an excursion
LEAST_HEIGHT = math.log(1.5)  # an excursion that hardly left the boundary has no way back to show
RESIDUE_MARGIN = math.log(1.3)  # just over what the deadband asks for, so that the alert clears
TINY = 1e-9


def costs_budget(peak_ratio: float) -> bool:
    """Whether an alert with this highest ratio counts against the budget: a machine's fault does not."""
    return peak_ratio < FAULT_RATIO


@dataclass(slots=True)
class _Lift:
    """Natural logarithms relative to the calibrated boundary, but for `spent`, which divides the budgeted rate, `alerts`, those
    that were counted, and `peak`, the highest ratio of the alert that lasts; an excursion is summed up by its mean."""

    spent: float = 0.0
    alerts: int = 0
    peak: float = 0.0  # 0: no alert
    drift: float = 0.0
    residue: float = 0.0
    accepted: float = 0.0
    recent: float = 0.0
    excursion_sum: float = 0.0
    excursion_windows: int = 0
    back_windows: int = 0


LIFT = tuple(field.name for field in fields(_Lift))  # `asdict` copies deeply, which takes ten times as long


class Threshold:
    """One asset's boundary. `budget_per_window`: alerts that the owner accepts, for one window of normal data.

    `value`: the score at which a window is no longer normal, above 0.
    """

    def __init__(self, spec: ModelSpec, budget_per_window: float) -> None:
        self._tail = spec.tail
        self._usual = max(spec.typical, TINY)
        self._calibrate(budget_per_window)
        self._lift = _Lift(recent=self._typical)
        self.value = self._found()

    def _calibrate(self, budget_per_window: float) -> None:
        self._budget = budget_per_window
        self._base = max(self._tail.boundary(budget_per_window), TINY)  # as calibrated
        extrapolated = self._tail.extrapolated(budget_per_window)
        self._below = self._base / extrapolated if self._base < extrapolated else 1.0  # for the sake of gross faults
        self._typical = math.log(self._usual / self._base)
        self._suspicious = math.log(max(self._tail.level, self._usual) / self._base)

    def set_budget(self, budget_per_window: float) -> None:
        """Accept another number of alerts from now on. The levels that were learned stay where they are."""
        before, lift = self._base, self._lift
        self._calibrate(budget_per_window)
        by = math.log(before / self._base)
        lift.recent += by
        lift.excursion_sum += by * lift.excursion_windows
        lift.residue = max(lift.residue + by, 0.0) if lift.residue > 0.0 else 0.0
        self.value = self._found()

    def _found(self) -> float:
        """The value as it follows from all that was learned; called once after each change, for it is asked for more often."""
        lift = self._lift
        asked = self._tail.extrapolated(self._budget * math.exp(-lift.spent)) * self._below
        budgeted = max(min(asked, SPENDING_HEIGHT * self._base), self._tail.level, TINY)
        followed = budgeted * math.exp(lift.accepted + max(lift.drift, 0.0))
        return max(followed, self._base * math.exp(lift.residue)) if lift.residue > 0.0 else followed

    def boundary_at(self, budget_per_window: float) -> float:
        """Where the boundary would be now with another budget: what was learned lies on it as on the present one."""
        return max(self._tail.boundary(budget_per_window), TINY) * (self.value / self._base)

    def judge(self, slot: int, score: float) -> Verdict:
        """Hold a score against the present boundary; changes nothing."""
        return Verdict(slot, score, self.value, score / self.value)

    def learn(self, verdict: Verdict, active: bool) -> None:
        """Let a verdict that has been used move the boundary. `active`: with this window, the asset has an alert."""
        self._learn_spending(verdict.ratio, active)
        level = math.log(max(verdict.score, TINY) / self._base)
        self._lift.recent += (level - self._lift.recent) / RECENT_WINDOWS
        self._learn_residue(level, verdict.ratio >= 1.0)
        quiet = level < self._suspicious + self._lift.accepted + max(self._lift.drift, 0.0)
        if quiet and self._lift.residue == 0.0:
            self._learn_drift(level)
        self.value = self._found()

    def _learn_spending(self, ratio: float, active: bool) -> None:
        lift = self._lift
        if active:
            lift.peak = max(lift.peak, ratio)
            if costs_budget(ratio):
                self._charge_lasting()
            return
        counts = lift.peak > 0.0 and costs_budget(lift.peak)
        lift.alerts += counts
        step = SPENDING_STEP * (1.0 + EARLY_STEPS / (1.0 + lift.alerts))
        lift.spent = min(max(lift.spent + step * (counts - self._budget), -SPENDING_LIMIT), SPENDING_LIMIT)
        lift.peak = 0.0

    def _charge_lasting(self) -> None:
        """One more window of an alert that is no fault."""
        lift = self._lift
        if lift.spent < 0.0:
            lift.spent = min(lift.spent + COMING_BACK, 0.0)
        else:
            lift.spent = min(lift.spent + LASTING * self._budget, SPENDING_LIMIT)

    def _learn_drift(self, level: float) -> None:
        """Robbins and Monro's median: a step up or down, whatever the distance."""
        lift = self._lift
        step = math.copysign(1.0 / MEMORY_WINDOWS, level - (self._typical + lift.accepted + lift.drift))
        lift.drift = min(max(lift.drift + step, -DRIFT_LIMIT), DRIFT_LIMIT)

    def _learn_residue(self, level: float, above: bool) -> None:
        lift = self._lift
        if lift.residue > 0.0:
            lift.residue = min(lift.residue, max(lift.recent + RESIDUE_MARGIN, 0.0))
        if above:
            lift.excursion_sum += level
            lift.excursion_windows += 1
        if lift.excursion_windows == 0:
            return
        height = lift.excursion_sum / lift.excursion_windows
        half_way = 0.5 * height
        lift.back_windows = lift.back_windows + 1 if level < half_way else 0
        if lift.back_windows < RECOVERY_WINDOWS:
            return
        if height >= LEAST_HEIGHT and lift.recent + RESIDUE_MARGIN > 0.0:
            lift.residue = min(lift.recent + RESIDUE_MARGIN, LIFT_LIMIT)
        lift.excursion_sum, lift.excursion_windows, lift.back_windows = 0.0, 0, 0

    def accept(self) -> None:
        """Take the recent level for normal from now on: the way out of a lasting, wanted change."""
        accepted = min(max(self._lift.recent - self._typical, 0.0), LIFT_LIMIT)
        known = self._lift
        self._lift = _Lift(alerts=known.alerts, peak=known.peak, accepted=accepted, recent=known.recent)
        self.value = self._found()

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {name: getattr(self._lift, name) for name in LIFT}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made, be it by a version that learned more, or less."""
        self._lift = _Lift(**{name: state[name] for name in LIFT if name in state})
        self.value = self._found()
