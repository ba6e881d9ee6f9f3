"""A linear family's restoration, moved towards a network's: channel by channel, by as much as that is nearer to what was there.

    window ─┬─ cva or pca ─► restored ──────────────┬─► + ─► restored
            └─ convolutions ─► restored ─► - linear ─► x share ─┘

With no share it is the linear model; with all of it, the network. Between, what either of them gets wrong by itself is averaged
(Bates and Granger, 1969).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

HYBRID = "hybrid"
CONVOLUTION = "cae"  # the family whose network restores; denoising restored no better beside a linear family
LEAST_GAIN = 0.01  # of a channel's squared error: what gains less has no share


class Hybrid(nn.Module):
    """The latent is the linear family's: places are where it sees them."""

    def __init__(self, linear: nn.Module, network: nn.Module, share: Tensor) -> None:
        """`share` [channel]: 0 leaves the linear restoration, 1 takes the network's."""
        super().__init__()
        self.linear = linear
        self.network = network
        self.register_buffer("share", share)

    share: Tensor

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        latent, restored = self.linear(window)
        _, other = self.network(window)
        return latent, restored + self.share * (other - restored)


def errors(linear: nn.Module, network: nn.Module, chunks: Iterable[tuple[Tensor, Tensor]], weights: Tensor) -> Tensor:
    """[3, channel] of windows that neither has seen: squares of what the linear family leaves, its products with what the network
    would take off, and the squares of that. `weights` [row]: by which the score looks at a window's rows."""
    sums = []
    with torch.no_grad():
        for values, present in chunks:
            restored, other = linear(values)[1], network(values)[1]
            left, taken = values - restored, other - restored
            seen = present * weights[:, None]
            sums.append(torch.stack([(seen * product).sum((0, 1)) for product in (left**2, left * taken, taken**2)]))
    return torch.stack(sums).sum(0)


def shares(errors: Tensor) -> Tensor:
    """[channel], the least squares' from sums of `errors`: none where it gains less than LEAST_GAIN."""
    left, product, taken = errors
    share = (product / taken.clamp(min=1e-12)).clamp(0.0, 1.0)
    gained = share * (2.0 * product - share * taken)
    return torch.where(gained > LEAST_GAIN * left, share, torch.zeros_like(share))
