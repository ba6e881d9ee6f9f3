"""Models beside those in use, on the same readings: what they would have raised is held against what was raised, and nobody is told.

    push(Readings) ─ a fleet of its own ─ step(Outcomes of the models in use) ─► SideBySide
    exchange(asset)      what is beside goes to use, with the alert as it stands; what was in use goes on beside it, ready to come back

The two fleets share nothing, so that what is beside changes no answer of what is in use. An asset's shadow begins with the rows that
its detector holds: where both models make rows by the same law it is warm at once.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_ae.core.alert_events import AlertStep, EventType, Outcome, Withheld
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.timestamps import HOUR

OF_THE_ASSET = ("alert", "budget", "rules", "suppressed", "lessons", "peaks")
"""Of a detector's state: what goes over to another model's."""

ALERTS_KEPT = 100
"""Of an asset and a model, the newest: a candidate that raises more has said enough."""


SPARE_ALERTS = 1
"""So many more than another model are chance."""


@dataclass(slots=True)
class _Excursion:
    """An alert as the comparison knows it; event times. `cleared_ns` None: active."""

    onset_ns: int
    cleared_ns: int | None = None

    def meets(self, other: "_Excursion") -> bool:
        return _before(self.onset_ns, other.cleared_ns) and _before(other.onset_ns, self.cleared_ns)


def _before(t_ns: int, end_ns: int | None) -> bool:
    return end_ns is None or t_ns <= end_ns


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What two models have raised in the same time.

    assets: how many. judged_ns: the time whose windows the model beside has judged, of the asset that has most of it. current, other:
    alerts of the model in use, and of the one beside. fewer: those of the model in use while the other raised none; more: the other way
    round.
    """

    assets: int
    judged_ns: int
    current: int
    other: int
    more: int
    fewer: int

    @property
    def agree(self) -> bool:
        """Whether each alert of either was one of the other, too."""
        return self.more == self.fewer == 0

    @property
    def is_louder(self) -> bool:
        """Whether the model beside has raised more alerts than the one in use, by more than chance."""
        return self.other > self.current + SPARE_ALERTS

    def text(self, other: str, current: str) -> str:
        """A sentence on it, in which the two models are called so."""
        same = ", the same" if self.agree and self.other > 0 else ""
        return (
            f"in {self.judged_ns / HOUR:.3g} h {current} {_alerts(self.current)}, {other} {_alerts(self.other)}{same}; "
            f"{self.more} more, {self.fewer} fewer"
        )


def _alerts(number: int) -> str:
    return f"{number} alert{'' if number == 1 else 's'}"


