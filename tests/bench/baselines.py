"""The detectors that ours is measured beside: fitted on the same rows, causal, one score a row.

Each is a function of the rows to learn from, all rows, and a seed; it returns a score for every row. Its boundary is the
QUANTILE of its scores on the rows that it learned from.
"""

from collections.abc import Callable

import numpy as np
import torch
from edge_ae_train.models.autoencoders import Shape, build
from edge_ae_train.models.linear import Cva, lags_for, stack_lags
from numpy.typing import NDArray
from river.anomaly import HalfSpaceTrees
from sklearn.ensemble import IsolationForest

Rows = NDArray[np.float64]
Scores = NDArray[np.float64]
Baseline = Callable[[Rows, Rows, int], Scores]

QUANTILE = 0.995
VARIANCE = 0.9
PLAIN_LENGTH = 32
PLAIN_STEPS = 600
TREE_ROWS = 4000  # half-space trees learn from this many rows: more changes nothing but the time


def scaled(train: Rows, rows: Rows) -> Rows:
    spread = train.std(axis=0)
    z: Rows = np.clip((rows - train.mean(axis=0)) / np.where(spread > 1e-8, spread, 1.0), -100.0, 100.0)
    return z


def _components(train: Rows) -> tuple[Rows, Rows]:
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(train.T)))
    kept = int(np.searchsorted(np.cumsum(values[::-1]) / values.sum(), VARIANCE)) + 1
    return vectors[:, ::-1][:, :kept], np.maximum(values[::-1][:kept], 1e-9)


def pca_reconstruction(train: Rows, rows: Rows, _seed: int) -> Scores:
    basis, _ = _components(scaled(train, train))
    z = scaled(train, rows)
    return np.asarray(((z - z @ basis @ basis.T) ** 2).mean(axis=1))


def t2_and_q(train: Rows, rows: Rows, _seed: int) -> Scores:
    return _t2_and_q(scaled(train, train), scaled(train, rows))


def dynamic_pca(train: Rows, rows: Rows, _seed: int) -> Scores:
    lags = lags_for(len(train), train.shape[1])
    z = scaled(train, rows)
    padded = np.concatenate([np.repeat(z[:1], lags - 1, axis=0), z]).astype(np.float32)
    lagged = stack_lags(padded, lags)
    return _t2_and_q(lagged[: len(train)], lagged)


def _t2_and_q(train: Rows, rows: Rows) -> Scores:
    basis, variances = _components(train)

    def both(z: Rows) -> tuple[Scores, Scores]:
        t = z @ basis
        return (t**2 / variances).sum(axis=1), ((z - t @ basis.T) ** 2).sum(axis=1)

    limits = [max(float(np.quantile(part, QUANTILE)), 1e-9) for part in both(train)]
    t2, q = both(rows)
    return np.maximum(t2 / limits[0], q / limits[1])


def canonical_variates(train: Rows, rows: Rows, _seed: int) -> Scores:
    """State and innovation distances, each over its quantile in training."""
    z = scaled(train, rows).astype(np.float32)
    model = Cva([z[: len(train)]], lags_for(len(train), train.shape[1]))
    states, predicted = model.encode(z[None])[0], model(z[None])[1][0]
    parts = [(states**2).sum(axis=1), ((z - predicted) ** 2).sum(axis=1)]
    return np.asarray(
        np.max([part / max(float(np.quantile(part[: len(train)], QUANTILE)), 1e-9) for part in parts], axis=0)
    )


def isolation_forest(train: Rows, rows: Rows, seed: int) -> Scores:
    forest = IsolationForest(n_estimators=100, random_state=seed).fit(scaled(train, train))
    return -np.asarray(forest.score_samples(scaled(train, rows)))


def half_space_trees(train: Rows, rows: Rows, seed: int) -> Scores:
    trees = HalfSpaceTrees(n_trees=25, height=8, window_size=min(250, len(train) // 2), seed=seed)
    unit = 0.5 + 0.1 * np.clip(scaled(train, rows), -5.0, 5.0)
    scores = np.zeros(len(rows))
    for index, row in enumerate(unit.tolist()):
        features = dict(enumerate(row))
        scores[index] = trees.score_one(features)  # type: ignore[no-untyped-call]
        if index < min(len(train), TREE_ROWS):
            trees.learn_one(features)  # type: ignore[no-untyped-call]
    return scores


def plain_autoencoder(train: Rows, rows: Rows, seed: int) -> Scores:
    """Convolutional, trained on and scored by its mean square error over a window."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    length = min(PLAIN_LENGTH, len(train) // 8 // 4 * 4)
    z = scaled(train, rows).astype(np.float32)
    padded = np.concatenate([np.repeat(z[:1], length - 1, axis=0), z])
    windows = torch.from_numpy(padded).unfold(0, length, 1).transpose(1, 2)
    network = build("cae", Shape(length, z.shape[1], min(4 + z.shape[1], 32)))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(PLAIN_STEPS):
        batch = windows[torch.from_numpy(rng.integers(length, len(train), size=64))]
        loss = ((network(batch)[1] - batch) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        parts = [((network(part)[1] - part) ** 2).mean(dim=(1, 2)) for part in torch.split(windows, 2048)]
    return np.asarray(torch.cat(parts).numpy(), np.float64)


BASELINES: dict[str, Baseline] = {
    "PCA reconstruction": pca_reconstruction,
    "T2 + Q": t2_and_q,
    "dynamic PCA": dynamic_pca,
    "CVA": canonical_variates,
    "isolation forest": isolation_forest,
    "plain conv-AE": plain_autoencoder,
    "half-space trees": half_space_trees,
}
SEEDED = ("isolation forest", "plain conv-AE", "half-space trees")  # the others say the same with any seed
