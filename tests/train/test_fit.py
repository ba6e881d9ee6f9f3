"""Rows -> a model: what is chosen, what is refused, and that the same seed makes the same model."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from edge_ae_train import candidates, networks
from edge_ae_train.data.dataset import WindowSet
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Origin, save
from edge_ae_train.fit import Options, fit
from edge_ae_train.models.trainer import Recipe

from edge_ae.core.model_spec import Floats
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import PREFIX, OnnxModel
from tests.models import TRAIN_ROWS, TRAINED_LENGTH, pump, train_model, trained


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


@pytest.fixture(scope="session")
def model(path: Path) -> OnnxModel:
    return OnnxModel.load(path)


def segment_of(first: int, last: int) -> Segment:
    return Segment(rows_of(first, last))


def rows_of(first: int, last: int) -> Floats:
    return pump().values[first:last].astype(np.float32)


def all_windows() -> Floats:
    rows = rows_of(TRAIN_ROWS, TRAIN_ROWS + 700)
    return np.stack([rows[a : a + TRAINED_LENGTH] for a in range(len(rows) - TRAINED_LENGTH + 1)])


def unstamped(path: Path) -> bytes:
    proto = onnx.load(path)
    for prop in proto.metadata_props:
        if prop.key in (PREFIX + "trained_at", PREFIX + "digest"):
            prop.value = ""
    return bytes(proto.SerializeToString())


def test_the_same_seed_makes_the_same_file_apart_from_its_time(path: Path, model: OnnxModel, tmp_path: Path) -> None:
    other = train_model(tmp_path / "m.onnx")
    np.testing.assert_array_equal(model.score(all_windows()), other.score(all_windows()))
    assert unstamped(path) == unstamped(tmp_path / "m.onnx")


@pytest.mark.timeout(120)
def test_a_network_trained_twice_from_one_seed_scores_the_same_and_as_numpy_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "Recipe", lambda: Recipe(batch=16, steps=60, check_every=30))
    monkeypatch.setattr(candidates, "FOLDS", 2)
    options = Options(family="cae", length=TRAINED_LENGTH, seed=3)
    rows = (segment_of(0, 500),)
    one, other = fit(rows, options), fit(rows, options)
    windows = all_windows()[:200]
    scores, again = (f.graph(windows)[0] for f in (one, other))
    np.testing.assert_array_equal(scores, again)
    assert np.isfinite(scores).all()
    model = save(one, Recording(pump(2).names, 10**10, rows), Origin("m"), tmp_path / "m.onnx")
    assert model.spec.family == "cae"
    np.testing.assert_allclose(model.score(windows), scores, rtol=1e-5, atol=1e-5)


def test_later_normal_rows_are_normal_and_a_fault_is_not(model: OnnxModel) -> None:
    boundary = model.spec.tail.boundary(1e-4)
    windows = all_windows()
    assert (model.score(windows) > boundary).mean() < 0.01
    windows[:, -4:, 2] += 120.0  # some three deviations
    assert (model.score(windows) > boundary).mean() > 0.9


def test_missing_channels_lift_no_score_over_its_boundary(model: OnnxModel) -> None:
    boundary = model.spec.tail.boundary(1e-4)
    for channel in range(10):
        windows = all_windows()
        windows[:, :, channel] = np.nan
        assert (model.score(windows) > boundary).mean() < 0.01


def test_channel_scores_add_up_to_the_score_and_blame_the_channel(model: OnnxModel) -> None:
    windows = all_windows()
    windows[:, -4:, 2] += 60.0
    parts = model.run(windows)
    np.testing.assert_allclose(parts["channel_score"].sum(axis=1), parts["score"], rtol=1e-4)
    assert (parts["channel_score"].argmax(axis=1) == 2).mean() > 0.8


def test_windows_with_holes_are_calibrated_as_the_model_file_scores_them() -> None:
    rows = rows_of(0, 700)
    rows[np.random.default_rng(0).random(len(rows)) < 0.1] = np.nan
    rows[300:306, 4] = np.nan
    fitted = fit([Segment(rows)], Options(family="cva", length=TRAINED_LENGTH))
    candidate, graph = fitted.candidate, fitted.graph
    windows = WindowSet([Segment(rows)], graph.standardise, TRAINED_LENGTH)
    calibration = candidate.calibration
    distances = candidate.trained.distances(windows.chunks(100), calibration.whitening)
    physical = np.stack([rows[end - TRAINED_LENGTH + 1 : end + 1] for end in windows.ends])
    scores = graph(physical)[0]
    np.testing.assert_allclose(calibration.score(distances), scores, rtol=1e-3)


def test_too_few_rows_are_a_sentence() -> None:
    with pytest.raises(BadData, match=r"^50 rows are too few for windows of 16: record at least \d+ rows"):
        fit([segment_of(0, 50)], Options(family="pca", length=16))
    with pytest.raises(
        BadData, match=r"^150 rows are too few for windows of 16: .* 192 rows of .*, or 96 with --family cva"
    ):
        fit([segment_of(0, 150)], Options(length=16))
    fit([segment_of(0, 96)], Options(family="pca", length=16))


def test_rows_that_mostly_hold_no_value_in_one_part_are_a_sentence() -> None:
    """As where lines come ten times less often from the middle on."""
    rows = rows_of(0, 1500)
    rows[300:][np.arange(1200) % 10 > 0] = np.nan
    with pytest.raises(
        BadData,
        match=r"^in a part of the recordings, no stretch of 16 rows has values in half of them: give a longer --period",
    ):
        fit([Segment(rows)], Options(family="pca", length=16))


def test_rows_without_any_stretch_are_a_sentence() -> None:
    pieces = [segment_of(a, a + 10) for a in range(0, 600, 20)]
    with pytest.raises(BadData) as caught:
        fit(pieces, Options(family="cae", length=16))
    assert "\n" not in str(caught.value)


def test_machine_that_was_off_in_a_whole_part_can_be_learned() -> None:
    rows = rows_of(0, 1200)
    rows[:900] = 0.0
    fitted = fit([Segment(rows)], Options(family="cva", length=16))
    fault = rows[1000:1016].copy()
    fault[:, 0] += 8 * rows[:, 0].std()
    off, odd = (fitted.graph(window[None])[0] for window in (rows[:16], fault))
    assert 10 * off < odd  # what has been seen of it at work was held out, and is no boundary's fault


def test_recordings_of_one_window_each_are_a_sentence_and_of_a_few_rows_more_are_enough() -> None:
    pieces = [segment_of(a, a + 16) for a in range(0, 640, 32)]
    with pytest.raises(BadData, match="no two stretches of 16 rows without a gap to calibrate on"):
        fit(pieces, Options(family="pca", length=16))
    fit([segment_of(a, a + 10) for a in range(0, 1000, 10)], Options(family="cva", length=8))


def test_channel_far_from_zero_counts_in_the_score() -> None:
    """A million, give or take one: sixteen steps of single precision."""
    rows = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
    rows[:, 0] += 1e6
    fitted = fit([Segment(rows)], Options(family="cva", length=16))
    window = rows[:16].copy()
    window[:, 0] += 30
    assert fitted.graph(window[None])[0] > 2.0


def test_twelve_windows_of_rows_are_enough_for_a_network() -> None:
    fit([segment_of(0, 12 * 16)], Options(family="ae", length=16))


def test_the_file_says_how_it_was_chosen(model: OnnxModel) -> None:
    assert (model.report["chosen"], model.report["rows"], model.spec.length) == ("pca", TRAIN_ROWS, TRAINED_LENGTH)
