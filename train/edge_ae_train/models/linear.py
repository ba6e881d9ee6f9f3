"""The linear classics: dynamic PCA, and canonical variate analysis, which is also the forecaster of the other families.

Written as an encoder and a decoder over standardised windows without holes, as the networks are: they need no gradient, and
fit the same graph and the same contract. numpy alone: a device fits them.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from edge_ae_train.models.families import MAX_LATENT
from edge_ae_train.scoring.graph import Restorer
from edge_ae_train.scoring.shrinkage import shrunk_covariance

Doubles = NDArray[np.float64]

MAX_LAGS = 6  # rows that a linear family looks back on
ROWS_PER_WEIGHT = 6  # rows wanted for each entry of its lagged vector
VARIANCE_KEPT = 0.9  # by the principal components of `pca`
BLOCK_ROWS = 20_000  # that are stacked with their lags at once
STANDS_STILL = 1e-4  # variance below which a standardised direction stands still, as all do where a machine was off
LEAST_CORRELATION = 0.3  # canonical correlations below this are noise to `cva`


class Lagged:
    """A linear map of the last `lags` rows, at every row: row t sees rows t - lags + 1 .. t; before the first row, the first."""

    def __init__(self, weight: Doubles, centre: Doubles, lags: int) -> None:
        """`weight` [lags * channel, latent], newest row first; `centre` [lags * channel]."""
        self.lags = lags
        self._weight = weight.astype(np.float32)
        self._offset = (-centre @ weight).astype(np.float32)

    def __call__(self, window: Floats) -> Floats:
        """[batch, length, latent]."""
        _, length, channels = window.shape
        back = np.maximum(np.arange(length)[:, None] - np.arange(self.lags), 0)
        lagged = np.take(window, back, axis=1).reshape(-1, length, self.lags * channels)
        latent: Floats = lagged @ self._weight + self._offset
        return latent


class Pca:
    """Dynamic PCA (Ku, Storer, Georgakis, 1995): each row restored from the principal components of the last rows."""

    def __init__(self, rows: Sequence[Floats], lags: int) -> None:
        blocks = partial(_blocks, rows, lags, lags)
        centre = _mean(blocks())
        values, vectors = np.linalg.eigh(np.sum([_squared(block - centre) for block in blocks()], axis=0))
        kept = np.cumsum(values[::-1]) / max(values.sum(), 1e-12)
        components = min(int(np.searchsorted(kept, VARIANCE_KEPT)) + 1, MAX_LATENT)
        basis = vectors[:, ::-1][:, :components]
        channels = rows[0].shape[1]
        self.encode = Lagged(basis, centre, lags)
        self._decoder = basis[:channels].T.astype(np.float32)
        self._centre = centre[:channels].astype(np.float32)

    def __call__(self, window: Floats) -> tuple[Floats, Floats]:
        components = self.encode(window)
        return components[:, -1], components @ self._decoder + self._centre


class Cva:
    """Canonical variate analysis (Larimore, 1983): the states in which the past tells most of the future.

    Each row is restored from the state of the row before it; the residual is the innovation.
    """

    def __init__(self, rows: Sequence[Floats], lags: int) -> None:
        centre, basis = _canonical_states(rows, lags)
        parts = [part for part in rows if len(part) > lags]
        state = np.concatenate([_weighted(part[:-1], basis, lags) for part in parts]) - centre @ basis
        following = np.concatenate([part[lags:] for part in parts]).astype(np.float64)
        mean = following.mean(axis=0)
        ridge = 1e-3 * len(state) * np.eye(state.shape[1])
        gain = np.linalg.solve(state.T @ state + ridge, state.T @ (following - mean))
        self.encode = Lagged(basis, centre, lags)
        self._decoder = gain.astype(np.float32)
        self._centre = mean.astype(np.float32)

    def __call__(self, window: Floats) -> tuple[Floats, Floats]:
        states = self.encode(window)
        predicted = states[:, :-1] @ self._decoder + self._centre
        return states[:, -1], np.concatenate([window[:, :1], predicted], axis=1)

    def sources(self, length: int) -> Floats:
        """1 in [row, earlier row] where a row of a window is restored from the earlier one."""
        back = np.arange(length)[:, None] - np.arange(length)
        return ((back >= 1) & (back <= self.encode.lags)).astype(np.float32)


def fit_linear(family: str, rows: Sequence[Floats]) -> Restorer:
    """`rows`: standardised segments without holes."""
    lags = _lags(rows)
    return Pca(rows, lags) if family == "pca" else Cva(rows, lags)


def fit_forecaster(family: str, rows: Sequence[Floats]) -> Cva | None:
    """What predicts each row beside a network of the `family`; None where the network does so itself."""
    return None if family == "cva" else Cva(rows, _lags(rows))


def stack_lags(rows: Floats, lags: int) -> Doubles:
    """[row, lags * channel]: each row from `lags - 1` on, with the rows before it, newest first."""
    last = len(rows) - lags + 1
    return np.concatenate([rows[lags - 1 - k : lags - 1 - k + last] for k in range(lags)], axis=1).astype(np.float64)


def lags_for(rows: int, channels: int) -> int:
    return int(np.clip(rows // (ROWS_PER_WEIGHT * channels), 1, MAX_LAGS))


def _lags(rows: Sequence[Floats]) -> int:
    """No more than past and future of the longest segment hold."""
    return min(lags_for(sum(map(len, rows)), rows[0].shape[1]), (max(map(len, rows)) - 1) // 2)


def _canonical_states(rows: Sequence[Floats], lags: int) -> tuple[Doubles, Doubles]:
    """The mean [lags * channel] of the past, and the states' weights [lags * channel, state]."""
    blocks = partial(_blocks, [part for part in rows if len(part) > 2 * lags], lags, 2 * lags)
    centre, later = _mean(block[:-lags] for block in blocks()), _mean(block[lags:] for block in blocks())
    past = _inverse_root(block[:-lags] - centre for block in blocks())
    future = _inverse_root(block[lags:] - later for block in blocks())
    cross = np.sum([(block[:-lags] - centre).T @ (block[lags:] - later) for block in blocks()], axis=0)
    count = sum(len(block) - lags for block in blocks())
    left, correlations, _ = np.linalg.svd(past @ (cross / count) @ future)
    states = int(np.clip((correlations > LEAST_CORRELATION).sum(), 1, MAX_LATENT))
    return centre, past @ left[:, :states]


