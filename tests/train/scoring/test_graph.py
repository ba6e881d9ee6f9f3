"""The score's parts: averages, whitening, the fill of what is missing."""

import numpy as np
import pytest
import torch
from edge_ae_train.scoring.graph import (
    BRIDGE,
    DECAYS,
    FILL_STEPS,
    PLAIN,
    TEMPERED,
    Measure,
    Views,
    Whitening,
    at_its_level,
    bridged,
    covered,
    fill,
    fit_whitening,
    mend,
    rms,
    scale_weights,
    tempered,
    whitening_root,
)
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ae.core.model_spec import Floats

CHANNELS = 4
FLOOR = np.full(CHANNELS, 0.01, np.float32)
LENGTH = 16
SCALES = len(DECAYS)


def distances(rows: Floats, whitening: Whitening, temper: float = PLAIN) -> NDArray[np.float64]:
    """Of single rows [row, channel], in the first view of a whitening."""
    squares = torch.from_numpy((rows - whitening.mean[0]) @ whitening.root[0]).to(torch.float64) ** 2
    found: NDArray[np.float64] = rms(tempered(squares, temper)).numpy()
    return found


def correlated(rows: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(CHANNELS, CHANNELS))
    return (rng.normal(size=(rows, CHANNELS)) @ mixing + 3.0).astype(np.float32)


@pytest.mark.parametrize("length", [1, 2, 16, 64])
def test_every_scale_is_an_average_and_weighs_the_newest_row_most(length: int) -> None:
    weights = scale_weights(length)
    assert weights.shape == (len(DECAYS), length)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
    assert (np.diff(weights, axis=1) >= 0).all()
    assert weights[0].tolist() == [0.0] * (length - 1) + [1.0]


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


def test_a_channel_that_has_gone_leaves_the_others_to_be_heard() -> None:
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


class Last(nn.Module):
    """Foretells each row to be what the first of the window was; its latent is that row."""

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        return window[:, 0], window[:, :1].expand_as(window)

    def sources(self, length: int) -> Floats:
        every: Floats = np.zeros((length, length), np.float32)
        every[1:, 0] = 1.0
        return every


def plain_measure(means: float = 0.0) -> Measure:
    """Rows as they are, for a network that restores nothing but the first row, and no correlation anywhere."""
    views, latent = (
        2 * SCALES,
        Whitening(np.zeros((1, 1, CHANNELS), np.float32), np.eye(CHANNELS, dtype=np.float32)[None]),
    )
    unit = np.tile(np.eye(CHANNELS, dtype=np.float32), (views, 1, 1))
    return Measure(
        Views(Last(), Last(), LENGTH),
        Whitening(means * np.arange(views, dtype=np.float32)[:, None, None].repeat(CHANNELS, 2), unit),
        latent,
        PLAIN,
    )


def test_averages_see_a_shift_and_energies_what_changes_sign() -> None:
    shift, swing = torch.zeros(1, LENGTH, CHANNELS), torch.zeros(1, LENGTH, CHANNELS)
    shift[:, 1:, 0] = 2.0
    swing[:, 1:, 0] = 2.0 * (-1.0) ** torch.arange(1, LENGTH)
    shifted, swung = (plain_measure()(rows, torch.ones_like(rows))[1][:, 0, 0] for rows in (shift, swing))
    averages, energies = slice(1, SCALES), slice(2 * SCALES, 3 * SCALES - 1)
    assert (shifted[averages] > 1.0).all()
    assert (swung[averages] < shifted[averages] / 5).all()
    torch.testing.assert_close(swung[energies], shifted[energies])
    assert (swung[energies] > 1.0).all()


