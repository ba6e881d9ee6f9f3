"""A candidate: a family's network, trained on the rows that are its to see, and calibrated on those held out.

    rows ─┬─ fold 1: train ▓▓▓▓▓▓▓▓░░held out░░▓▓▓▓▓▓ ─► views of windows, of which the network has   ─┐
          ├─ fold 2 ...                                    seen no row                                ├─► calibrate
          └─ all rows ─► the network that ships                                                       ┘

With few rows every block is held out in turn; with many, the last part alone, and the network that saw the rest ships.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ae.core.detector import OFF_DELAY_HOPS
from edge_ae.core.model_spec import Floats
from edge_ae.errors import BadData
from edge_ae_train.data.dataset import CHUNK, WindowSet, spread_over, standardised
from edge_ae_train.data.segments import Segment, cut, thinned, values_of
from edge_ae_train.models import autoencoders, linear
from edge_ae_train.models.hybrid import HYBRID
from edge_ae_train.models.trainer import Recipe, train
from edge_ae_train.progress import Reporter, in_parts
from edge_ae_train.scoring.calibrate import Calibration, HeldOut, calibrate
from edge_ae_train.scoring.graph import Measure, Views
from edge_ae_train.scoring.preprocess import Scaler, Standardise
from edge_ae_train.scoring.sight import Seen, Sight
from edge_ae_train.scoring.whitening import Whitening, fit_whitening

FAMILIES = (*linear.LINEAR, HYBRID, *autoencoders.NEURAL)  # the simplest first

FEW_ROWS = 4000  # below this every block is held out in turn
FOLDS = 4
BATCH_OF_FEW, LEAST_STEPS = 64, 300  # of training a network
HELD_OUT = 0.3  # of many rows, the last
CHECK = 0.15  # of the rows to train on, the last: for stopping early
MOST_CHUNKS = 16  # of a block's windows, spread over it: more make its tail no better
LINEAR_ROWS = 200_000  # that a linear family and the forecaster are fitted to
LATENT_FLOOR = 0.01  # of the latent's largest standard deviation: finer directions are not trusted
LATENT_WINDOWS = 4096  # of those trained on, for the latent's whitening

Span = tuple[int, int]
"""First and last row (exclusive) of a block."""

Chunk = tuple[Tensor, Tensor]
"""Standardised windows [window, length, channel] without holes, and where they were present."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How far a family is trained: the share of a network's steps, and where each block has a network of its own, how many."""

    steps: float = 1.0
    blocks: int = FOLDS


WHOLE = Effort()


@dataclass(frozen=True)
class Material:
    """What all candidates of a fit are made of: the same stretches of rows, scaled alike, and windows of one size."""

    parts: Sequence[Segment]
    scaler: Scaler
    standardise: Standardise
    length: int
    hop: int
    seed: int
    judged: tuple[int, ...] | None = None
    """the features that the score judges; None: all"""

    @property
    def floor(self) -> Floats:
        """Of the features that are judged."""
        return self.scaler.floor if self.judged is None else self.scaler.floor[list(self.judged)]

    @property
    def rows(self) -> int:
        return sum(map(len, self.parts))


@dataclass(frozen=True)
class Trained:
    """A network's views, and the whitening of its latent, from the windows that it was trained on: no other network shares
    them."""

    views: Views
    latent: Whitening

    def averages(self, chunks: Iterable[Chunk]) -> tuple[Floats, float]:
        """[view, window, channel] of standardised windows, and their mean square residual where values are present."""
        averages, squares = [], []
        with torch.no_grad():
            for values, present in chunks:
                residuals, _, _ = self.views(values)
                averages.append(self.views.averages(residuals).numpy())
                there = self.views.judged(present)
                squares.append(float(((residuals[0] * there) ** 2).sum() / there.sum()))
        return np.concatenate(averages, axis=1), float(np.mean(squares))

    def distances(self, chunks: Iterable[Chunk], whitening: Whitening) -> NDArray[np.float64]:
        """[view, window], the latent's last, as the model file would measure them."""
        measure = Measure(self.views, whitening, self.latent).eval()
        with torch.no_grad():
            parts = [measure.distances(values, present).numpy() for values, present in chunks]
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


