"""A long recording costs its own bytes, and little more: what is fitted looks at no more of it than it needs."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train import candidates, fit
from edge_ae_train.data import prepare
from edge_ae_train.data.prepare import Sampling
from edge_ae_train.data.segments import Segment
from edge_ae_train.progress import SILENT
from edge_ae_train.scoring import preprocess

from edge_ae.core.timestamps import SECOND
from edge_ae.store.recording_csv import Table

LINES, CHANNELS = 200_000, 6
FLOAT32, DOUBLE = 4, 8


@contextmanager
def peak_bytes(found: list[float]) -> Iterator[None]:
    """Appends what was held at the most beyond what was held at the start, for each line."""
    tracemalloc.start()
    try:
        yield
        found.append(tracemalloc.get_traced_memory()[1] / LINES)
    finally:
        tracemalloc.stop()


def values() -> np.ndarray:
    return np.random.default_rng(0).normal(10.0, 1.0, (LINES, CHANNELS))


def test_rows_of_a_long_recording_take_little_beside_themselves() -> None:
    t_ns = np.arange(LINES, dtype=np.int64) * SECOND
    table = Table(Path("pump.csv"), [""] * LINES, t_ns, tuple("abcdef"), values())
    found: list[float] = []
    with peak_bytes(found):
        (segment,) = prepare.rows([table], Sampling(SECOND))
    assert len(segment) == LINES
    assert found[0] < (FLOAT32 + DOUBLE) * CHANNELS + 8 * DOUBLE  # the rows, and the slots of lines and rows


def test_fitting_to_a_long_recording_takes_no_copy_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a bound, the lagged rows alone would be ten times the recording."""
    for module, name in ((candidates, "LINEAR_ROWS"), (preprocess, "ROOT_ROWS"), (preprocess, "BLOCK_ROWS")):
        monkeypatch.setattr(module, name, LINES // 20)
    segments = [Segment(values().astype(np.float32))]
    found: list[float] = []
    with peak_bytes(found):
        material = fit.material_of(segments, fit.Options("cva", 16))
        candidates.train_on("cva", material.parts, material, SILENT)
    assert found[0] < 2 * DOUBLE * CHANNELS
