"""A candidate: a family's network, trained on the rows that are its to see, and calibrated on those held out.

    rows ─┬─ fold 1: train ▓▓▓▓▓▓▓▓░░held out░░▓▓▓▓▓▓ ─► views of windows, of which the network has   ─┐
          ├─ fold 2 ...                                    seen no row                                ├─► calibrate
          └─ all rows ─► the network that ships                                                       ┘

With few rows every block is held out in turn; with many, the last part alone, and the network that saw the rest ships.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from edge_ae.core.rules import OFF_DELAY_HOPS
from edge_ae.errors import BadData
from edge_ae_train.data.dataset import WindowSet, in_chunks, spread_over, standardised
from edge_ae_train.data.segments import Segment, cut, thinned, values_of
from edge_ae_train.material import FEW_ROWS, Material
from edge_ae_train.models import linear
from edge_ae_train.models.families import LINEAR, VARIATIONAL
from edge_ae_train.progress import Reporter, in_parts
from edge_ae_train.scoring.calibrate import Calibration, HeldOut, calibrate, on_delay_of
from edge_ae_train.scoring.graph import Measure, Restorer, Views
from edge_ae_train.scoring.preprocess import Parts
from edge_ae_train.scoring.sight import Sight
from edge_ae_train.scoring.whitening import Whitening, fit_whitening

FOLDS = 4
HELD_OUT = 0.3  # of many rows, the last
MOST_CHUNKS = 16  # of a block's windows, spread over it: more make its tail no better
LINEAR_ROWS = 200_000  # that a linear family and the forecaster are fitted to
LATENT_FLOOR = 0.01  # of the latent's largest standard deviation: finer directions are not trusted
LATENT_WINDOWS = 4096  # of those trained on, for the latent's whitening

Span = tuple[int, int]
"""First and last row (exclusive) of a block."""

Chunk = Parts
"""Standardised windows [window, length, channel] without holes, and where they were present."""


WHOLE = 1.0  # of a network's steps


@dataclass(frozen=True)
class Trained:
    """A network's views, and the whitening of its latent, from the windows that it was trained on: no other network shares
    them."""

    views: Views
    latent: Whitening

    def averages(self, chunks: Iterable[Chunk]) -> tuple[Floats, float]:
        """[view, window, channel] of standardised windows, and their mean square residual where values are present."""
        averages, squares = [], []
        for values, present in chunks:
            residuals, _, _ = self.views(values)
            averages.append(self.views.averages(residuals))
            there = self.views.judged(present)
            squares.append(float(((residuals[:, 0] * there) ** 2).sum() / there.sum()))
        return np.concatenate(averages, axis=1), float(np.mean(squares))

    def distances(self, chunks: Iterable[Chunk], whitening: Whitening) -> NDArray[np.float64]:
        """[view, window], the latent's last, as the model file would measure them."""
        measure = Measure(self.views, whitening, self.latent)
        parts = [measure.distances(values, present) for values, present in chunks]
        return np.concatenate(parts, axis=1).astype(np.float64)


@dataclass(frozen=True)
class HeldOutBlock:
    """A block of rows, with a network that has seen none of them.

    `windows`: what calibration asks of its windows. `rows` [row, channel]: its longest stretch, in physical units, for
    faults to be put into. `error`: the mean square of the residual, standardised.
    """

    span: Span
    trained: Trained
    windows: HeldOut
    rows: Floats
    error: float


@dataclass(frozen=True)
class Candidate:
    """`trained`: the network that ships, if this candidate does."""

    family: str
    trained: Trained
    length: int
    blocks: tuple[HeldOutBlock, ...]
    calibration: Calibration

    @property
    def error(self) -> float:
        return float(np.mean([block.error for block in self.blocks]))


def train_candidate(family: str, material: Material, reporter: Reporter, steps: float = WHOLE) -> Candidate:
    """`steps`: the share of a network's. Raises BadData where too little can be held out."""
    few = material.rows < FEW_ROWS
    blocks: list[HeldOutBlock] = []
    trained = None
    parts = in_parts(reporter, [1.0] * (FOLDS + 1 if few else 1))
    for number, block in enumerate(held_out_blocks(material.rows)):
        if few or trained is None:
            part = next(parts)
            part.step(f"{family}: held-out block {number + 1}")
            trained = train_on(family, _others(material, block, both_sides=few), material, part, steps)
        blocks += held_out(trained, material, block)
    _require_two(blocks, material)
    if (few and steps == WHOLE) or trained is None:
        part = next(parts, reporter)
        part.step(f"{family}: all rows")
        trained = train_on(family, material.parts, material, part)
    return calibrated(family, trained, blocks, material)


