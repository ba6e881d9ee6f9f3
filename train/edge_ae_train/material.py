"""What all candidates of a fit are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_ae.core.model_spec import Floats
from edge_ae_train.data.segments import Segment
from edge_ae_train.scoring.preprocess import Scaler, Standardise

FEW_ROWS = 4000  # below this every block is held out in turn, and networks are trained in smaller batches


@dataclass(frozen=True)
class Material:
    """The same stretches of rows, scaled alike, and windows of one size."""

    parts: Sequence[Segment]
    scaler: Scaler
    standardise: Standardise
    length: int
    hop: int
    seed: int
    judged: tuple[int, ...] | None = None
    """the features that the score judges; None: all"""

    @property
    def floor(self) -> Floats:
        """Of the features that are judged."""
        return self.scaler.floor if self.judged is None else self.scaler.floor[list(self.judged)]

    @property
    def rows(self) -> int:
        return sum(map(len, self.parts))
