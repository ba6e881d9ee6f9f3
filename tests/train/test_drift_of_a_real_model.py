"""A trained model's own normal deviations are what drift is measured in: normal data shows none, a lasting change does."""

import numpy as np

from edge_ae.core.drift import LEAST, DriftMonitor
from edge_ae.core.health_events import MovedChannel
from edge_ae.model.onnx_model import OnnxModel
from tests.train.conftest import Small


def moved(small: Small, by: float) -> tuple[MovedChannel, ...]:
    """After looks at rows like those of training, in which flow is `by` higher."""
    model, rng = OnnxModel.load(small.model), np.random.default_rng(7)
    monitor, length = DriftMonitor(model.spec), model.spec.length
    for number in range(LEAST + 60):
        speed = np.sin((rng.integers(1000) + np.arange(length)) / 20)
        rows = np.column_stack([5 + by + speed, 50 + 10 * speed]) + rng.normal(scale=0.1, size=(length, 2))
        window = rows.astype(np.float32)
        monitor.look(number * length, window, *model.explain(window[None]))
    return monitor.moved


def test_normal_data_of_a_trained_model_advises_nothing_and_a_lasting_change_does(small: Small) -> None:
    assert moved(small, 0.0) == ()
    assert moved(small, 0.8) != ()