def calibrated(family: str, trained: Trained, blocks: Sequence[HeldOutBlock], material: Material) -> Candidate:
    windows, on_delay = [block.windows for block in blocks], on_delay_of(material.hop)
    calibration = calibrate(windows, material.floor, OFF_DELAY_HOPS, on_delay)
    return Candidate(family, trained, material.length, tuple(blocks), calibration)


def _require_two(blocks: Sequence[HeldOutBlock], material: Material) -> None:
    if len(blocks) < 2:
        raise BadData(
            f"no two stretches of {material.length} rows without a gap to calibrate on: record for longer, without gaps"
        )


def held_out_blocks(rows: int) -> list[Span]:
    """The blocks that are held out, in time order."""
    start = 0 if rows < FEW_ROWS else int(rows * (1.0 - HELD_OUT))
    edges = np.linspace(start, rows, FOLDS + 1).astype(int)
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def _others(material: Material, block: Span, *, both_sides: bool) -> list[Segment]:
    """The rows before a block, and on `both_sides` those behind it, but for a window's length next to it."""
    first, last = block
    before = cut(material.parts, 0, first - material.length)
    return before + (cut(material.parts, last + material.length, material.rows) if both_sides else [])


def held_out(trained: Trained, material: Material, block: Span) -> list[HeldOutBlock]:
    """The block; none where no stretch of it has room for a fault behind a window of normal rows."""
    parts = held_out_rows(material.parts, block, material.length)
    windows = held_out_windows(material, block)
    longest = max(values_of(parts), key=len, default=material.parts[0].values[:0])
    if len(windows) == 0 or len(longest) <= material.length:
        return []
    averages, error = trained.averages(windows.chunks(MOST_CHUNKS))
    held = HeldOut(averages, partial(_distances, trained, windows))
    return [HeldOutBlock(block, trained, held, longest, error)]


def held_out_windows(material: Material, block: Span) -> WindowSet:
    parts = held_out_rows(material.parts, block, material.length)
    return WindowSet(parts, material.standardise, material.length, material.hop)


def held_out_rows(parts: Sequence[Segment], block: Span, length: int) -> list[Segment]:
    """A block's rows and those before it that its first windows begin with: each window is in the block in which it ends."""
    first, last = block
    return cut(parts, max(first - length + 1, 0), last)


def _distances(trained: Trained, windows: WindowSet, whitening: Whitening) -> NDArray[np.float64]:
    return trained.distances(windows.chunks(MOST_CHUNKS), whitening)


def train_on(
    family: str, parts: Sequence[Segment], material: Material, reporter: Reporter, steps: float = 1.0
) -> Trained:
    """A network of the family, the forecaster, and the whitening of the latent, from some of the material's stretches.
    `steps`: the share of a network's."""
    windows = WindowSet(parts, material.standardise, material.length)
    if len(windows) == 0:
        raise BadData(
            f"in a part of the recordings, no stretch of {material.length} rows has values in half of them: "
            "give a longer --period, or record without gaps"
        )
    sight = sight_of(family, material)
    rows = _seen_rows(parts, material, sight)
    if family in LINEAR:
        network: Restorer = linear.fit_linear(family, rows)
    else:
        from edge_ae_train.networks import train_network  # loads torch, which a device has no room for

        network = train_network(family, parts, material, sight, reporter, steps)
    forecaster = linear.fit_forecaster(family, rows)
    values, _ = windows.take(spread_over(len(windows), LATENT_WINDOWS))
    latents = [network(part if sight is None else sight(part))[0] for part in in_chunks(values)]
    latent = np.concatenate(latents)[None]
    floor = np.full(latent.shape[2], LATENT_FLOOR * float(latent.std(axis=1).max()) + 1e-6, np.float32)
    return Trained(Views(network, forecaster, material.length, sight), fit_whitening([latent], floor))


def sight_of(family: str, material: Material) -> Sight | None:
    """None: all is seen and judged."""
    if material.judged is None:
        return None
    return Sight(len(material.scaler.centre), material.judged, sees_all=family == VARIATIONAL)


def _seen_rows(parts: Sequence[Segment], material: Material, sight: Sight | None) -> list[Floats]:
    """Standardised rows for what is fitted to rows and not to windows."""
    rows = [standardised(values, material.standardise) for values in thinned(values_of(parts), LINEAR_ROWS)]
    return rows if sight is None else [sight(part) for part in rows]