def _blocks(rows: Sequence[Floats], lags: int, span: int) -> Iterator[Doubles]:
    """The lagged rows of each stretch, in blocks: BLOCK_ROWS at a time of those that begin a `span` of rows, each block whole by
    itself. All of them at once do not fit into the memory of a device."""
    for part in rows:
        for first in range(0, len(part) - span + 1, BLOCK_ROWS):
            yield stack_lags(part[first : first + BLOCK_ROWS + span - 1], lags)


def _mean(blocks: Iterable[Doubles]) -> Doubles:
    """Of the rows of all blocks [row, dimension]."""
    sums, counts = zip(*((block.sum(axis=0), len(block)) for block in blocks), strict=True)
    mean: Doubles = np.sum(sums, axis=0) / sum(counts)
    return mean


def _squared(block: Doubles) -> Doubles:
    return block.T @ block


def _weighted(rows: Floats, weight: Doubles, lags: int) -> Doubles:
    """`stack_lags(rows, lags) @ weight`, without stacking."""
    last, channels = len(rows) - lags + 1, rows.shape[1]
    parts = [rows[lags - 1 - k :][:last] @ weight[k * channels :][:channels] for k in range(lags)]
    weighted: Doubles = np.sum(parts, axis=0)
    return weighted


def _inverse_root(centred: Iterable[Doubles]) -> Doubles:
    values, vectors = np.linalg.eigh(shrunk_covariance(centred))
    values = np.maximum(values, max(values.max() * 1e-3, STANDS_STILL))
    root: Doubles = (vectors / np.sqrt(values)) @ vectors.T
    return root