def test_an_energy_counts_only_values_that_were_there() -> None:
    rows = torch.zeros(1, LENGTH, CHANNELS)
    rows[:, 1:, 0] = 2.0
    present = torch.ones_like(rows)
    present[:, LENGTH // 2 :, 0] = 0.0
    measure = plain_measure()
    whole, part = (measure(rows, there)[1][2 * SCALES :, 0, 0] for there in (torch.ones_like(rows), present))
    assert (part < whole).all()
    assert (part > 0.0).any()


@pytest.mark.parametrize("missing", [[], [0], [2], [0, 3], [0, 1, 2]])
def test_what_is_missing_is_filled_by_its_conditional_mean(missing: list[int]) -> None:
    assert len(missing) <= FILL_STEPS
    rows = correlated(2000).astype(np.float64)
    centred = rows - rows.mean(axis=0)
    root = whitening_root(centred, FLOOR)
    precision = root @ root
    value = centred[0].copy()
    value[missing] = 0.0
    known = [c for c in range(CHANNELS) if c not in missing]
    expected = value.copy()
    if missing:
        between = precision[np.ix_(missing, known)] @ value[known]
        expected[missing] = -np.linalg.solve(precision[np.ix_(missing, missing)], between)
    present = torch.ones(CHANNELS, dtype=torch.float64)
    present[missing] = 0.0
    found = fill(torch.from_numpy(value)[None], torch.from_numpy(root), present[None])
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-6, atol=1e-8)


def test_all_missing_is_the_mean_and_a_number() -> None:
    root = torch.from_numpy(whitening_root(correlated(500), FLOOR).astype(np.float32))
    nothing = torch.zeros(3, CHANNELS)
    assert fill(nothing, root, torch.zeros(3, CHANNELS)).tolist() == nothing.tolist()


def test_a_hole_is_filled_at_the_level_that_the_channel_has_in_the_window() -> None:
    """A channel on its way apart from the others, such as the weather: what is missing is where it was, not where they are."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 1)) + 0.1 * rng.normal(size=(500, 3))
    root = torch.from_numpy(whitening_root(rows - rows.mean(axis=0), FLOOR[:3]))
    window = torch.from_numpy(rows[:16].copy())
    window[:, 0] += 2.0
    present = torch.ones_like(window)
    present[4:9, 0] = 0.0
    filled = fill((window * present)[None], root, present[None])
    at_level = at_its_level(filled, root, present[None])[0]
    assert float((filled[0, 4:9, 0] - window[4:9, 0]).mean()) < -1.5
    np.testing.assert_allclose(at_level[4:9, 0], window[4:9, 0], atol=0.4)
    assert torch.equal(at_level[present > 0], window[present > 0])


@pytest.mark.parametrize("gap", [1, BRIDGE, BRIDGE + 1])
def test_a_row_of_which_nothing_is_known_is_as_the_one_before_it(gap: int) -> None:
    window = torch.arange(32.0).reshape(1, 16, 2)
    present = torch.ones_like(window)
    present[:, 5 : 5 + gap] = 0.0
    present[:, 12, 0] = 0.0  # lacks one channel alone: left to the fill
    expected = window.clone()
    expected[:, 5 : 5 + min(gap, BRIDGE)] = window[:, 4:5]
    assert torch.equal(bridged(window, present), expected)


@pytest.mark.parametrize(("known", "stays"), [(0, False), (7, False), (8, True), (16, True)])
def test_a_channel_that_lacks_most_of_its_rows_is_missing_in_all(known: int, stays: bool) -> None:
    present = torch.ones(1, 16, 2)
    present[0, known:, 0] = 0.0
    found = covered(present)
    assert torch.equal(found[..., 1], present[..., 1])
    assert int(found[..., 0].sum()) == (known if stays else 0)


def test_what_is_whole_is_the_same_with_and_without_the_fill() -> None:
    """The fill is skipped where no window of a batch lacks anything: a window's score must not depend on its company."""
    root = torch.from_numpy(whitening_root(correlated(500), FLOOR).astype(np.float32))
    rows = torch.from_numpy(correlated(16))[None].repeat(2, 1, 1)
    present = torch.ones_like(rows)
    present[1, 3, 2] = 0.0
    for values, there in ((rows, present), (rows[:1], present[:1])):
        assert torch.equal(mend(values, root, there)[0][0], rows[0])
    measure = plain_measure(means=0.1)
    together, alone = measure(rows, present), measure(rows[:1], present[:1])
    for one, other in zip(together[:2], alone[:2], strict=True):
        assert torch.equal(one[:, :1], other)
