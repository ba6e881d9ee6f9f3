"""Synthetic rows: a detector that was trained on real ones takes them for normal, and they move as the real ones do."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train import networks
from edge_ae_train.cli import main
from edge_ae_train.evaluation import evaluate
from edge_ae_train.models.trainer import Recipe
from edge_ae_train.synthetic import sampler
from edge_ae_train.synthetic.simulator import simulate, write_csv
from numpy.typing import NDArray
from scipy.signal import welch

from edge_ae.core.detector import Watch
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadModel
from edge_ae.model.onnx_model import PREFIX, OnnxModel
from edge_ae.offline import score_table
from edge_ae.store.recording_csv import Table, read_csv
from tests.train.conftest import Small

DAILY = AlertRules(interval_ns=86_400 * SECOND)
LENGTH = 32
STEPS = 900  # of training: enough for a likeness
MOST_BYTES = 500_000


@dataclass(frozen=True)
class Twin:
    model: Path
    real: Path
    synthetic: Path


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    folder = tmp_path_factory.mktemp("twin")
    found = Twin(folder / "vae.onnx", folder / "real.csv", folder / "synthetic.csv")
    write_csv(simulate(4300, 60.0), found.real)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "Recipe", lambda: Recipe(steps=STEPS))
        arguments = ["fit", "--data", str(found.real), "--out", str(found.model), "--length", str(LENGTH)]
        assert main([*arguments, "--family", "vae"]) == 0
    assert main(["generate", "--model", str(found.model), "--rows", "4000", "--out", str(found.synthetic)]) == 0
    return found


def tables(twin: Twin) -> tuple[Table, Table]:
    return read_csv(twin.real), read_csv(twin.synthetic)


def test_detector_trained_on_real_rows_takes_them_for_normal(twin: Twin, tmp_path: Path) -> None:
    detector = tmp_path / "detector.onnx"
    arguments = ["fit", "--data", str(twin.real), "--out", str(detector), "--length", "32", "--family", "pca"]
    assert main(arguments) == 0
    model, (_, synthetic) = OnnxModel.load(detector), tables(twin)
    result = score_table(synthetic, model, Watch(model, DAILY))
    found = evaluate.judge(evaluate.scored_rows(synthetic, result, model.spec))
    budget = 4000 * 60 / 86_400  # alerts in as many rows
    # More than of real rows: what a made-up row does that the one before did not announce is not quite what those do.
    assert found.alerts <= 4 * budget
    assert found.alert_rows < 0.15 * found.rows


def test_levels_spread_and_correlations_are_those_of_real_rows(twin: Twin) -> None:
    real, synthetic = (table.values for table in tables(twin))
    spread = real.std(axis=0)
    assert (np.abs(synthetic.mean(axis=0) - real.mean(axis=0)) < 0.5 * spread).all()
    assert (np.abs(np.log(synthetic.std(axis=0) / spread)) < np.log(1.5)).all()
    difference = np.corrcoef(synthetic.T) - np.corrcoef(real.T)
    assert np.abs(difference).max() < 0.35
    assert np.abs(difference).mean() < 0.12


def test_spectrum_is_that_of_real_rows(twin: Twin) -> None:
    """The share of each channel's power below any frequency differs by less than a quarter."""
    real, synthetic = (power_below(table.values) for table in tables(twin))
    assert np.abs(real - synthetic).max() < 0.25


