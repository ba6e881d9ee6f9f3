"""What another budget would have raised, from the highest ratio of each hour of the past days.

    an hour's ratio x the boundary of its budget  ─► its level  ─┐
    each budget                                   ─► its boundary ┴─► alerts: runs of hours whose level is at the boundary or above

Both stand on what the boundary has learned by now, so that they compare with the present scores; what it had learned in an hour is
in that hour's ratio. For the budget in force an hour is beyond the boundary exactly where a score was. It is an estimate all
the same: on-delay and deadband are not known to it, and two alerts of one hour, or of neighbouring ones, are one.
"""

from collections.abc import Sequence

from edge_ae.core.alert_events import OtherBudgets, Supposed
from edge_ae.core.detector import Detector
from edge_ae.core.peak_hours import PeakHour
from edge_ae.core.rules import budget_ns, budget_text

BUDGETS = ("1/year", "3/year", "1/month", "2/month", "1/week", "2/week", "1/day", "2/day", "4/day")
"""The strictest first."""


def what_if(detector: Detector, hours: Sequence[PeakHour]) -> OtherBudgets:
    """`hours`: of the asset, the oldest first."""
    levels = [(one.hour, one.ratio * detector.boundary_at(one.interval_ns)) for one in hours]
    budgets: list[Supposed] = []
    for budget in BUDGETS:
        boundary = detector.boundary_at(budget_ns(budget))
        # A lower boundary joins two excursions into one alert; what a stricter budget raises is not counted as less for that.
        before = budgets[-1].alerts if budgets else 0
        budgets.append(Supposed(budget, boundary, max(before, runs(levels, boundary))))
    in_force = detector.interval_ns
    began = [(one.t_ns, level) for one, (_, level) in zip(hours, levels, strict=True)]
    return OtherBudgets(budget_text(in_force), detector.boundary_at(in_force), budgets, began)


def runs(levels: Sequence[tuple[int, float]], boundary: float) -> int:
    """How many runs of neighbouring hours are at the boundary or above."""
    above = [hour for hour, level in levels if level >= boundary]
    return sum(hour - 1 != before for before, hour in zip([None, *above], above, strict=False))
