"""The networks: each an encoder, a latent, a decoder over standardised windows without holes.

    window [batch, length, channel] ──encode──► latent [batch, latent] ──decode──► restored window

What differs is what the latent can carry and what a window is restored from.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a window and of what it is squeezed through."""

    length: int
    channels: int
    latent: int
    width: int = 24


class Autoencoder(nn.Module):
    """Any encoder with any decoder."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, window: Tensor) -> Tensor:
        latent: Tensor = self.encoder(window.transpose(1, 2))
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        window: Tensor = self.decoder(latent)
        return window.transpose(1, 2)

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.encode(window)
        return latent, self.decode(latent)


class VariationalAutoencoder(Autoencoder):
    """The encoder gives mean and log variance of a Gaussian (Kingma and Welling, ICLR 2014); the mean is the latent."""

    def encode(self, window: Tensor) -> Tensor:
        return self.posterior(window)[0]

    def posterior(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance [batch, latent]."""
        mean, log_variance = super().encode(window).chunk(2, dim=1)
        return mean, log_variance.clamp(-8.0, 8.0)

    def sample(self, window: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Restored window from a draw of the posterior, and the posterior's divergence from the prior [batch]."""
        mean, log_variance = self.posterior(window)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).sum(1)
        return self.decode(mean + noise * torch.exp(0.5 * log_variance)), divergence


def convolutional(shape: Shape, codes: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of 1-D convolutions with stride 2 (Masci et al., ICANN 2011); `codes` numbers leave the encoder."""
    coarse = shape.length // 4
    encoder = nn.Sequential(
        nn.Conv1d(shape.channels, shape.width, 5, stride=2, padding=2),
        nn.GELU(),
        nn.Conv1d(shape.width, shape.width, 5, stride=2, padding=2),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(shape.width * coarse, codes),
    )
    decoder = nn.Sequential(
        nn.Linear(shape.latent, shape.width * coarse),
        nn.GELU(),
        nn.Unflatten(1, (shape.width, coarse)),
        nn.ConvTranspose1d(shape.width, shape.width, 4, stride=2, padding=1),
        nn.GELU(),
        nn.ConvTranspose1d(shape.width, shape.channels, 4, stride=2, padding=1),
    )
    return encoder, decoder


def dense(shape: Shape) -> tuple[nn.Module, nn.Module]:
    """One hidden layer on each side, over the flattened window."""
    cells, hidden = shape.length * shape.channels, 2 * shape.latent
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(cells, hidden), nn.GELU(), nn.Linear(hidden, shape.latent))
    decoder = nn.Sequential(
        nn.Linear(shape.latent, hidden),
        nn.GELU(),
        nn.Linear(hidden, cells),
        nn.Unflatten(1, (shape.channels, shape.length)),
    )
    return encoder, decoder


def build(family: str, shape: Shape) -> Autoencoder:
    """An untrained network of a neural family."""
    if family == "ae":
        return Autoencoder(*dense(shape))
    if family == "vae":
        return VariationalAutoencoder(*convolutional(shape, 2 * shape.latent))
    return Autoencoder(*convolutional(shape, shape.latent))


def corrupt(windows: Tensor, generator: torch.Generator) -> Tensor:
    """Windows to restore from: noise on all values, and spans of some channels overwritten by the mean (Vincent et al., 2008)."""
    batch, length, channels = windows.shape
    where = windows.device
    start = torch.randint(0, length, (batch, 1, channels), generator=generator, device=where)
    size = torch.randint(1, 1 + length // 2, (batch, 1, channels), generator=generator, device=where)
    at = torch.arange(length, device=where).view(1, -1, 1)
    hit = torch.rand(batch, 1, channels, generator=generator, device=where) < 0.2
    noise = 0.2 * torch.randn(windows.shape, generator=generator, device=where)
    return (windows + noise).masked_fill(hit & (at >= start) & (at < start + size), 0.0)
