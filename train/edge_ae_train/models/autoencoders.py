"""The families of networks: each an encoder, a latent, a decoder over standardised windows without holes.

    window [batch, length, channel] ──encode──► latent [batch, latent] ──decode──► restored window

What differs is what the latent can carry and what a window is restored from. `pca` and `cva` are the strong linear
classics, written as the same two maps: they need no gradient, and fit the same graph and the same contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn
from torch.nn import functional

from edge_ae.core.model_spec import Floats

LINEAR = ("cva", "pca")  # of equals, the first ships: on random plants cva ranks faults above what is normal more often
NEURAL = ("cae", "ae", "dae", "vae")
NAMES = (*LINEAR, *NEURAL)

MAX_LAGS = 6  # rows that a linear family looks back on
ROWS_PER_WEIGHT = 6  # rows wanted for each entry of its lagged vector
VARIANCE_KEPT = 0.9  # by the principal components of `pca`
MAX_HORIZON = 16  # rows that an outlook looks ahead, and half a window at the most
STANDS_STILL = 1e-4  # variance below which a standardised direction stands still, as all do where a machine was off
LEAST_CORRELATION = 0.3  # canonical correlations below this are noise to `cva`
MAX_LATENT = 32


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a window and of what it is squeezed through."""

    length: int
    channels: int
    latent: int
    width: int = 24


# -- neural ----------------------------------------------------------------------------------------------------


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


# -- linear ----------------------------------------------------------------------------------------------------


class Lagged(nn.Module):
    """A linear map of the last `lags` rows, at every row: row t sees rows t - lags + 1 .. t; before the first row, the first."""

    def __init__(self, weight: NDArray[np.float64], centre: NDArray[np.float64], lags: int) -> None:
        """`weight` [lags * channel, latent], newest row first; `centre` [lags * channel]."""
        super().__init__()
        channels = len(centre) // lags
        kernel = weight.T.reshape(-1, lags, channels)[:, ::-1].transpose(0, 2, 1)
        self.lags = lags
        self.register_buffer("kernel", torch.from_numpy(np.ascontiguousarray(kernel, np.float32)))
        self.register_buffer("offset", torch.from_numpy((-centre @ weight).astype(np.float32)))

    kernel: Tensor
    offset: Tensor

    def forward(self, window: Tensor) -> Tensor:
        """[batch, length, latent]."""
        rows = functional.pad(window.transpose(1, 2), (self.lags - 1, 0), mode="replicate")
        return functional.conv1d(rows, self.kernel, self.offset).transpose(1, 2)


class Pca(nn.Module):
    """Dynamic PCA (Ku, Storer, Georgakis, 1995): each row restored from the principal components of the last rows."""

    def __init__(self, rows: Sequence[Floats], lags: int) -> None:
        super().__init__()
        lagged = np.concatenate([stack_lags(part, lags) for part in rows if len(part) >= lags])
        centre = lagged.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov((lagged - centre).T))
        kept = np.cumsum(values[::-1]) / max(values.sum(), 1e-12)
        components = min(int(np.searchsorted(kept, VARIANCE_KEPT)) + 1, MAX_LATENT)
        basis = vectors[:, ::-1][:, :components]
        channels = rows[0].shape[1]
        self.encode = Lagged(basis, centre, lags)
        self.register_buffer("decoder", torch.from_numpy(basis[:channels].T.astype(np.float32)))
        self.register_buffer("centre", torch.from_numpy(centre[:channels].astype(np.float32)))

    decoder: Tensor
    centre: Tensor

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        components = self.encode(window)
        return components[:, -1], components @ self.decoder + self.centre


class Cva(nn.Module):
    """Canonical variate analysis (Larimore, 1983): the states in which the past tells most of the future.

    Each row is restored from the state `horizon` rows before it; with 1, the residual is the innovation.
    """

    def __init__(self, rows: Sequence[Floats], lags: int, horizon: int = 1) -> None:
        super().__init__()
        self.horizon = horizon
        parts = [part for part in rows if len(part) > 2 * lags]
        past = np.concatenate([stack_lags(part, lags)[:-lags] for part in parts])
        future = np.concatenate([stack_lags(part, lags)[lags:] for part in parts])
        centre = past.mean(axis=0)
        past_root, future_root = _inverse_root(past - centre), _inverse_root(future - future.mean(axis=0))
        cross = (past - centre).T @ (future - future.mean(axis=0)) / len(past)
        left, correlations, _ = np.linalg.svd(past_root @ cross @ future_root)
        states = int(np.clip((correlations > LEAST_CORRELATION).sum(), 1, MAX_LATENT))
        basis = past_root @ left[:, :states]
        parts = [part for part in rows if len(part) >= lags + horizon]
        state = (np.concatenate([stack_lags(part, lags)[:-horizon] for part in parts]) - centre) @ basis
        following = np.concatenate([part[lags - 1 + horizon :] for part in parts]).astype(np.float64)
        mean = following.mean(axis=0)
        gain = np.linalg.solve(state.T @ state + 1e-3 * len(state) * np.eye(states), state.T @ (following - mean))
        self.encode = Lagged(basis, centre, lags)
        self.register_buffer("decoder", torch.from_numpy(gain.astype(np.float32)))
        self.register_buffer("centre", torch.from_numpy(mean.astype(np.float32)))

    decoder: Tensor
    centre: Tensor

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        states = self.encode(window)
        predicted = states[:, : -self.horizon] @ self.decoder + self.centre
        return states[:, -1], torch.cat([window[:, : self.horizon], predicted], dim=1)

    def sources(self, length: int) -> Floats:
        """1 in [row, earlier row] where a row of a window is restored from the earlier one."""
        back = np.arange(length)[:, None] - np.arange(length)
        return ((back >= self.horizon) & (back < self.horizon + self.encode.lags)).astype(np.float32)


def stack_lags(rows: Floats, lags: int) -> NDArray[np.float64]:
    """[row, lags * channel]: each row from `lags - 1` on, with the rows before it, newest first."""
    last = len(rows) - lags + 1
    return np.concatenate([rows[lags - 1 - k : lags - 1 - k + last] for k in range(lags)], axis=1).astype(np.float64)


def lags_for(rows: int, channels: int) -> int:
    return int(np.clip(rows // (ROWS_PER_WEIGHT * channels), 1, MAX_LAGS))


def fit_linear(family: str, rows: Sequence[Floats]) -> nn.Module:
    """`rows`: standardised segments without holes."""
    lags = _lags(rows)
    return Pca(rows, lags).eval() if family == "pca" else Cva(rows, lags).eval()


def fit_outlook(rows: Sequence[Floats], length: int) -> Cva:
    """What the states of `cva` foretell of a row, half a window of `length` before it comes."""
    return Cva(rows, _lags(rows), min(length // 2, MAX_HORIZON))


def _lags(rows: Sequence[Floats]) -> int:
    """No more than past and future of the longest segment hold."""
    return min(lags_for(sum(map(len, rows)), rows[0].shape[1]), (max(map(len, rows)) - 1) // 2)


def _inverse_root(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    covariance, _ = ledoit_wolf(centred, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, max(values.max() * 1e-3, STANDS_STILL))
    root: NDArray[np.float64] = (vectors / np.sqrt(values)) @ vectors.T
    return root
