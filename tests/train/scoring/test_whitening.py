"""Whitening and tempering: what is far, and what is left to be heard beside it."""

import numpy as np
import torch
from edge_ae_train.scoring.graph import PLAIN, TEMPERED, rms, tempered
from edge_ae_train.scoring.whitening import Whitening, fit_whitening
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from tests.train.scoring.normal_rows import CHANNELS, FLOOR, correlated


def distances(rows: Floats, whitening: Whitening, temper: float = PLAIN) -> NDArray[np.float64]:
    """Of single rows [row, channel], in the first view of a whitening."""
    squares = torch.from_numpy((rows - whitening.mean[0]) @ whitening.root[0]).to(torch.float64) ** 2
    found: NDArray[np.float64] = rms(tempered(squares, temper)).numpy()
    return found


def test_whitened_normal_data_is_about_one_away() -> None:
    rows = correlated(20_000) * 100
    found = distances(rows, fit_whitening([rows[None, :10_000], rows[None, 10_000:]], FLOOR))
    np.testing.assert_allclose((found**2).mean(), 1.0, atol=0.15)


def test_a_lost_correlation_is_far_although_every_value_is_usual() -> None:
    usual = correlated(5000)
    usual[:, 1] = usual[:, 0] + 0.05 * usual[:, 2]
    whitening = fit_whitening([usual[None]], FLOOR)
    broken = usual.copy()
    broken[:, 1] = np.random.default_rng(3).permutation(usual[:, 1])
    assert np.median(distances(broken, whitening)) > 5 * np.median(distances(usual, whitening))


def test_a_channel_that_never_moved_counts_by_its_floor() -> None:
    still = correlated(1000)
    still[:, 0] = 7.0
    whitening = fit_whitening([still[None]], np.array([1.0, 0.01, 0.01, 0.01], np.float32))
    moved = still.copy()
    moved[:, 0] += 1.0
    assert np.median(distances(moved, whitening)) < 3.0


def test_a_channel_that_has_gone_leaves_the_others_to_be_seen() -> None:
    """Two channels off by 3 deviations, beside one that varies far away: without tempering its own noise drowns them."""
    usual = np.random.default_rng(0).normal(size=(4000, CHANNELS)).astype(np.float32)
    whitening = fit_whitening([usual[None]], FLOOR)
    gone = usual[:2000].copy()
    gone[:, 0] += 20.0
    faulty = gone.copy()
    faulty[:, 1:3] += 3.0
    found, without = (
        (distances(faulty, whitening, temper)[:, None] > distances(gone, whitening, temper)[None]).mean()
        for temper in (TEMPERED, PLAIN)
    )
    assert found > 0.9 > 0.75 > without


def test_tempering_keeps_small_squares_and_never_stops_growing() -> None:
    squares = torch.logspace(-8, 8, 200, dtype=torch.float64)[:, None].expand(-1, CHANNELS)
    found = tempered(squares, TEMPERED)
    assert (found.diff(dim=0) > 0).all()
    small = squares < 1e-3 * TEMPERED
    np.testing.assert_allclose(found[small], squares[small], rtol=1e-3)
