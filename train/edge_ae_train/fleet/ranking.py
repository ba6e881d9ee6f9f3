"""What evaluations say of machines -> which to look at first, and why. Pure.

Points are added up: an alert that lasts, alerts beyond what the budget allows, time in alert, and being unlike its class.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_ae_train.fleet.jobs import JobRow

ACTIVE = 3.0  # points of an alert that lasts to the end of the recordings
MOST_BEYOND, MOST_SHARE = 5.0, 5.0  # points at most of alerts beyond the budget, and of time in alert
PER_SHARE = 10.0  # points of being in alert all the time, before they are cut
ODD, MOST_ODD = 5.0, 2.0  # spreads of its class from which on a machine is odd, and the points of that at most
LEAST_ALIKE = 4  # machines, below which nobody is the odd one
NORMAL_SPREADS = 1.4826  # standard deviations of a normal law in its median absolute deviation
LEAST_SPREAD = 0.1  # of how a channel moves in a machine: what is nearer to each other is alike


@dataclass(frozen=True, slots=True)
class Oddness:
    """How far a machine's channel lies from those of its class, in spreads of the class; above is positive."""

    channel: str
    spreads: float

    @property
    def text(self) -> str:
        side = "above" if self.spreads > 0 else "below"
        return f"{self.channel} lies {abs(self.spreads):.1f} spreads {side} its class"


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine in the ranking. `reasons`: sentences, the weightiest first; none: nothing to look at."""

    asset: str
    model: str
    points: float
    reasons: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    oddness: Oddness | None = None


def ranked(rows: Iterable[JobRow]) -> list[Machine]:
    """Of rows of evaluations that are done, what needs a look first."""
    done = [row for row in rows if row.is_done]
    odd = {row.key: one for members in _classes(done) for row, one in zip(members, oddnesses(members), strict=True)}
    machines = [_machine(row, odd.get(row.key)) for row in done]
    return sorted(machines, key=lambda machine: (-machine.points, machine.asset))


def _machine(row: JobRow, oddness: Oddness | None) -> Machine:
    points = list(_points(row.facts, oddness))
    weighty = sorted((one for one in points if one[0] > 0), key=lambda one: -one[0])
    reasons = tuple(text for _, text in weighty)
    return Machine(row.key, row.facts["model"], sum(part for part, _ in points), reasons, row.facts, oddness)


def _points(facts: Mapping[str, Any], oddness: Oddness | None) -> Iterable[tuple[float, str]]:
    newest = facts["newest_alerts"][-1] if facts["newest_alerts"] else None
    if facts["active"] and newest is not None:
        yield ACTIVE, f"in alert since {newest['raised']}: {newest['reason']}"
    beyond = (facts["alerts"] - facts["allowed"]) / math.sqrt(max(facts["allowed"], 1.0))
    if facts["alerts"] > 0:
        alerts = "1 alert" if facts["alerts"] == 1 else f"{facts['alerts']} alerts"
        text = f"{alerts} in {facts['weeks']:.3g} weeks, the budget allows {facts['allowed']:.3g}"
        yield min(max(beyond, 0.0), MOST_BEYOND), text
        share = facts["alert_share"]
        yield min(PER_SHARE * share, MOST_SHARE), f"{share:.1%} of the time in alert"
    if oddness is not None and abs(oddness.spreads) >= ODD:
        yield min(abs(oddness.spreads) / ODD, MOST_ODD), oddness.text


def _classes(rows: Sequence[JobRow]) -> list[list[JobRow]]:
    """Rows of machines that share a model; of those that have one each, the rows with the same channels."""
    by_model: dict[tuple[str, ...], list[JobRow]] = {}
    for row in rows:
        by_model.setdefault((row.facts["model"], *row.facts["channels"]), []).append(row)
    by_channels: dict[tuple[str, ...], list[JobRow]] = {}
    for members in by_model.values():
        if len(members) == 1:
            by_channels.setdefault(tuple(members[0].facts["channels"]), []).extend(members)
    return [*(members for members in by_model.values() if len(members) > 1), *by_channels.values()]


def oddnesses(rows: Sequence[JobRow]) -> list[Oddness | None]:
    """Of each machine its oddest channel, by where it lies (see `places`). None in a class of fewer than LEAST_ALIKE."""
    if len(rows) < LEAST_ALIKE:
        return [None] * len(rows)
    middles = np.array([row.facts["middle"] for row in rows])
    moves = np.median([row.facts["spread"] for row in rows], axis=0)
    centre = np.median(middles, axis=0)
    spread = NORMAL_SPREADS * np.median(np.abs(middles - centre), axis=0)
    floor = np.maximum(LEAST_SPREAD * moves, 1e-9 * np.maximum(np.abs(centre), 1.0))
    away = (middles - centre) / np.maximum(spread, floor)
    places = np.abs(away).argmax(axis=1)
    names = rows[0].facts["channels"]
    return [Oddness(names[place], float(one[place])) for place, one in zip(places, away, strict=True)]
