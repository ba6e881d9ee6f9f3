"""The graph: averages and energies of what was not foreseen, and the same score whoever shares the batch."""

import numpy as np
import pytest
from edge_ae_train.scoring.graph import DECAYS, Measure, Views, scale_weights
from edge_ae_train.scoring.preprocess import Scaler, Standardise
from edge_ae_train.scoring.whitening import TEMPER, Whitening, whitening_root

from edge_ae.core.model_spec import Floats
from tests.train.scoring.normal_rows import CHANNELS, FLOOR, correlated

LENGTH = 16
SCALES = len(DECAYS)


@pytest.mark.parametrize("length", [1, 2, 16, 64])
def test_every_scale_is_an_average_and_weighs_the_newest_row_most(length: int) -> None:
    weights = scale_weights(length)
    assert weights.shape == (len(DECAYS), length)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
    assert (np.diff(weights, axis=1) >= 0).all()
    assert weights[0].tolist() == [0.0] * (length - 1) + [1.0]


class Last:
    """Predicts each row to be what the first of the window was; its latent is that row."""

    def __call__(self, window: Floats) -> tuple[Floats, Floats]:
        return window[:, 0], np.repeat(window[:, :1], window.shape[1], axis=1)

    def sources(self, length: int) -> Floats:
        every: Floats = np.zeros((length, length), np.float32)
        every[1:, 0] = 1.0
        return every


def as_usual(mean: Floats, root: Floats) -> Whitening:
    """A whitening of channels whose tails are a Gaussian's."""
    return Whitening(mean, root, np.full(root.shape[:2], TEMPER, np.float32))


def plain_measure(means: float = 0.0) -> Measure:
    """Rows as they are, for a network that restores nothing but the first row, and no correlation anywhere."""
    views, latent = (
        2 * SCALES,
        as_usual(np.zeros((1, 1, CHANNELS), np.float32), np.eye(CHANNELS, dtype=np.float32)[None]),
    )
    unit = np.tile(np.eye(CHANNELS, dtype=np.float32), (views, 1, 1))
    return Measure(
        Views(Last(), Last(), LENGTH),
        as_usual(means * np.arange(views, dtype=np.float32)[:, None, None].repeat(CHANNELS, 2), unit),
        latent,
    )


def squares_of(measure: Measure, rows: Floats, present: Floats | None) -> Floats:
    """[view, window, channel] of standardised windows."""
    return measure.squares(*measure.whitened(*measure.centred(measure.views(rows)[0], present)))


def test_averages_see_a_shift_and_energies_what_changes_sign() -> None:
    shift, swing = np.zeros((1, LENGTH, CHANNELS), np.float32), np.zeros((1, LENGTH, CHANNELS), np.float32)
    shift[:, 1:, 0] = 2.0
    swing[:, 1:, 0] = 2.0 * (-1.0) ** np.arange(1, LENGTH)
    shifted, swung = (squares_of(plain_measure(), rows, None)[:, 0, 0] for rows in (shift, swing))
    averages, energies = slice(1, SCALES), slice(2 * SCALES, 2 * SCALES + 1)
    assert (shifted[averages] > 1.0).all()
    assert (swung[averages] < shifted[averages] / 5).all()
    np.testing.assert_allclose(swung[energies], shifted[energies])
    assert (swung[energies] > 1.0).all()


def test_an_energy_counts_only_values_that_were_there() -> None:
    rows = np.zeros((1, LENGTH, CHANNELS), np.float32)
    rows[:, 1:, 0] = 2.0
    present = np.ones_like(rows)
    present[:, LENGTH // 2 :, 0] = 0.0
    measure = plain_measure()
    whole, part = (squares_of(measure, rows, there)[2 * SCALES :, 0, 0] for there in (None, present))
    assert (part < whole).all()
    assert (part > 0.0).any()


def test_what_is_whole_is_the_same_with_and_without_the_fill() -> None:
    """The fill is skipped where no window of a batch lacks anything: a window's score must not depend on its company."""
    root = whitening_root(correlated(500), FLOOR).astype(np.float32)
    unit = np.ones(CHANNELS, np.float32)
    standardise = Standardise(Scaler(0.0 * unit, unit, 20.0 * unit, FLOOR, root))
    windows = np.repeat(correlated(16)[None], 2, axis=0)
    windows[1, 3, 2] = np.nan
    (rows, present), (alone, _) = standardise(windows), standardise(windows[:1])
    assert np.array_equal(rows[0], alone[0])
    measure = plain_measure(means=0.1)
    assert np.array_equal(squares_of(measure, rows, present)[:, :1], squares_of(measure, alone, None))


def test_the_mean_of_a_view_s_parts_is_the_square_of_its_distance() -> None:
    """Where nothing is far enough to be tempered."""
    measure, rows = plain_measure(), 0.01 * correlated(2 * LENGTH).reshape(2, LENGTH, CHANNELS)
    squares = squares_of(measure, rows, None)
    found = measure.distances(rows, np.ones_like(rows))
    np.testing.assert_allclose(found[:-1], np.sqrt(squares.mean(axis=2)), rtol=1e-3)
    np.testing.assert_allclose(found[-1], np.sqrt((rows[:, 0] ** 2).mean(axis=1)), rtol=1e-3)
