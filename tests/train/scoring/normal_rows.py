"""Rows of normal operation for the tests of the score's parts."""

import numpy as np

from edge_ae.core.model_spec import Floats

CHANNELS = 4
FLOOR = np.full(CHANNELS, 0.01, np.float32)


def correlated(rows: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(CHANNELS, CHANNELS))
    return (rng.normal(size=(rows, CHANNELS)) @ mixing + 3.0).astype(np.float32)
