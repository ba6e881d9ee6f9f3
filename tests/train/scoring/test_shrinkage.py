"""The shrunk covariance is the one of scikit-learn, which a device does not have."""

import numpy as np
import pytest
from edge_ae_train.scoring.shrinkage import shrunk_covariance
from sklearn.covariance import ledoit_wolf


@pytest.mark.parametrize(("rows", "dimensions"), [(5, 1), (3, 8), (40, 8), (1000, 8), (20, 20)])
def test_it_is_that_of_ledoit_and_wolf(rows: int, dimensions: int) -> None:
    rng = np.random.default_rng(rows)
    values = rng.normal(size=(rows, dimensions)) @ rng.normal(size=(dimensions, dimensions))
    expected, _ = ledoit_wolf(values, assume_centered=True)
    np.testing.assert_allclose(shrunk_covariance([values]), expected, rtol=1e-10, atol=1e-12)


def test_rows_in_blocks_are_as_rows_at_once() -> None:
    values = np.random.default_rng(0).normal(size=(50, 4))
    np.testing.assert_allclose(
        shrunk_covariance([values[:7], values[7:8], values[8:]]), shrunk_covariance([values]), rtol=1e-12
    )


def test_rows_that_stand_still_have_no_variance() -> None:
    assert not shrunk_covariance([np.zeros((10, 3))]).any()
