"""A linear family's restoration, moved towards a network's: channel by channel, by as much as that is nearer to what was there.

    window ─┬─ cva or pca ─► restored ──────────────┬─► + ─► restored
            └─ convolutions ─► restored ─► - linear ─► x share ─┘

With no share it is the linear model; with all of it, the network. Between, what either of them gets wrong by itself is averaged
(Bates and Granger, 1969).
"""

from collections.abc import Iterable

import numpy as np

from edge_ae.core.model_spec import Floats
from edge_ae_train.scoring.graph import Restorer

LEAST_GAIN = 0.01  # of a channel's squared error: what gains less has no share


class Hybrid:
    """The latent is the linear family's: places are where it sees them."""

    def __init__(self, linear: Restorer, network: Restorer, share: Floats) -> None:
        """`share` [channel]: 0 leaves the linear restoration, 1 takes the network's."""
        self.linear = linear
        self.network = network
        self.share = share

    def __call__(self, window: Floats) -> tuple[Floats, Floats]:
        latent, restored = self.linear(window)
        _, other = self.network(window)
        return latent, restored + self.share * (other - restored)


def errors(linear: Restorer, network: Restorer, chunks: Iterable[tuple[Floats, Floats]], weights: Floats) -> Floats:
    """[3, channel] of windows that neither has seen: squares of what the linear family leaves, its products with what the network
    would take off, and the squares of that. `weights` [row]: by which the score looks at a window's rows."""
    sums = []
    for values, present in chunks:
        restored, other = linear(values)[1], network(values)[1]
        left, taken = values - restored, other - restored
        seen = present * weights[:, None]
        sums.append([(seen * product).sum(axis=(0, 1)) for product in (left**2, left * taken, taken**2)])
    found: Floats = np.sum(sums, axis=0, dtype=np.float32)
    return found


def shares(errors: Floats) -> Floats:
    """[channel], the least squares' from sums of `errors`: none where it gains less than LEAST_GAIN."""
    left, product, taken = errors
    share = np.clip(product / np.maximum(taken, 1e-12), 0.0, 1.0)
    gained = share * (2.0 * product - share * taken)
    return np.where(gained > LEAST_GAIN * left, share, np.float32(0.0))
