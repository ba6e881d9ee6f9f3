"""The length of a window: what the signals remember, as far as the recordings allow it."""

import numpy as np
from edge_ae_train.data.segments import Segment
from edge_ae_train.data.window_length import LENGTHS, choose_length, correlation_time


def test_a_faster_signal_has_a_shorter_window() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, 2)).astype(np.float32)
    slow = np.cumsum(noise, axis=0)
    assert choose_length([Segment(noise)]) == LENGTHS[0]
    assert choose_length([Segment(slow)]) == LENGTHS[-1]
    assert choose_length([Segment(slow[:100])]) == LENGTHS[0]


def test_a_constant_or_missing_signal_has_no_memory() -> None:
    assert correlation_time(np.full(100, 7.0, np.float32)) == 1.0
    assert correlation_time(np.full(100, np.nan, np.float32)) == 1.0


def test_window_fits_any_unit_and_the_stretches() -> None:
    slow = np.sin(np.arange(4000) / 40).astype(np.float32)[:, None]
    assert choose_length([Segment(1e-10 * slow)]) == LENGTHS[-1]
    assert choose_length([Segment(slow[a : a + 24]) for a in range(0, 4000, 24)]) == LENGTHS[0]
