"""The linear classics: dynamic PCA, and canonical variate analysis, which also gives the forecaster.

Written as an encoder and a decoder over standardised windows without holes, as the networks are: they need no gradient, and
fit the same graph and the same contract.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn
from torch.nn import functional

from edge_ae.core.model_spec import Floats
from edge_ae_train.models.autoencoders import MAX_LATENT

LINEAR = ("cva", "pca")  # of equals, the first ships: on random plants cva ranks faults above what is normal more often

MAX_LAGS = 6  # rows that a linear family looks back on
ROWS_PER_WEIGHT = 6  # rows wanted for each entry of its lagged vector
VARIANCE_KEPT = 0.9  # by the principal components of `pca`
MAX_HORIZON = 16  # rows that a forecaster looks ahead, and half a window at the most
STANDS_STILL = 1e-4  # variance below which a standardised direction stands still, as all do where a machine was off
LEAST_CORRELATION = 0.3  # canonical correlations below this are noise to `cva`


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
        past -= centre
        future -= future.mean(axis=0)
        past_root, future_root = _inverse_root(past), _inverse_root(future)
        cross = past.T @ future / len(past)
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


def fit_linear(family: str, rows: Sequence[Floats]) -> nn.Module:
    """`rows`: standardised segments without holes."""
    lags = _lags(rows)
    return Pca(rows, lags).eval() if family == "pca" else Cva(rows, lags).eval()


def fit_forecaster(rows: Sequence[Floats], length: int) -> Cva:
    """What the states of `cva` predict of a row, half a window of `length` before it comes."""
    return Cva(rows, _lags(rows), min(length // 2, MAX_HORIZON))


def stack_lags(rows: Floats, lags: int) -> NDArray[np.float64]:
    """[row, lags * channel]: each row from `lags - 1` on, with the rows before it, newest first."""
    last = len(rows) - lags + 1
    return np.concatenate([rows[lags - 1 - k : lags - 1 - k + last] for k in range(lags)], axis=1).astype(np.float64)


def lags_for(rows: int, channels: int) -> int:
    return int(np.clip(rows // (ROWS_PER_WEIGHT * channels), 1, MAX_LAGS))


def _lags(rows: Sequence[Floats]) -> int:
    """No more than past and future of the longest segment hold."""
    return min(lags_for(sum(map(len, rows)), rows[0].shape[1]), (max(map(len, rows)) - 1) // 2)


def _inverse_root(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    covariance, _ = ledoit_wolf(centred, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, max(values.max() * 1e-3, STANDS_STILL))
    root: NDArray[np.float64] = (vectors / np.sqrt(values)) @ vectors.T
    return root
