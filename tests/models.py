"""Models for tests: one of few lines that keeps the core's protocol, and a real file made without training."""

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Contents, Origin, export, save
from edge_ae_train.fit import Options, fit
from edge_ae_train.synthetic.simulator import Fault, Simulation, simulate

from edge_ae.core.alert_events import Alert, AlertWord, ModelName
from edge_ae.core.model_spec import Channel, Explanation, Floats, ModelSpec, Tail
from edge_ae.core.timestamps import SECOND
from edge_ae.model.onnx_model import OnnxModel

CHANNELS = (Channel("flow", "m3/h", 0.0, 10.0, 0.1), Channel("pressure", "bar", 0.0, 5.0, 0.01))
LENGTH = 4


def spec_of(**changes: Any) -> ModelSpec:
    """A model of two channels, a row a second, whose budget of 1 in 100 windows puts the boundary at 1."""
    facts: dict[str, Any] = {
        "name": "pump",
        "sha256": "5" * 64,
        "family": "hand",
        "channels": CHANNELS,
        "period_ns": SECOND,
        "length": LENGTH,
        "hop": 1,
        "tail": Tail(level=1.0, scale=0.1, shape=0.0, rate=0.01),
        "typical": 0.2,
        "trained_at": "2026-01-01T00:00:00Z",
    }
    return ModelSpec(**(facts | changes))


def alert_of(**changes: Any) -> Alert:
    """An active alert of a pump, of which little is known."""
    facts: dict[str, Any] = {
        "asset": "pump",
        "node": "pi",
        "model": ModelName("pump", "2026-01-01T00:00:00Z", "5" * 64),
        "state": AlertWord.ACTIVE,
        "acked": False,
        "shelved": False,
        "shelved_until_ns": None,
    }
    return Alert(**(facts | changes))


class FakeModel:
    """The score is the newest value of the first channel, which is therefore its cause; 0 is expected of all."""

    def __init__(self, **changes: Any) -> None:
        self.spec = spec_of(**changes)
        self.batches: list[int] = []
        self.explained = 0

    def score(self, windows: Floats) -> Floats:
        self.batches.append(len(windows))
        newest: Floats = np.nan_to_num(windows[:, -1, 0])
        return newest

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        self.explained += len(windows)
        shares = np.zeros(windows.shape[2], np.float32)
        shares[0] = 1.0
        return [Explanation(shares, np.zeros(windows.shape[1:], np.float32), w[-1]) for w in windows]


class DistanceGraph:
    """The four outputs that a model file must have, from the plainest network: distance from the middle of the range."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.middle = np.array([(c.low + c.high) / 2 for c in channels], np.float32)
        self.spread = np.array([(c.high - c.low) / 4 for c in channels], np.float32)

    def __call__(self, window: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        rows = window.shape[1]
        standard: Floats = np.clip(np.where(np.isnan(window), 0.0, (window - self.middle) / self.spread), -100.0, 100.0)
        channel_score: Floats = np.sum(np.square(standard), axis=1) / rows
        latent: Floats = np.sum(standard, axis=1) / rows
        return np.sum(channel_score, axis=1), channel_score, self.middle + 0.0 * standard, latent


def write_model(out: Path, **changes: Any) -> OnnxModel:
    """A real model file, as the trainer exports it: of `spec_of(**changes)`, without training."""
    spec = spec_of(**changes)
    rng = np.random.default_rng(0)
    low, high = (np.array([getattr(c, side) for c in spec.channels]) for side in ("low", "high"))
    windows = rng.uniform(low, high, (16, spec.length, len(spec.channels))).astype(np.float32)
    windows[1, 1:3, 0] = np.nan
    return export(DistanceGraph(spec.channels), Contents(spec, {"candidates": []}, "d" * 64), windows, out)


def cached(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A file that `make` writes once for the whole session, whichever of its processes asks first."""
    base = factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    path = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            make(path)
    return path


def hand_made(factory: pytest.TempPathFactory) -> Path:
    """The file of `write_model`."""
    return cached(factory, "hand.onnx", write_model)


TRAIN_ROWS, TEST_ROWS = 1000, 700
TRAINED_LENGTH = 16


def pump(rows: int = TRAIN_ROWS + TEST_ROWS, faults: Sequence[Fault] = ()) -> Simulation:
    """A simulated pump read every 10 s; what is behind TRAIN_ROWS has trained nothing."""
    return simulate(rows, 10.0, seed=3, faults=faults)


def trained(factory: pytest.TempPathFactory) -> Path:
    """A linear model, which takes no time to train, of the first TRAIN_ROWS of `pump()`."""
    return cached(factory, "pump.onnx", train_model)


def train_model(out: Path, options: Options | None = None) -> OnnxModel:
    simulation = pump(TRAIN_ROWS)
    rows = (Segment(simulation.values.astype(np.float32)),)
    fitted = fit(rows, options or Options(family="pca", length=TRAINED_LENGTH))
    recording = Recording(simulation.names, int(np.diff(simulation.t_ns[:2])[0]), rows)
    units = dict(zip(simulation.names, simulation.units, strict=True))
    return save(fitted, recording, Origin("pump", "2026-01-01T00:00:00Z", "d" * 64, units), out)
