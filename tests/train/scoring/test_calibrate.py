"""Calibration: a budget that holds on data that nothing was fitted to."""

import math

import numpy as np
import pytest
from edge_ae_train.scoring.calibrate import (
    HeldOut,
    below_gross,
    calibrate,
    fit_tail,
    on_delay_of,
    peaks,
    reach,
    sustained,
)
from edge_ae_train.scoring.graph import view_weights
from edge_ae_train.scoring.whitening import Whitening
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats, Tail
from edge_ae.core.timestamps import SECOND

VIEWS = 11  # of two residuals
FLOOR = np.full(3, 0.01, np.float32)


def block(windows: int, seed: int, times: float = 1.0) -> HeldOut:
    """Windows of eight views, their energies' two, and a latent that is noise of its own."""
    rng = np.random.default_rng(seed)
    averages: Floats = (times * rng.normal(size=(8, windows, 3))).astype(np.float32)
    others = np.abs(rng.normal(size=(3, windows)))

    def distances(whitening: Whitening) -> NDArray[np.float64]:
        white = (averages - whitening.mean) @ whitening.root
        return np.concatenate([np.sqrt((white**2).mean(axis=2)), others])

    return HeldOut(averages, distances)


def test_the_budget_holds_on_windows_not_seen() -> None:
    calibration = calibrate([block(2000, seed) for seed in range(4)], FLOOR, gap=0)
    fresh = block(100_000, 99)
    scores = calibration.score(fresh.distances(calibration.whitening))
    for per_window in (1e-2, 1e-3):
        realised = (scores > calibration.tail.boundary(per_window)).mean()
        assert 0.4 < realised / per_window < 2.5
    assert math.isclose(np.median(scores), calibration.typical, rel_tol=0.05)


def directions(whitening: Whitening) -> Floats:
    """What its dimensions are made of, whatever tails they are measured by: those are of all blocks, as the limits are."""
    found: Floats = whitening.root / np.linalg.norm(whitening.root, axis=1, keepdims=True)
    return found


def test_a_block_is_measured_by_what_the_others_taught() -> None:
    blocks = [block(300, seed) for seed in range(3)]
    calibration = calibrate(blocks, FLOOR, gap=0)
    changed = calibrate([block(300, 0, times=9.0), *blocks[1:]], FLOOR, gap=0)
    np.testing.assert_allclose(directions(calibration.crossed[0]), directions(changed.crossed[0]), atol=1e-6)
    assert not np.allclose(directions(calibration.crossed[1]), directions(changed.crossed[1]), atol=1e-6)


def test_the_latent_alone_must_be_further_away_to_count() -> None:
    calibration = calibrate([block(2000, seed) for seed in range(4)], FLOOR, gap=0)
    weights = view_weights(VIEWS)
    weight, least = weights[-1], weights[:-1].min()
    assert math.isclose(calibration.limit[-1] / calibration.limit[-2], math.sqrt(2.0 / weight), rel_tol=0.1)
    assert weight < least


def test_one_held_out_window_in_a_hundred_scores_more_than_one() -> None:
    blocks = [block(2000, seed) for seed in range(4)]
    calibration = calibrate(blocks, FLOOR, gap=0)
    scores = [
        calibration.score(one.distances(crossed)) for one, crossed in zip(blocks, calibration.crossed, strict=True)
    ]
    assert math.isclose((np.concatenate(scores) > 1.0).mean(), 0.01, rel_tol=0.05)


def test_what_is_odd_in_every_view_is_odder_than_what_is_as_odd_in_one() -> None:
    calibration = calibrate([block(2000, seed) for seed in range(4)], FLOOR, gap=0)
    limits = calibration.limit.astype(np.float64) * np.sqrt(view_weights(VIEWS) / view_weights(VIEWS).sum())
    one, every = 0.5 * limits, 1.5 * limits
    one[3] = 1.5 * limits[3]
    assert calibration.score(every[:, None])[0] > 2 * calibration.score(one[:, None])[0]


def test_windows_held_out_limit_how_rare_an_alert_is_vouched_for() -> None:
    calibration = calibrate([block(300, seed) for seed in range(3)], FLOOR, gap=0)
    tail = calibration.tail
    assert calibration.windows == 900
    assert reach(900, tail, 60 * SECOND).startswith("calibrated on 900 held-out windows, 15.0 hours: a budget of less")
    assert "windows, 2.15 min:" in reach(129, tail, SECOND)
    assert "windows, 5.0 days:" in reach(7200, tail, 60 * SECOND)


def test_the_boundary_stays_where_nine_in_ten_gross_faults_pass_unless_normal_data_does() -> None:
    tail, faults = Tail(1.0, 0.2, 0.0, 0.05), np.linspace(2.0, 12.0, 101)
    known = below_gross(tail, faults, windows=1000)
    assert known.gross == 3.0
    assert known.boundary(1e-9) == 3.0
    assert below_gross(tail, faults / 2.0, windows=1000) == tail  # normal data exceeds 1.78 once in as many windows


@pytest.mark.parametrize(
    ("gross", "said"),
    [
        (math.inf, "gross faults do not stand out from what is normal here"),
        (20.0, "every budget leaves the boundary below gross faults"),
        (
            2.0,
            "a budget of less than one alert in 2.1 days would put the boundary beyond gross faults: it stays where 90% of",
        ),
    ],
)
def test_fit_says_which_budget_gross_faults_leave_room_for(gross: float, said: str) -> None:
    assert reach(900, Tail(1.0, 0.2, 0.0, 0.05, gross), 60 * SECOND).splitlines()[1].startswith(said)


def test_one_long_excursion_is_one_alert_and_not_its_windows() -> None:
    rng = np.random.default_rng(0)
    quiet = rng.uniform(0, 1, 4000)
    scattered, together = quiet.copy(), quiet.copy()
    scattered[rng.choice(4000, 400, replace=False)] = 2.0
    together[1000:1400] = 2.0
    assert fit_tail([together], gap=10).rate < fit_tail([scattered], gap=10).rate / 5


def test_sustained_is_the_least_of_so_many_in_a_row() -> None:
    series = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    assert sustained(series, 0).tolist() == series.tolist()
    assert sustained(series, 2).tolist() == [3.0, 1.0, 1.0, 1.0, 2.0]


def test_an_on_delay_lowers_the_boundary_to_where_the_budget_holds_with_it() -> None:
    """Most excursions are one window long."""
    rng = np.random.default_rng(0)
    series = [np.convolve(rng.exponential(size=6000), [0.8, 0.2], "same") for _ in range(5)]
    at_once, waiting = (fit_tail(series[:4], gap=10, on_delay=windows) for windows in (0, 1))
    assert waiting.on_delay == 1
    assert waiting.boundary(1e-3) < 0.8 * at_once.boundary(1e-3)
    raised = len(peaks(sustained(series[4], 1), waiting.boundary(1e-3), 10))
    assert 0.5 * 6 <= raised <= 2.0 * 6


@pytest.mark.parametrize(("hop", "windows"), [(1, 1), (2, 0), (64, 0)])
def test_windows_that_are_rows_apart_are_not_waited_for(hop: int, windows: int) -> None:
    assert on_delay_of(hop) == windows


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