def train_candidate(family: str, material: Material, reporter: Reporter, effort: Effort = WHOLE) -> Candidate:
    """Raises BadData where too little can be held out."""
    few = material.rows < FEW_ROWS
    blocks: list[HeldOutBlock] = []
    trained = None
    parts = in_parts(reporter, [1.0] * (FOLDS + 1 if few else 1))
    for number, block in enumerate(held_out_blocks(material.rows)):
        if few and len(blocks) >= effort.blocks:
            break
        if few or trained is None:
            part = next(parts)
            part.step(f"{family}: held-out block {number + 1}")
            trained = train_on(family, _others(material, block, both_sides=few), material, part, effort.steps)
        blocks += held_out(trained, material, block)
    _require_two(blocks, material)
    if (few and effort == WHOLE) or trained is None:
        part = next(parts, reporter)
        part.step(f"{family}: all rows")
        trained = train_on(family, material.parts, material, part)
    return calibrated(family, trained, blocks, material)


def calibrated(family: str, trained: Trained, blocks: Sequence[HeldOutBlock], material: Material) -> Candidate:
    calibration = calibrate([block.windows for block in blocks], material.floor, OFF_DELAY_HOPS)
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
    rows = _standardised(parts, material)
    sight = sight_of(family, material)
    network = train_network(family, parts, material, sight, reporter, steps)
    forecaster = linear.fit_forecaster(_seen(rows, sight), material.length)
    values, _ = windows.take(spread_over(len(windows), LATENT_WINDOWS))
    with torch.no_grad():
        latents = [network(part if sight is None else sight(part))[0] for part in torch.split(values, CHUNK)]
    latent = torch.cat(latents)[None].numpy()
    floor = np.full(latent.shape[2], LATENT_FLOOR * float(latent.std(axis=1).max()) + 1e-6, np.float32)
    return Trained(Views(network, forecaster, material.length, sight), fit_whitening([latent], floor))


def sight_of(family: str, material: Material) -> Sight | None:
    """None: all is seen and judged."""
    if material.judged is None:
        return None
    return Sight(len(material.scaler.centre), material.judged, sees_all=family == "vae")


def _seen(rows: Sequence[Floats], sight: Sight | None) -> Sequence[Floats]:
    if sight is None:
        return rows
    with torch.no_grad():
        return [sight(torch.from_numpy(part)[None])[0].numpy() for part in rows]


def train_network(
    family: str, parts: Sequence[Segment], material: Material, sight: Sight | None, reporter: Reporter, steps: float
) -> nn.Module:
    """Seeded anew each time, so that a family's network does not depend on which others were trained."""
    if family in linear.LINEAR:
        return linear.fit_linear(family, _seen(_standardised(parts, material), sight))
    rows, length = sum(map(len, parts)), material.length
    split = int(rows * (1.0 - CHECK))
    standardise = material.standardise if sight is None else Seen(material.standardise, sight)
    train_set = WindowSet(cut(parts, 0, split), standardise, length)
    check_set = WindowSet(cut(parts, split, rows), standardise, length)
    if min(len(train_set), len(check_set)) == 0:
        raise BadData(f"no stretch of {length} rows without a gap in what there is to train on: record without gaps")
    recipe = _recipe(family, rows, len(train_set), material.seed)
    recipe = replace(recipe, steps=max(1, round(steps * recipe.steps)))

    def progress(step: int, error: float) -> None:
        reporter.step(f"{family}: step {step} of {recipe.steps}, error {error:.4f}", step / recipe.steps)

    features = train_set.take(slice(0, 1))[0].shape[-1]
    shape = autoencoders.Shape(length, features, latent=min(4 + features, autoencoders.MAX_LATENT))
    torch.manual_seed(material.seed)
    return train(autoencoders.build(family, shape), train_set, check_set, recipe, progress)


def _recipe(family: str, rows: int, windows: int, seed: int) -> Recipe:
    usual = Recipe()
    return replace(
        usual,
        batch=BATCH_OF_FEW if rows < FEW_ROWS else usual.batch,
        steps=int(np.clip(windows, LEAST_STEPS, usual.steps)),
        denoising=family == "dae",
        seed=seed,
    )


def _standardised(parts: Sequence[Segment], material: Material) -> list[Floats]:
    """Rows for what is fitted to rows and not to windows."""
    return [standardised(values, material.standardise) for values in thinned(values_of(parts), LINEAR_ROWS)]
