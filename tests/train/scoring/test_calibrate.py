"""Calibration: a budget that holds on data that nothing was fitted to."""

import math

import numpy as np
import pytest
from edge_ae_train.scoring.calibrate import HeldOut, calibrate, fit_tail, reach
from edge_ae_train.scoring.graph import LATENT_WEIGHT
from edge_ae_train.scoring.whitening import Whitening
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from edge_ae.core.timestamps import SECOND

FLOOR = np.full(3, 0.01, np.float32)


def block(windows: int, seed: int, times: float = 1.0) -> HeldOut:
    """Windows of two views, and of a latent that is noise of its own."""
    rng = np.random.default_rng(seed)
    averages: Floats = (times * rng.normal(size=(2, windows, 3))).astype(np.float32)
    latent = np.abs(rng.normal(size=(1, windows)))

    def distances(whitening: Whitening, _temper: float) -> NDArray[np.float64]:
        white = (averages - whitening.mean) @ whitening.root
        return np.concatenate([np.sqrt((white**2).mean(axis=2)), latent])

    return HeldOut(averages, distances)


def test_the_budget_holds_on_windows_not_seen() -> None:
    calibration = calibrate([block(2000, seed) for seed in range(4)], FLOOR, gap=0)
    fresh = block(100_000, 99)
    scores = calibration.score(fresh.distances(calibration.whitening, calibration.temper))
    for per_window in (1e-2, 1e-3):
        realised = (scores > calibration.tail.boundary(per_window)).mean()
        assert 0.4 < realised / per_window < 2.5
    assert math.isclose(np.median(scores), calibration.typical, rel_tol=0.05)


def test_a_block_is_measured_by_what_the_others_taught() -> None:
    blocks = [block(300, seed) for seed in range(3)]
    calibration = calibrate(blocks, FLOOR, gap=0)
    changed = calibrate([block(300, 0, times=9.0), *blocks[1:]], FLOOR, gap=0)
    np.testing.assert_array_equal(calibration.crossed[0].root, changed.crossed[0].root)
    assert not np.array_equal(calibration.crossed[1].root, changed.crossed[1].root)


def test_the_latent_alone_must_be_further_away_to_count() -> None:
    calibration = calibrate([block(2000, seed) for seed in range(4)], FLOOR, gap=0)
    far = np.quantile(np.abs(np.random.default_rng(5).normal(size=100_000)), 0.99)
    assert math.isclose(calibration.limit[-1], far / LATENT_WEIGHT, rel_tol=0.05)


def test_windows_held_out_limit_how_rare_an_alert_is_vouched_for() -> None:
    calibration = calibrate([block(300, seed) for seed in range(3)], FLOOR, gap=0)
    assert calibration.windows == 900
    assert reach(900, 60 * SECOND).startswith("calibrated on 900 held-out windows, 15.0 hours: a budget of less")
    assert "windows, 2.15 min:" in reach(129, SECOND)
    assert "windows, 5.0 days:" in reach(7200, 60 * SECOND)


def test_one_long_excursion_is_one_alert_and_not_its_windows() -> None:
    rng = np.random.default_rng(0)
    quiet = rng.uniform(0, 1, 4000)
    scattered, together = quiet.copy(), quiet.copy()
    scattered[rng.choice(4000, 400, replace=False)] = 2.0
    together[1000:1400] = 2.0
    assert fit_tail([together], gap=10).rate < fit_tail([scattered], gap=10).rate / 5


@pytest.mark.parametrize("windows", [1, 2, 7, 40])
def test_few_windows_still_make_a_tail_of_sensible_numbers(windows: int) -> None:
    tail = fit_tail([np.random.default_rng(0).random(windows)], gap=10)
    assert all(math.isfinite(v) for v in (tail.level, tail.scale, tail.shape, tail.rate))
    assert tail.scale > 0
    assert tail.rate > 0
    assert tail.boundary(1e-6) > tail.level


def test_a_constant_score_makes_a_tail_too() -> None:
    tail = fit_tail([np.full(500, 0.3)], gap=10)
    assert tail.boundary(1e-5) >= 0.3
    assert math.isfinite(tail.boundary(1e-5))


def test_distances_of_gaussian_rows_hold_a_budget_beyond_the_data() -> None:
    """Their tail is lighter than exponential; one that may not be is passed a fourth as often as asked."""
    rng = np.random.default_rng(2)
    distances = np.sqrt((rng.normal(size=(500_000, 8)) ** 2).mean(axis=1))
    boundaries = [fit_tail([part], gap=0).boundary(1e-4) for part in distances.reshape(-1, 2500)]
    realised = [(distances > boundary).mean() for boundary in boundaries]
    assert 0.7 < np.median(realised) / 1e-4 < 1.4


@pytest.mark.parametrize("shape", [-0.1, 0.0, 0.2, 0.4])
def test_the_tail_s_shape_is_found(shape: float) -> None:
    rng = np.random.default_rng(1)
    excess = rng.exponential(size=20_000) if shape == 0 else (rng.random(20_000) ** -shape - 1) / shape
    tail = fit_tail([excess], gap=0)
    assert abs(tail.shape - shape) < 0.05
