"""A small model of two coupled signals, trained once for all tests that need a real model file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train import cli as command_line

from edge_ae.store.recording_csv import write_csv

ROWS, FAULT, FAULT_END = 1200, 900, 960


@dataclass(frozen=True)
class Small:
    """`model`, what it was trained on, and a later recording with a labelled fault in rows FAULT to FAULT_END."""

    model: Path
    normal: Path
    faulty: Path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    found = Small(folder / "small.onnx", folder / "normal.csv", folder / "faulty.csv")
    write_csv(found.normal, _times(0), ["flow", "speed"], _signals(0))
    values, label = _signals(1), np.zeros((ROWS, 1))
    values[FAULT:FAULT_END, 0] -= 3.0
    label[FAULT:FAULT_END] = 1.0
    write_csv(found.faulty, _times(ROWS), ["flow", "speed", "anomaly"], np.hstack([values, label]))
    arguments = ["fit", "--data", str(found.normal), "--out", str(found.model), "--length", "16", "--family", "pca"]
    assert command_line.main([*arguments, "--units", "flow=m3/h"]) == 0
    return found


def _times(first: int) -> list[str]:
    return [str(1_700_000_000 + first + second) for second in range(ROWS)]


def _signals(seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A slow speed, and a flow that follows it."""
    noise = np.random.default_rng(seed).normal(scale=0.1, size=(ROWS, 2))
    speed = np.sin(np.arange(ROWS) / 20)
    return np.column_stack([5 + speed, 50 + 10 * speed]) + noise
