"""An angle is its cosine and sine inside the graph: neighbours across the seam are neighbours."""

import numpy as np
from edge_ae_train.scoring.features import Circle, Features, circles
from edge_ae_train.scoring.preprocess import Standardise, fit_scaler

CIRCLES = (Circle(0, 360.0, 0.0), Circle(2, 2.0, -1.0))


def test_angle_goes_there_and_back_and_others_stay() -> None:
    values = np.array([[1.0, 5.0, -0.9], [359.5, -7.0, 0.9], [180.0, 0.0, 0.0], [90.0, 1.0, 0.5]], np.float32)
    features = Features(3, CIRCLES)
    there = features(values)
    assert there.shape == (4, 5)
    np.testing.assert_allclose(there[:, 1], values[:, 1], rtol=0, atol=0)
    np.testing.assert_allclose(there[3, 0], 0.0, atol=1e-6, rtol=0)
    np.testing.assert_allclose(there[3, 3], 1.0)
    np.testing.assert_allclose(features.physical(there), values, atol=1e-3, rtol=1e-5)


def test_missing_angle_is_two_missing_features() -> None:
    there = Features(3, CIRCLES)(np.array([[np.nan, 5.0, 0.5]], np.float32))
    assert np.isnan(there).tolist() == [[True, False, False, True, False]]


def test_shares_of_both_features_are_the_channels() -> None:
    squares = np.array([[1.0, 2.0, 3.0, 10.0, 20.0]], np.float32)
    assert Features(3, CIRCLES).by_channel(squares).tolist() == [[11.0, 2.0, 23.0]]


def test_start_is_where_the_values_begin_to_count() -> None:
    rows = [np.array([[0.0, -170.0, 3.0], [359.0, 170.0, 4.0]], np.float32)]
    assert circles((360.0, 360.0, 0.0), rows) == (Circle(0, 360.0, 0.0), Circle(1, 360.0, -180.0))


def test_scaling_without_angles_is_as_if_there_were_none() -> None:
    rows = [np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)]
    plain, asked = fit_scaler(rows), fit_scaler(rows, (0.0, 0.0, 0.0))
    assert plain.circles == asked.circles == ()
    np.testing.assert_array_equal(plain.root, asked.root)
    assert Standardise(plain).features is None


def test_restored_angle_is_within_its_turn() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([np.mod(350 + 30 * rng.normal(size=500), 360.0), rng.normal(size=500)]).astype(np.float32)
    standardise = Standardise(fit_scaler([rows], (360.0, 0.0)))
    values, _ = standardise(rows[None])
    assert values.shape == (1, 500, 3)
    restored = standardise.restore(values)[0]
    assert restored.shape == rows.shape
    apart = np.abs((restored - rows + 180.0) % 360.0 - 180.0)
    assert apart[:, 0].max() < 0.1
    assert 0.0 <= restored[:, 0].min() <= restored[:, 0].max() <= 360.0
