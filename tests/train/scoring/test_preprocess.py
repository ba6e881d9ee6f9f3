"""What is missing: filled from the other channels, at the channel's own level, or as the row before."""

from typing import Any

import numpy as np
import pytest
from edge_ae_train.scoring.preprocess import BRIDGE, FILL_STEPS, at_its_level, bridged, covered, fill, fit_scaler
from edge_ae_train.scoring.whitening import whitening_root

from tests.train.scoring.normal_rows import CHANNELS, FLOOR, correlated


@pytest.mark.parametrize("missing", [[], [0], [2], [0, 3], [0, 1, 2]])
def test_what_is_missing_is_filled_by_its_conditional_mean(missing: list[int]) -> None:
    assert len(missing) <= FILL_STEPS
    rows = correlated(2000).astype(np.float64)
    centred = rows - rows.mean(axis=0)
    root: Any = whitening_root(centred, FLOOR)  # in double precision, to compare exactly
    precision = root @ root
    value = centred[0].copy()
    value[missing] = 0.0
    known = [c for c in range(CHANNELS) if c not in missing]
    expected = value.copy()
    if missing:
        between = precision[np.ix_(missing, known)] @ value[known]
        expected[missing] = -np.linalg.solve(precision[np.ix_(missing, missing)], between)
    present: Any = np.ones(CHANNELS)
    present[missing] = 0.0
    found = fill(value[None], root, present[None])
    np.testing.assert_allclose(found[0], expected, rtol=1e-6, atol=1e-8)


def test_all_missing_is_the_mean_and_a_number() -> None:
    root = whitening_root(correlated(500), FLOOR).astype(np.float32)
    nothing = np.zeros((3, CHANNELS), np.float32)
    assert fill(nothing, root, np.zeros((3, CHANNELS), np.float32)).tolist() == nothing.tolist()


def test_a_hole_is_filled_at_the_level_that_the_channel_has_in_the_window() -> None:
    """A channel on its way apart from the others, such as the weather: what is missing is where it was, not where they are."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 1)) + 0.1 * rng.normal(size=(500, 3))
    root: Any = whitening_root(rows - rows.mean(axis=0), FLOOR[:3])
    window: Any = rows[:16].copy()
    window[:, 0] += 2.0
    present: Any = np.ones_like(window)
    present[4:9, 0] = 0.0
    filled = fill((window * present)[None], root, present[None])
    at_level = at_its_level(filled, root, present[None])[0]
    assert float((filled[0, 4:9, 0] - window[4:9, 0]).mean()) < -1.5
    np.testing.assert_allclose(at_level[4:9, 0], window[4:9, 0], atol=0.4)
    assert np.array_equal(at_level[present > 0], window[present > 0])


@pytest.mark.parametrize("gap", [1, BRIDGE, BRIDGE + 1])
def test_a_row_of_which_nothing_is_known_is_as_the_one_before_it(gap: int) -> None:
    window = np.arange(32, dtype=np.float32).reshape(1, 16, 2)
    present = np.ones_like(window)
    present[:, 5 : 5 + gap] = 0.0
    present[:, 12, 0] = 0.0  # lacks one channel alone: left to the fill
    expected = window.copy()
    expected[:, 5 : 5 + min(gap, BRIDGE)] = window[:, 4:5]
    assert np.array_equal(bridged(window, present), expected)


@pytest.mark.parametrize(("known", "stays"), [(0, False), (7, False), (8, True), (16, True)])
def test_a_channel_that_lacks_most_of_its_rows_is_missing_in_all(known: int, stays: bool) -> None:
    present = np.ones((1, 16, 2), np.float32)
    present[0, known:, 0] = 0.0
    found = covered(present)
    assert np.array_equal(found[..., 1], present[..., 1])
    assert int(found[..., 0].sum()) == (known if stays else 0)


def test_scaling_survives_channels_that_never_move_or_never_come() -> None:
    rows = np.array([[5.0, np.nan, 1.0], [5.0, np.nan, 3.0], [5.0, np.nan, np.nan]], np.float32)
    scaler = fit_scaler([rows])
    for part in (scaler.centre, scaler.spread, scaler.limit, scaler.root):
        assert np.isfinite(part).all()
    assert (scaler.spread > 0).all()
    assert (scaler.centre[0], scaler.centre[2]) == (5.0, 2.0)
