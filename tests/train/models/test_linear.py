"""What a forecaster may look at."""

import numpy as np
from edge_ae_train.models.linear import Cva, fit_forecaster, fit_linear
from edge_ae_train.scoring.graph import Views

from edge_ae.core.model_spec import Floats

CHANNELS = 3


def rows(count: int) -> Floats:
    rng = np.random.default_rng(0)
    walk = np.zeros((count, CHANNELS))
    for row in range(1, count):
        walk[row] = 0.9 * walk[row - 1] + rng.normal(size=CHANNELS)
    return walk.astype(np.float32)


def test_a_forecaster_restores_a_row_from_its_sources_alone() -> None:
    forecaster, length = fit_forecaster("pca", [rows(2000)]), 16
    assert forecaster is not None
    window, sources = rows(length)[None], forecaster.sources(length)
    for source in range(length):
        other = window.copy()
        other[:, source] += 5.0
        changed = (forecaster(other)[1] != forecaster(window)[1]).any(axis=2)[0]
        assert set(np.flatnonzero(changed)) <= set(np.flatnonzero(sources[:, source])) | {
            0
        }  # the first has none before it
    assert sources[1:].any(axis=1).all()
    assert not np.triu(sources).any()


def test_what_foretells_each_row_by_itself_has_no_forecaster_beside_it() -> None:
    part = [rows(500)]
    alone, beside = (
        Views(fit_linear(family, part), fit_forecaster(family, part), 16)(rows(16)[None])[0]
        for family in ("cva", "pca")
    )
    assert alone.shape == (1, 1, 16, CHANNELS)
    assert beside.shape == (1, 2, 16, CHANNELS)
    np.testing.assert_array_equal(alone[:, 0], beside[:, 1])


def test_nothing_is_predicted_from_a_row_that_lacks_some_of_its_values() -> None:
    length = 16
    forecaster = Cva([rows(2000)], 2)
    present = np.ones((1, length, CHANNELS), np.float32)
    present[0, 2, 1] = 0.0
    present[0, 4] = 0.0
    near, far = np.swapaxes(Views(forecaster, forecaster, length).known(present), 0, 1)
    assert np.array_equal(near, present)
    without = np.flatnonzero(forecaster.sources(length)[:, 2])
    expected = present.copy()
    expected[0, without] = 0.0
    assert np.array_equal(far, expected)
