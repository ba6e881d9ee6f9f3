"""A folder of models as the daemon uses it: its registry, and how a model of it is made ready to score."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_ae.core.model_spec import Model
from edge_ae.model.registry import Registry
from edge_ae.model.signature import Verify


@dataclass(frozen=True, slots=True)
class ModelSource:
    """`load`: a verified model file, ready to score; raises BadModel. `verify`: where only signed models are taken."""

    registry: Registry
    load: Callable[[Path], Model]
    verify: Verify | None = None
