"""What a forecaster may look at."""

import numpy as np
import pytest
from edge_ae_train.models.linear import MAX_HORIZON, Cva, fit_forecaster
from edge_ae_train.scoring.graph import Views

from edge_ae.core.model_spec import Floats

CHANNELS = 3


def rows(count: int) -> Floats:
    rng = np.random.default_rng(0)
    walk = np.zeros((count, CHANNELS))
    for row in range(1, count):
        walk[row] = 0.9 * walk[row - 1] + rng.normal(size=CHANNELS)
    return walk.astype(np.float32)


@pytest.mark.parametrize(("length", "horizon"), [(16, 8), (32, 16), (64, MAX_HORIZON)])
def test_a_forecaster_restores_a_row_from_its_sources_alone(length: int, horizon: int) -> None:
    forecaster = fit_forecaster([rows(2000)], length)
    assert forecaster.horizon == horizon
    window = rows(length)[None]
    sources = forecaster.sources(length)
    for source in range(length):
        other = window.copy()
        other[:, source] += 5.0
        changed = (forecaster(other)[1] != forecaster(window)[1]).any(axis=2)[0]
        later = np.arange(length) >= horizon  # before that, each row is restored from itself
        assert set(np.flatnonzero(changed & later)) <= set(np.flatnonzero(sources[:, source])) | {0}
    assert sources[horizon:].any(axis=1).all()
    assert not sources[:horizon].any()


def test_a_level_that_has_moved_stays_in_sight_of_the_forecaster_longer_than_of_the_next_row() -> None:
    slow, length = [rows(4000)], 32
    near, far = Cva(slow, 2), fit_forecaster(slow, length)
    window = np.zeros((1, length, CHANNELS), np.float32)
    window[:, length // 2 :, 0] = 4.0
    left = [float(abs((window - network(window)[1])[0, -1, 0])) for network in (near, far)]
    assert left[1] > 3.0 * left[0]


def test_nothing_is_predicted_from_a_row_that_lacks_some_of_its_values() -> None:
    length = 16
    forecaster = fit_forecaster([rows(2000)], length)
    present = np.ones((1, length, CHANNELS), np.float32)
    present[0, 2, 1] = 0.0
    present[0, 4] = 0.0
    near, far = np.swapaxes(Views(forecaster, forecaster, length).known(present), 0, 1)
    assert np.array_equal(near, present)
    without = np.flatnonzero(forecaster.sources(length)[:, 2])
    expected = present.copy()
    expected[0, without] = 0.0
    assert np.array_equal(far, expected)
