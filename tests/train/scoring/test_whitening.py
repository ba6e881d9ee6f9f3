"""Whitening, tails and tempering: what is far, and what is left to be heard beside it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from edge_ae_train.scoring.graph import tempered
from edge_ae_train.scoring.preprocess import fill
from edge_ae_train.scoring.whitening import TEMPER, Whitening, fit_whitening, tail_excess
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from tests.train.scoring.normal_rows import CHANNELS, FLOOR, correlated


def as_they_are(squares: Floats) -> Floats:
    return squares


def tempered_beyond(limits: Floats | float) -> Callable[[Floats], Floats]:
    return lambda squares: 2.0 * limits * tempered(squares / limits)


def distances(
    rows: Floats, whitening: Whitening, drawn_in: Callable[[Floats], Floats] = as_they_are
) -> NDArray[np.float64]:
    """Of single rows [row, channel], in the first view of a whitening."""
    squares: Any = whitening.white(rows[None], 0).astype(np.float64) ** 2
    found: NDArray[np.float64] = np.sqrt(drawn_in(squares).mean(axis=1))
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
        (distances(faulty, whitening, how)[:, None] > distances(gone, whitening, how)[None]).mean()
        for how in (tempered_beyond(TEMPER), as_they_are)
    )
    assert found > without + 0.15
    assert found > 0.85


def test_tempering_keeps_small_squares_and_never_stops_growing() -> None:
    squares: Any = np.repeat(np.logspace(-8, 8, 200)[:, None], CHANNELS, axis=1)
    found = tempered_beyond(TEMPER)(squares)
    assert (np.diff(found, axis=0) > 0).all()
    small = squares < 1e-3 * TEMPER
    np.testing.assert_allclose(found[small], squares[small], rtol=1e-3)


def heavy_beside_light(rows: int, seed: int) -> Floats:
    """The first channel jumps now and then, as far as a fault; the others are Gaussian."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(rows, CHANNELS))
    found[:, 0] += np.where(rng.random(rows) < 0.01, 30.0, 0.0)
    return found.astype(np.float32)


def test_a_channel_with_a_tail_of_its_own_drowns_a_fault_of_another_less() -> None:
    usual, fresh = heavy_beside_light(20_000, 0), heavy_beside_light(20_000, 1)
    whitening = fit_whitening([usual[None]], FLOOR)
    tamed = whitening.tamed(tail_excess(whitening.white(usual[None], 0))[None])
    faulty = np.random.default_rng(2).normal(size=(200, CHANNELS)).astype(np.float32)
    faulty[:, 2] += 8.0
    missed, found = (_beyond(fresh, faulty, one).mean() for one in (whitening, tamed))
    assert missed < 0.1
    assert found > 0.5


def _beyond(usual: Floats, faulty: Floats, whitening: Whitening) -> NDArray[np.bool_]:
    """Which faulty rows are farther than the one in a thousand of the usual ones."""
    limits = whitening.temper[0]
    far, usually = (distances(rows, whitening, tempered_beyond(limits)) for rows in (faulty, usual))
    found: NDArray[np.bool_] = far > np.quantile(usually, 0.999)
    return found


def test_what_is_near_counts_as_much_in_a_channel_that_leaps_as_in_any_other() -> None:
    usual = heavy_beside_light(20_000, 0)
    whitening = fit_whitening([usual[None]], FLOOR)
    tamed = whitening.tamed(tail_excess(whitening.white(usual[None], 0))[None])
    assert (tamed.temper[0] < 0.7 * TEMPER).tolist() == [True, False, False, False]
    near = np.full((1, CHANNELS), 0.1, np.float32)
    np.testing.assert_allclose(tempered_beyond(tamed.temper[0])(near), near, rtol=0.02)


def test_what_is_gaussian_is_left_as_it_is_and_nothing_is_made_larger() -> None:
    white = np.random.default_rng(0).normal(size=(100_000, CHANNELS)).astype(np.float32)
    white[:, 1] *= 0.1
    np.testing.assert_allclose(tail_excess(white), 1.0, atol=0.1)


def test_what_is_missing_is_filled_so_that_the_distance_is_the_least() -> None:
    usual = correlated(5000)
    whitening = fit_whitening([usual[None]], FLOOR)
    root = whitening.root[0].astype(np.float64)
    row = (usual[:1] - whitening.mean[0]).astype(np.float64)
    present = np.ones_like(row)
    present[0, 1] = 0.0
    filled = fill(row * present, root, present)
    least = ((filled @ root) ** 2).sum()
    for step in (-0.1, 0.1):
        beside = filled + np.array([[0.0, step, 0.0, 0.0]])
        assert ((beside @ root) ** 2).sum() > least