def power_below(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, power = welch(values, nperseg=256, axis=0)
    total: NDArray[np.float64] = np.cumsum(power, axis=0) / power.sum(axis=0)
    return total


def test_values_are_such_as_the_sensors_show(twin: Twin) -> None:
    real, synthetic = (table.values for table in tables(twin))
    assert (synthetic >= real.min(axis=0)).all()
    assert (synthetic <= real.max(axis=0)).all()
    flow = real[:, read_csv(twin.real).names.index("flow")]
    assert set(np.round(np.unique(synthetic[:, 2]) * 10).astype(int)) <= set(range(int(flow.max() * 10) + 1))
    np.testing.assert_allclose(synthetic[:, 2] * 10, np.round(synthetic[:, 2] * 10), atol=1e-9)


def test_same_seed_same_rows_on_the_models_grid_and_another_seed_others(twin: Twin, tmp_path: Path) -> None:
    again, other = tmp_path / "again.csv", tmp_path / "other.csv"
    for out, seed in ((again, "0"), (other, "1")):
        assert main(["generate", "--model", str(twin.model), "--rows", "4000", "--out", str(out), "--seed", seed]) == 0
    assert again.read_bytes() == twin.synthetic.read_bytes() != other.read_bytes()
    table = read_csv(again)
    assert len(table) == 4000
    assert set(np.diff(table.t_ns).tolist()) == {60 * SECOND}
    assert table.names == OnnxModel.load(twin.model).spec.names


def test_rows_are_new_and_not_those_of_the_training(twin: Twin) -> None:
    real, synthetic = tables(twin)
    known = set(map(tuple, real.values.tolist()))
    assert sum(tuple(row) in known for row in synthetic.values.tolist()) == 0


@pytest.mark.parametrize("rows", [1, LENGTH - 1, LENGTH, LENGTH + 1])
def test_any_number_of_rows_can_be_had(rows: int, twin: Twin, tmp_path: Path) -> None:
    out = tmp_path / "few.csv"
    assert main(["generate", "--model", str(twin.model), "--rows", str(rows), "--out", str(out)]) == 0
    assert len(read_csv(out)) == rows


def test_generator_leaves_the_file_small(twin: Twin) -> None:
    assert twin.model.stat().st_size < MOST_BYTES
    assert (PREFIX + sampler.KEY).encode() in twin.model.read_bytes()


def test_model_of_another_family_cannot_and_says_so(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "none.csv"
    assert main(["generate", "--model", str(small.model), "--rows", "10", "--out", str(out)]) == 1
    assert capsys.readouterr().err == (
        f"edge-ae-train: {small.model}: cannot generate, only the family vae can; train a model with fit --family vae\n"
    )
    assert not out.exists()


def test_generator_survives_its_text() -> None:
    rng = np.random.default_rng(0)
    before, after, loudness = (rng.normal(size=(7, 3)).astype(np.float32) for _ in range(3))
    loudness *= np.array([1e6, 1.0, 1e-9], np.float32)  # pascals, bars, farads
    law = sampler.Sampler(before, after, before[0], loudness, np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))
    again = sampler.from_text(sampler.to_text(law))
    np.testing.assert_allclose(again.before, before, rtol=1e-3)
    np.testing.assert_allclose(again.loudness, loudness, rtol=1e-3)
    assert again.spread.shape == (3,)
    for text in ("{}", "[]", "no", '{"before": {"shape": [9], "data": ""}}'):
        with pytest.raises((KeyError, TypeError, ValueError)):
            sampler.from_text(text)


def test_windows_cut_from_a_series_join_to_that_series() -> None:
    series = np.random.default_rng(0).normal(size=(16 + 4 * 9, 2)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(series, 16, axis=0)[::4].transpose(0, 2, 1)
    np.testing.assert_allclose(sampler.join(windows), series, atol=1e-6)


def test_noise_moves_as_its_law_says() -> None:
    carry, root = np.array([[0.8, 0.0], [0.0, 0.0]], np.float32), np.array([[0.6, 0.0], [0.0, 1.0]], np.float32)
    empty = np.zeros((1, 2), np.float32)
    law = sampler.Sampler(empty, empty, empty[0], empty, carry, root)
    series = sampler.noise(law, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(series.std(axis=0), [1.0, 1.0], atol=0.05)
    found_carry, found_root = sampler._autoregression([series])
    np.testing.assert_allclose(found_carry, carry, atol=0.03)
    np.testing.assert_allclose(found_root, root, atol=0.03)


def _broken(_text: str) -> sampler.Sampler:
    raise KeyError("before")


def test_file_that_lost_its_generator_is_no_traceback(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_ae_train.synthetic import generate

    monkeypatch.setattr(sampler, "from_text", _broken)
    with pytest.raises(BadModel, match="its generator cannot be read"):
        generate.generate(twin.model, 10)
