"""How far normal rows are from what a model expects of them: the root of the mean square of a channel's error at a window's newest
row, which is what people are shown, in physical units. Of rows that the network has not seen, or it would flatter itself.
"""

from collections.abc import Sequence

import numpy as np

from edge_ae.core.model_spec import Floats
from edge_ae_train.candidates import Candidate, HeldOutBlock
from edge_ae_train.data.dataset import some_windows
from edge_ae_train.data.segments import Segment
from edge_ae_train.scoring.preprocess import Standardise


def deviations(candidate: Candidate, standardise: Standardise, turns: Sequence[float]) -> list[float]:
    """[channel]; 0 of one that has no value in the rows held out. `turns`: the full turn of each angle, 0 of other channels."""
    errors = np.concatenate([_errors(block, standardise, candidate.length) for block in candidate.blocks])
    for index, turn in enumerate(turns):
        if turn > 0.0:
            errors[:, index] -= turn * np.round(errors[:, index] / turn)  # the short way round
    known = np.isfinite(errors)
    squares = np.where(known, errors.astype(np.float64), 0.0) ** 2
    return [float(f"{value:.6g}") for value in np.sqrt(squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1))]


def _errors(block: HeldOutBlock, standardise: Standardise, length: int) -> Floats:
    """[window, channel] of windows spread over the block's rows; NaN where a value is missing."""
    windows = some_windows([Segment(block.rows)], length)
    values, _ = standardise(windows)
    views = block.trained.views
    shown = views.shown(standardise.restore(views(values)[2]), windows)
    return windows[:, -1] - shown[:, -1]
