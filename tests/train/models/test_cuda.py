"""On a machine with a GPU: networks train there, and the file that comes of it is the one that a device would run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from edge_ae_train.fit import Options
from edge_ae_train.models.trainer import device

from edge_ae.model.onnx_model import OnnxModel
from tests.models import TRAINED_LENGTH, pump, train_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")


def test_networks_train_on_the_gpu_where_there_is_one() -> None:
    assert device().type == "cuda"


@pytest.mark.parametrize("family", ["dae", "vae"])
def test_a_network_trained_on_the_gpu_proves_itself_and_restores_as_well_as_one_of_the_processor(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(family=family, length=TRAINED_LENGTH)
    there = train_model(tmp_path / "gpu.onnx", options)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    here = train_model(tmp_path / "cpu.onnx", options)
    assert _misfit(there) < 1.25 * _misfit(here)
    assert _misfit(here) < 1.25 * _misfit(there)


def _misfit(model: OnnxModel) -> float:
    """How far the rows that it was not trained on are from what is expected, in deviations of their channels."""
    values = pump().values.astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(values, TRAINED_LENGTH, axis=0)[::16].transpose(0, 2, 1)
    expected = np.stack([one.reconstruction[-1] for one in model.explain(np.ascontiguousarray(windows))])
    return float((np.abs(windows[:, -1] - expected) / values.std(0)).mean())
