"""Whitening: which combinations of channels vary how much in normal data, and from where on each counts less. numpy alone.

Whitening is by the symmetric square root of the precision (ZCA: Kessy, Lewin, Strimmer, 2018), so that each whitened
coordinate stays with its channel and the squares, which add up to the distance, are the channels' shares. The covariance is
shrunk after Ledoit and Wolf (2004), and no direction counts as quieter than a floor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from edge_ae_train.scoring.shrinkage import shrunk_covariance

FLOOR = 0.05  # standard deviations: finer relations between channels than this are not trusted
DRIFT_WEIGHT = 4.0  # chosen on held-out normal rows: fewer false alerts, and as many injected faults found
LEAST_VARIANCE = 1e-12  # of a direction: what single precision can still divide by
WIDE = 64  # dimensions: the root of as many is rounded to half precision, and the file has a quarter of its size
TEMPER = 10.0  # whitened squares beyond this grow with their root, where the tail is a Gaussian's
TAIL_QUANTILE, GAUSSIAN_TAIL = 0.999, 10.83  # the square of a Gaussian's deviations that one in a thousand exceeds
# Of the excess, in logarithms. More of it hides the others' faults less; but a channel that leaps now and then is also where faults
# show, and with half of it hardly any of those is lost. So nothing is divided, either: what is near counts as in any channel.
TAMED = 0.5


@dataclass(frozen=True, slots=True)
class Whitening:
    """Means [view, 1, dimension], square roots of the precision [view, dimension, dimension], and the squares `temper` [view,
    dimension] beyond which the whitened are tempered."""

    mean: Floats
    root: Floats
    temper: Floats

    def in_units(self, root: Floats) -> Floats:
        """A root so that it whitens to units of where tempering begins; as many as `self.root`."""
        begin: Floats = np.sqrt(self.temper)[:, None]
        return root / begin

    def white(self, averages: Floats, view: int) -> Floats:
        """[window, dimension] of averages [view, window, dimension]."""
        white: Floats = (averages[view] - self.mean[view]) @ self.root[view]
        return white

    def tamed(self, excess: Floats) -> "Whitening":
        """Tempered sooner in each whitened dimension, by its `excess` [view, dimension]."""
        return replace(self, temper=self.temper / excess)


def fit_whitening(blocks: Sequence[Floats], floor: Floats) -> Whitening:
    """From averages [view, window, dimension] of blocks of windows, in time; `floor` [dimension].

    What moves from block to block is drift. It will go on, so its directions count DRIFT_WEIGHT times over.
    """
    together = np.concatenate(list(blocks), axis=1)
    mean = together.mean(axis=1, keepdims=True)
    block_means = np.stack([block.mean(axis=1) for block in blocks], axis=1) - mean
    roots = [
        whitening_root(view - centre, floor, math.sqrt(DRIFT_WEIGHT) * moved if len(blocks) > 1 else None)
        for view, centre, moved in zip(together, mean, block_means, strict=True)
    ]
    root = np.stack(roots).astype(np.float32)
    return Whitening(mean.astype(np.float32), root, np.full(root.shape[:2], TEMPER, np.float32))


def tail_excess(white: Floats) -> Floats:
    """How much sooner each whitened dimension is tempered, [dimension] of [window, dimension]: TAMED of how far the square that one in a
    thousand exceeds goes beyond a Gaussian's, 1 at the least. For a channel has tails of its own, and whitening knows its variance."""
    excess = np.maximum(np.quantile(white**2, TAIL_QUANTILE, axis=0) / GAUSSIAN_TAIL, 1.0)
    tamed: Floats = (excess**TAMED).astype(np.float32)
    return tamed


def whitening_root(
    centred: NDArray[np.floating], floor: Floats, moved: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Symmetric square root of the precision of `centred` [row, dimension]; `moved` [block, dimension] adds its scatter."""
    covariance = shrunk_covariance([centred.astype(np.float64)])
    covariance = covariance + np.diag(floor.astype(np.float64) ** 2)
    if moved is not None:
        covariance += moved.T.astype(np.float64) @ moved / (len(moved) - 1)
    values, vectors = np.linalg.eigh(covariance)
    root: NDArray[np.float64] = (vectors / np.sqrt(np.maximum(values, LEAST_VARIANCE))) @ vectors.T
    return root if len(root) < WIDE else _in_half_precision(root)


def _in_half_precision(root: NDArray[np.float64]) -> NDArray[np.float64]:
    """A symmetric matrix as it will be in the file, so that all that is calibrated with it holds there. What it tells apart is finer than
    what so many channels' covariance can be known to; where it is too large for that, it stays."""
    rounded = ((root + root.T) / 2.0).astype(np.float16)
    return rounded.astype(np.float64) if np.isfinite(rounded).all() else root
