"""A covariance that is worth inverting, from few rows: shrunk towards the same variance in every direction. numpy alone."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def shrunk_covariance(blocks: Iterable[Doubles]) -> Doubles:
    """[dimension, dimension] of centred rows in `blocks` [row, dimension], shrunk by as much as makes its expected square
    error the least.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices" (Journal of Multivariate
    Analysis, 2004); the estimate of its lemmas 3.2 to 3.4, with the mean known to be 0.
    """
    sums = [(len(block), block.T @ block, float(np.square(np.square(block).sum(axis=1)).sum())) for block in blocks]
    rows = sum(count for count, _, _ in sums)
    covariance = np.sum([products for _, products, _ in sums], axis=0) / rows
    fourth = sum(powers for _, _, powers in sums) / rows
    dimensions = len(covariance)
    level, squares = covariance.trace() / dimensions, float(np.square(covariance).sum())
    apart = squares - dimensions * level**2  # from `level` in every direction, squared
    noise = min((fourth - squares) / rows, apart)  # the part of that which is chance
    share = noise / apart if noise > 0.0 else 0.0
    shrunk: Doubles = (1.0 - share) * covariance + share * level * np.eye(dimensions)
    return shrunk