class _Account:
    """One asset's alerts by each of the two models."""

    def __init__(self) -> None:
        self.judged_ns = 0
        self.current: deque[_Excursion] = deque(maxlen=ALERTS_KEPT)
        self.other: deque[_Excursion] = deque(maxlen=ALERTS_KEPT)

    @property
    def more(self) -> int:
        return sum(not any(map(one.meets, self.current)) for one in self.other)

    @property
    def fewer(self) -> int:
        return sum(not any(map(one.meets, self.other)) for one in self.current)

    def snapshot(self) -> dict[str, Any]:
        kept = {name: [[one.onset_ns, one.cleared_ns] for one in getattr(self, name)] for name in ("current", "other")}
        return {"judged_ns": self.judged_ns, **kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.judged_ns = state["judged_ns"]
        for name in ("current", "other"):
            getattr(self, name).extend(_Excursion(*one) for one in state[name])


class Shadows:
    """Of the assets of one node. `fleet`: their detectors beside those in use."""

    def __init__(self, node: str, max_assets: int = 1000) -> None:
        self.fleet = Fleet(node, max_assets)
        self._tallies: dict[str, _Account] = {}

    def begin(self, current: Detector, watch: Watch, state: Mapping[str, Any] | None = None) -> None:
        """Watch an asset in this way, too, from the rows that its detector holds, or from what `snapshot` gave."""
        self.fleet.on_probation |= {watch.model.spec.sha256}
        self._tallies[current.asset] = tally = _Account()
        beside = self.fleet.add(current.asset, watch)
        beside.restore(current.snapshot() if state is None else state["detector"])
        beside.lessons.take_over(current.lessons)
        beside.lessons.take_over(current.lessons)
        if state is not None:
            tally.restore(state["tally"])

    def end(self, asset: str) -> None:
        """Watch an asset beside no more."""
        self.fleet.remove(asset)
        del self._tallies[asset]
        self.fleet.on_probation &= {one.spec.sha256 for one in self.fleet.detectors.values()}

    def push(self, readings: Readings) -> None:
        """Take readings; those of assets that have nothing beside are passed over."""
        self.fleet.push(readings, None)

    def step(self, outcomes: Iterable[Outcome]) -> None:
        """Score and judge what is due, and hold it against `outcomes` of the models in use. Raises ModelFails."""
        if not self._tallies:
            return
        for outcome in outcomes:
            if not isinstance(outcome, Scored) and outcome.asset in self._tallies:
                _take(self._tallies[outcome.asset].current, outcome)
        self._take_in(self.fleet.step())

    def _take_in(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            tally = self._tallies[outcome.asset]
            if isinstance(outcome, Scored):
                spec = self.fleet.detectors[outcome.asset].spec
                tally.judged_ns += spec.hop * spec.period_ns
            else:
                _take(tally.other, outcome)

    def tick(self, now_ns: int, listening: bool) -> None:
        """Once a second or so, by the wall clock, as the fleet in use is told."""
        self._take_in(self.fleet.tick(now_ns, listening))

    def exchange(self, assets: Collection[str], fleet: Fleet) -> None:
        """Put to use what is beside, and what is in use beside it; the comparison begins anew."""
        for asset in assets:
            old = fleet.detectors[asset]
            self.fleet.detectors[asset].take_over(old)
            self.fleet.on_probation |= {old.spec.sha256}
            self._tallies[asset] = _Account()
        self.fleet.exchange(assets, fleet)

    def compared(self, assets: Collection[str]) -> SideBySide:
        """What has come of these assets, those that there are."""
        tallies = [self._tallies[asset] for asset in assets if asset in self._tallies]
        return SideBySide(
            assets=len(tallies),
            judged_ns=max((one.judged_ns for one in tallies), default=0),
            current=sum(len(one.current) for one in tallies),
            other=sum(len(one.other) for one in tallies),
            more=sum(one.more for one in tallies),
            fewer=sum(one.fewer for one in tallies),
        )

    def snapshot(self, asset: str) -> dict[str, Any] | None:
        """What a restart must know of an asset, as plain values; None: nothing is beside."""
        if asset not in self._tallies:
            return None
        return {"detector": self.fleet.detectors[asset].snapshot(), "tally": self._tallies[asset].snapshot()}


def _take(excursions: deque[_Excursion], step: AlertStep) -> None:
    """One that the owner's rules withhold counts as one that is announced does, and once where that is announced later: the same rules
    stand for both models."""
    event = step.event if isinstance(step, Withheld) else step
    is_known = len(excursions) > 0 and excursions[-1].onset_ns == event.alert.onset_ns
    if event.type is EventType.NEW and not is_known:
        excursions.append(_Excursion(event.alert.onset_ns or 0))
    elif event.type is EventType.END and excursions:
        excursions[-1].cleared_ns = event.alert.cleared_ns


def handed_over(state: Mapping[str, Any], beside: Mapping[str, Any] | None, sha256: str) -> Mapping[str, Any]:
    """The state of a detector with which the model `sha256` goes on: where that ran beside, its own, with the alert as it stands.

    `state`: as the detector in use gave it; `beside`: as `Shadows.snapshot` gave it.
    """
    own = {} if beside is None else beside["detector"]
    if sha256 == state.get("model") or sha256 != own.get("model"):
        return state
    former = {**state["former"], state["model"]: state["threshold"]}
    return {**own, **{key: state[key] for key in OF_THE_ASSET if key in state}, "former": former}
