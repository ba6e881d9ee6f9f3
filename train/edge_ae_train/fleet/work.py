"""What jobs do, by name, and what each is told: all that plans them need know. Loads nothing that does the work.

A run's own process plans and writes, its workers train and judge: it starts them at once and stays small.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_ae.core.rules import AlertRules
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae_train.data.prepare import AS_FOUND, RowOptions
from edge_ae_train.fleet.models import ModelFile
from edge_ae_train.training_options import AUTO

if TYPE_CHECKING:
    from edge_ae_train.data.history import Hindsight

FIT = "edge_ae_train.fleet.fitting:fit_job"
LOOK = "edge_ae_train.fleet.serving:look_job"
SERVE = "edge_ae_train.fleet.serving:serve_job"
JUDGE = "edge_ae_train.fleet.judging:judge_job"
COMPARE = "edge_ae_train.fleet.rivals:compare_job"
RETRAIN = "edge_ae_train.fleet.rivals:retrain_job"
DRAW = "edge_ae_train.fleet.single:single_job"

UNTIL = 0.8  # of each asset's time: what a shared model and an asset's own are trained on, to be tested on the rest


@dataclass(frozen=True, slots=True)
class FitOptions:
    """As of `edge-ae-train fit`, for all models of a fleet. `units`: of channels, by name. `until`: the part of each
    asset's time that is used, from its beginning. `alone`: the family is compared with no other."""

    columns: ReadOptions = AS_IT_IS
    rows: RowOptions = AS_FOUND
    family: str = AUTO
    hop: int = 1
    seed: int = 0
    units: tuple[tuple[str, str], ...] = ()
    until: float = 1.0
    thorough: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """`shared`: the model that may be the asset's."""

    shared: ModelFile
    fitting: FitOptions


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """`what_if`: whether other budgets and delays are tried."""

    model: ModelFile
    rules: AlertRules
    columns: ReadOptions = AS_IT_IS
    what_if: bool = False


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """`other`: the candidate."""

    model: ModelFile
    other: ModelFile
    rules: AlertRules
    columns: ReadOptions = AS_IT_IS
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RetrainOptions:
    """As of `edge-ae-train retrain`, for all models of a fleet."""

    model: ModelFile
    rules: AlertRules
    hindsight: "Hindsight"
    columns: ReadOptions = AS_IT_IS
    family: str = AUTO
    length: int | None = None
    seed: int = 0
    thorough: bool = False
