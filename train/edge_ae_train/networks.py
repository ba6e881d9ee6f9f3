"""A neural family's network, trained on a material's rows. Loads torch: what needs no network never imports this."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from edge_ae.errors import BadData
from edge_ae_train.data.dataset import WindowSet
from edge_ae_train.data.segments import Segment, cut
from edge_ae_train.material import FEW_ROWS, Material
from edge_ae_train.models.autoencoders import Shape, build
from edge_ae_train.models.families import MAX_LATENT, VARIATIONAL
from edge_ae_train.models.torch_network import TorchNetwork
from edge_ae_train.models.trainer import Recipe, train
from edge_ae_train.progress import Reporter
from edge_ae_train.scoring.sight import Seen, Sight

BATCH_OF_FEW = 64
# With three times as many steps a network restored rows better and found no more faults. The rows that a variational one makes up
# are as like the real ones as it restores those.
LEAST_STEPS, WINDOWS_A_STEP, WINDOWS_A_STEP_OF_LIKENESS = 100, 3, 1
CHECK = 0.15  # of the rows to train on, the last: for stopping early


def train_network(
    family: str, parts: Sequence[Segment], material: Material, sight: Sight | None, reporter: Reporter, steps: float
) -> TorchNetwork:
    """Seeded anew each time, so that a family's network does not depend on which others were trained. Raises BadData where there
    is no window to train on, or to stop by."""
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
    shape = Shape(length, features, latent=min(4 + features, MAX_LATENT))
    torch.manual_seed(material.seed)
    return TorchNetwork(train(build(family, shape), train_set, check_set, recipe, progress))


def _recipe(family: str, rows: int, windows: int, seed: int) -> Recipe:
    usual = Recipe()
    a_step = WINDOWS_A_STEP_OF_LIKENESS if family == VARIATIONAL else WINDOWS_A_STEP
    return replace(
        usual,
        batch=BATCH_OF_FEW if rows < FEW_ROWS else usual.batch,
        steps=int(np.clip(windows // a_step, LEAST_STEPS, usual.steps)),
        denoising=family == "dae",
        seed=seed,
    )
