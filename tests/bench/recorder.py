"""What recording costs: a day of 16 channels a second with several decimals, pushed as the daemon does, written every five minutes."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.timestamps import SECOND
from edge_ae.store.columnar.recorder import ColumnRecorder

CHANNELS = 16
HOURS = 4  # of a day, measured
ROWS = HOURS * 3600
FLUSH_ROWS = 300
DECIMALS = (1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 2, 3, 5, 6, 3, 3)
DAYS = 30


@dataclass(frozen=True)
class RecordingCost:
    """For the channels at 1 Hz. `mb`: of DAYS; `cpu_percent`: of one core; `written_mb`: in a day; `appends`: likewise."""

    mb: float
    cpu_percent: float
    written_mb: float
    appends: int


def signals(seed: int = 1) -> NDArray[np.float64]:
    """Levels that swing by the hour, drift, and are noisy by some hundred times their last decimal."""
    rng, seconds = np.random.default_rng(seed), np.arange(ROWS)
    columns = [
        20.0 * (k + 1)
        + 3.0 * np.sin(seconds / 3600 * (k + 1))
        + np.cumsum(rng.normal(0.0, 0.001, ROWS))
        + rng.normal(0.0, 0.3, ROWS)
        for k in range(CHANNELS)
    ]
    return np.column_stack([np.round(column, decimals) for column, decimals in zip(columns, DECIMALS, strict=True)])


def cost(folder: Path) -> RecordingCost:
    names = [f"channel_{k}" for k in range(CHANNELS)]
    rows = [dict(zip(names, row, strict=True)) for row in signals().tolist()]
    recorder, before = ColumnRecorder(folder, 10**9), time.process_time()
    for second, row in enumerate(rows):
        recorder.push("pump", (1_795_435_200 + second) * SECOND, row)
        if second % FLUSH_ROWS == FLUSH_ROWS - 1:
            recorder.flush()
    recorder.close()
    taken_s = time.process_time() - before
    written_mb = recorder.counts["bytes"] / 1e6 * 24 / HOURS
    return RecordingCost(
        DAYS * written_mb, 100.0 * taken_s / ROWS, written_mb, recorder.counts["appends"] * 24 // HOURS
    )
