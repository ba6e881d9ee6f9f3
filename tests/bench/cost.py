"""What scoring costs: our model file of each family beside a plain convolutional autoencoder, one onnxruntime thread each.

The plain one is the same network with its scaling and the mean square error over a window, and nothing else. What is
compared takes turns, and medians are shown.
"""

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Origin, save
from edge_ae_train.fit import Options, fit
from edge_ae_train.models.autoencoders import Shape, build
from edge_ae_train.models.families import FAMILIES, MAX_LATENT
from edge_ae_train.synthetic.simulator import simulate
from torch import Tensor, nn

from edge_ae.core.model_spec import Floats
from edge_ae.core.timestamps import SECOND
from edge_ae.model.onnx_model import OnnxModel

ROWS = 1000
LENGTH = 32
CALLS = {1: 200, 64: 20}  # windows of a call: calls of a round
ROUNDS = 15
PLAIN = "plain conv-AE"
AT_MOST = 2.0  # times the plain one

Score = Callable[[Floats], Any]


class Plain(nn.Module):
    """Mean square error [batch] of windows in physical units."""

    def __init__(self, rows: Floats) -> None:
        super().__init__()
        channels = rows.shape[1]
        self.network = build("cae", Shape(LENGTH, channels, min(4 + channels, MAX_LATENT)))
        self.register_buffer("centre", torch.from_numpy(rows.mean(axis=0)))
        self.register_buffer("spread", torch.from_numpy(rows.std(axis=0)))

    centre: Tensor
    spread: Tensor

    def forward(self, window: Tensor) -> Tensor:
        values = (window - self.centre) / self.spread
        error: Tensor = ((self.network(values)[1] - values) ** 2).mean(dim=(1, 2))
        return error


def cost() -> list[dict[str, Any]]:
    """Microseconds a window: a line for each detector and number of windows in a call."""
    run = simulate(ROWS, 60.0, seed=700)
    rows = run.values.astype(np.float32)
    scores: dict[str, Score] = {PLAIN: plain(rows)}
    sizes = {PLAIN: 0}
    for family in FAMILIES:
        model, sizes[family] = ours(family, rows, run.names)
        scores[family] = model.score
    windows = np.lib.stride_tricks.sliding_window_view(rows, LENGTH, axis=0).transpose(0, 2, 1)
    found = []
    for batch, calls in CALLS.items():
        us = taken(list(scores.items()), np.ascontiguousarray(windows[:batch]), calls)
        found += [
            {"detector": name, "batch": batch, "us": us[name], "ratio": us[name] / us[PLAIN], "bytes": sizes[name]}
            for name in scores
        ]
    return found


def plain(rows: Floats) -> Score:
    example = torch.from_numpy(np.stack([rows[:LENGTH], rows[LENGTH : 2 * LENGTH]]))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = {"window": {0: torch.export.Dim("batch")}}
        program = torch.onnx.export(
            Plain(rows).eval(), (example,), input_names=["window"], dynamic_shapes=shapes, dynamo=True, verbose=False
        )
    assert program is not None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda windows: session.run(None, {"window": windows})


def ours(family: str, rows: Floats, names: Sequence[str]) -> tuple[OnnxModel, int]:
    """The model as a device loads it, and the bytes of its file."""
    recording = Recording(tuple(names), 60 * SECOND, (Segment(rows),))
    fitted = fit(recording.segments, Options(family=family, length=LENGTH))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pump.onnx"
        return save(fitted, recording, Origin("pump"), out), out.stat().st_size


def taken(scores: Sequence[tuple[str, Score]], windows: Floats, calls: int) -> dict[str, float]:
    """Microseconds a window."""
    us: dict[str, list[float]] = {name: [] for name, _ in scores}
    for _ in range(ROUNDS):
        for name, score in scores:
            start = time.perf_counter()
            for _ in range(calls):
                score(windows)
            us[name].append((time.perf_counter() - start) * 1e6 / calls / len(windows))
    return {name: median(found) for name, found in us.items()}
