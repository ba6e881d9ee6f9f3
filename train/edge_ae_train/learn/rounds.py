"""A round of learning for one stream: which of its assets are due for a model, and what comes of it.

    due, no model yet  ─ trial: has it shown all? ─► one of the classes that there are serves it ─► joins it
                                                 ─► else classes are found among the new ones ─► a model for each, in use at once
    due, with a model  ─ the class's recordings ─► challenger ─ no worse than the champion? ─► runs beside it, or is dropped

What came of it is put down class by class, so that a round that is cut off goes on with the next. Whatever an asset's recordings
lack is a sentence on that asset, which is tried again when more has come of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from edge_ae.core.expression import Expression
from edge_ae.core.learned_time import HOUR_NS, Goals, covered_ns
from edge_ae.core.rules import AlertRules
from edge_ae.errors import BadData, BadModel
from edge_ae.model.assignments import Assignments, Round
from edge_ae.store.known_assets import KnownAsset
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae_train.data.clean import in_order
from edge_ae_train.data.history import Hindsight
from edge_ae_train.data.prepare import RowOptions
from edge_ae_train.fleet.jobs import FleetJob, Product, file_name, performed
from edge_ae_train.fleet.ledger import ledger
from edge_ae_train.fleet.like import QUICK, found_classes
from edge_ae_train.fleet.models import ModelFile
from edge_ae_train.fleet.sources import AssetSource
from edge_ae_train.fleet.work import FIT, LOOK, RETRAIN, SERVE, FitOptions, RetrainOptions, ServeOptions
from edge_ae_train.learn.recorded import Recordings
from edge_ae_train.learn.shown_modes import shown_modes
from edge_ae_train.learn.workplace import Workplace
from edge_ae_train.training_options import AUTO

AGAIN = 8  # where no model came of it, an asset is tried again after this part of the time for a first one
LEAST_RECORDED = 0.5  # of the time that was counted must be in the recordings

Say = Callable[[str], None]


class Hindered(Exception):
    """Something keeps the machine from training now; the rest waits."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to know of a stream. `rules`: of its assets; `family`: of models, or AUTO; `hindsight`: gives what is known of the
    past, which takes a while to read. `zone`: by whose clock its machines have their day; None: UTC."""

    topic: str
    rules: AlertRules
    goals: Goals
    family: str
    hindsight: Callable[[], Hindsight]
    zone: tzinfo | None = None

    @property
    def when(self) -> Expression | None:
        return Expression.of(self.rules.when) if self.rules.when else None

    @property
    def fitting(self) -> FitOptions:
        rows, alone = RowOptions(when=self.when), self.family != AUTO
        return FitOptions(self.columns, rows, family=self.family, alone=alone)

    @property
    def columns(self) -> ReadOptions:
        return ReadOptions(time_zone=self.zone)


@dataclass(frozen=True, slots=True)
class InTurn:
    """An engine for jobs: one after the other, in this process, and none while something hinders."""

    hindered: Callable[[], str | None]
    workers: int = 1

    def run(self, jobs: Sequence[FleetJob]) -> Iterator[tuple[FleetJob, Product, int]]:
        """Raises Hindered between two jobs."""
        for job in jobs:
            yield job, self.product(job), 1

    def product(self, job: FleetJob) -> Product:
        """What one job makes."""
        reason = self.hindered()
        if reason is not None:
            raise Hindered(reason)
        return performed(job)


class LearningRound:
    """One round of one stream. `say`: gets a sentence on whatever was done."""

    def __init__(self, plan: Plan, place: Workplace, recordings: Recordings, engine: InTurn, say: Say) -> None:
        self._plan, self._place, self._recordings = plan, place, recordings
        self._engine, self._say = engine, say

    def run(self, assets: Sequence[KnownAsset]) -> None:
        """Raises Hindered where the rest has to wait, and BadData where nothing can be written."""
        known = {asset.name: asset for asset in assets}
        try:
            self._first_models([one for one in assets if self._is_due(one, None)])
            for name in sorted(set(self._place.made.classes.values())):
                self._another_model(name, known)
        finally:
            self._place.clear()

    # -- what is due ---------------------------------------------------------------------------------------

    def _is_due(self, asset: KnownAsset, name: str | None) -> bool:
        """For a model of the class `name`; None: for its first one."""
        if self._place.made.classes.get(asset.name) != name:
            return False
        return asset.learned_ns >= due_ns(self._place.made, asset.name, self._plan.goals)

    # -- first models --------------------------------------------------------------------------------------

    def _first_models(self, due: Sequence[KnownAsset]) -> None:
        ready = [source for asset in due if (source := self._ready(asset)) is not None]
        learned = {asset.name: asset.learned_ns for asset in due}
        alone = [source for source in ready if not self._joins(source)]
        if not alone:
            return
        try:
            with ledger(self._place.scratch) as book:
                grouped = found_classes(alone, self._plan.fitting, book, self._engine)
        except BadData as fault:
            for source in alone:
                self._put_off(source.asset, learned[source.asset], str(fault))
            return
        for text in grouped.notes:
            self._say(text)
        for name, reason in grouped.faults.items():
            self._put_off(name, learned[name], reason)
        for key, sources in grouped.members.items():
            self._found(key, sources, learned)

    def _ready(self, asset: KnownAsset) -> AssetSource | None:
        """The recordings of an asset that a model can be made of; None: not yet, as its note says."""
        self._require_unhindered()
        recorded_ns = 0  # the newest rows may not be on the disk yet: with more of them it is tried again
        try:
            source = self._recordings.of(asset.name)
            table = in_order(source.table(AS_IT_IS))
            recorded_ns = covered_ns(table.t_ns)
            _require_recorded(recorded_ns, asset.learned_ns, self._plan.goals)
            if asset.learned_ns < self._plan.goals.again_ns:
                shown = shown_modes(table, self._plan.when)
                if not shown.repeat:
                    self._put_off(asset.name, recorded_ns, f"{shown.text}, and more is waited for")
                    return None
        except BadData as fault:
            self._put_off(asset.name, recorded_ns, str(fault))
            return None
        return source

    def _joins(self, source: AssetSource) -> bool:
        """Whether the model of a class that there is serves a new asset as well as one of its own would."""
        looked = self._engine.product(FleetJob(source.asset, LOOK, (source,), self._plan.fitting))
        for name in sorted(set(self._place.made.classes.values())) if not looked.reason else ():
            shared = self._model_file(name, looked.facts)
            if shared is None:
                continue
            quick = replace(self._plan.fitting, family=QUICK if self._plan.family == AUTO else self._plan.family)
            job = FleetJob(source.asset, SERVE, (source,), ServeOptions(shared, replace(quick, alone=True)))
            if self._engine.product(job).facts.get("serves"):
                self._assign([source.asset], name)
                self._say(
                    f"{source.asset}: is watched with the model of {name}, which serves it as well as its own would"
                )
                return True
        return False

    def _model_file(self, name: str, looked: Mapping[str, Any]) -> ModelFile | None:
        """The model in use of a class, where it has the channels and the period that were seen."""
        from edge_ae.model.onnx_model import OnnxModel

        try:
            spec = OnnxModel.load(self._place.folder / name).spec
        except BadModel:
            return None
        alike = sorted(spec.names) == looked["channels"] and spec.period_ns == looked["period_ns"]
        path = self._place.folder / name / "current" / "model.onnx"
        return ModelFile(name, str(path.resolve()), spec.sha256) if alike else None

    def _found(self, key: str, sources: Sequence[AssetSource], learned: Mapping[str, int]) -> None:
        """The first model of a class, in use at once."""
        product = self._engine.product(FleetJob(key, FIT, tuple(sources), self._plan.fitting))
        names = [source.asset for source in sources]
        if product.reason:
            for name in names:
                self._put_off(name, learned[name], product.reason)
            return
        facts, name = product.facts, self._place.free_name(file_name(key))
        self._place.promote(name, next(iter(product.files.values())))
        members = list(facts["assets"])
        made = Round(max(learned[member] for member in members), facts["newest"])
        self._assign(members, name, made)
        for left_out, reason in facts["left_out"].items():
            self._put_off(left_out, learned[left_out], reason)
        self._say(
            f"{', '.join(members)}: first model, {facts['family']} of {facts['channels']} channels, from {facts['rows']:,} rows; "
            f"finds {facts['found']:.0%} of the injected faults"
        )

    # -- later rounds --------------------------------------------------------------------------------------

    def _another_model(self, name: str, known: Mapping[str, KnownAsset]) -> None:
        """A challenger for the model of a class, where one is due."""
        members = [known[asset] for asset, of in self._place.made.classes.items() if of == name and asset in known]
        most = max(members, key=lambda one: one.learned_ns, default=None)
        if most is None or not self._is_due(most, name):
            return
        self._require_unhindered()
        try:
            self._challenge(name, [one.name for one in members], most)
        except (BadData, BadModel) as fault:
            self._put_off(most.name, most.learned_ns, str(fault))

    def _challenge(self, name: str, members: Sequence[str], most: KnownAsset) -> None:
        current = next((one for one in self._place.registry(name).models() if one.is_current), None)
        if current is None:
            raise BadData(f"{self._place.folder / name}: holds no model that is in use")
        options = RetrainOptions(
            ModelFile(name, str(current.path), current.sha256),
            self._plan.rules,
            self._plan.hindsight(),
            self._plan.columns,
            family=self._plan.family,
        )
        sources = self._recordings.of_those(members)
        product = self._engine.product(FleetJob(name, RETRAIN, sources, options))
        if product.reason:
            raise BadData(product.reason)
        facts = product.facts
        self._place.compared(name, facts)
        if facts["replaced"]:
            self._place.try_out(name, next(iter(product.files.values())))
        made = Round(most.learned_ns, facts["newest"], facts["replaced"])
        self._assign(members, name, made)
        said = (
            "a new model is no worse, and runs beside the one in use until it takes its place"
            if facts["replaced"]
            else f"the model stays: {'; '.join(facts['worse'])}"
        )
        self._say(f"{', '.join(members)}: {said}")

    # -- what is put down ----------------------------------------------------------------------------------

    def _assign(self, assets: Sequence[str], name: str, made: Round | None = None) -> None:
        """These assets are of a class; nothing keeps them from a model any more."""
        before = self._place.made
        self._place.keep(
            Assignments(
                {**before.classes, **dict.fromkeys(assets, name)},
                before.rounds if made is None else {**before.rounds, name: made},
                _without(before.notes, assets),
                _without(before.tried, assets),
            )
        )

    def _put_off(self, asset: str, learned_ns: int, reason: str) -> None:
        """No model came of it: why, and from where on it is tried again."""
        before = self._place.made
        self._place.keep(
            replace(before, notes={**before.notes, asset: reason}, tried={**before.tried, asset: learned_ns})
        )
        self._say(f"{asset}: no new model: {reason}")

    def _require_unhindered(self) -> None:
        if (reason := self._engine.hindered()) is not None:
            raise Hindered(reason)


def due_ns(made: Assignments, asset: str, goals: Goals) -> int:
    """How much is to be learned of an asset before a model of it is due."""
    name = made.classes.get(asset)
    newest = None if name is None else made.rounds.get(name)
    due = goals.next_ns(0 if newest is None and name is not None else None if newest is None else newest.learned_ns)
    tried = made.tried.get(asset)
    return due if tried is None else max(due, tried + goals.first_ns // AGAIN)


def _require_recorded(recorded_ns: int, learned_ns: int, goals: Goals) -> None:
    """What was counted once may be gone by now, for the oldest recordings make room."""
    if recorded_ns < LEAST_RECORDED * min(goals.first_ns, learned_ns):
        raise BadData(
            f"its recordings hold {recorded_ns / HOUR_NS:.3g} of the {learned_ns / HOUR_NS:.3g} hours that were counted: is the disk full, "
            "or [record] max_mb too low?"
        )


def _without(table: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in names}
