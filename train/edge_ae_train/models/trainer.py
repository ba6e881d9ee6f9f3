"""Training a network: one loop, seeded, stopped early on windows that it does not train on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ae_train.data.dataset import WindowSet, spread_over
from edge_ae_train.models.autoencoders import Autoencoder, VariationalAutoencoder, corrupt

DIVERGENCE_WEIGHT = 1e-3  # of the variational family's prior, against a mean square error per value


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how hard to train, and whether from corrupted windows. `patience`: checks without progress until it stops."""

    batch: int = 128
    steps: int = 1500
    check_every: int = 50
    patience: int = 6
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    check_windows: int = 2048
    denoising: bool = False
    seed: int = 0


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    network: Autoencoder,
    train_set: WindowSet,
    check_set: WindowSet,
    recipe: Recipe,
    progress: Callable[[int, float], None],
) -> Autoencoder:
    """The network as it was when it restored `check_set` best. `progress` hears of each check: the step, the error."""
    torch.set_num_threads(1)  # the networks are too small for two, and on a busy core OpenMP's barriers cost 40 times
    where = device()
    rng = np.random.default_rng(recipe.seed)
    generator = torch.Generator(where).manual_seed(recipe.seed)
    network = network.to(where)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.steps)
    checked = _tensors(check_set, spread_over(len(check_set), recipe.check_windows), where)
    best, best_state, stale = float("inf"), network.state_dict(), 0

    for step in range(1, recipe.steps + 1):
        # one step: windows at random, corrupted for the denoising family, to be restored
        values, present = _tensors(train_set, rng.integers(len(train_set), size=recipe.batch), where)
        network.train()
        source = corrupt(values, generator) if recipe.denoising else values
        loss = _loss(network, source, values, present, generator)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()

        # now and then: is it still getting better on windows that it does not learn from?
        if step % recipe.check_every == 0 or step == recipe.steps:
            network.eval()
            with torch.no_grad():
                found = float(_error(network(checked[0])[1], *checked))
            progress(step, found)
            stale = 0 if found < best * 0.999 else stale + 1
            if found < best:
                best, best_state = found, {name: value.clone() for name, value in network.state_dict().items()}
            if stale >= recipe.patience:
                break

    network.load_state_dict(best_state)
    return network.eval().cpu()


def _tensors(windows: WindowSet, indices: NDArray[np.intp], where: torch.device) -> tuple[Tensor, Tensor]:
    """Standardised windows, and where a value was present."""
    values, present = (torch.from_numpy(part).to(where) for part in windows.take(indices))
    return values, present


def _loss(network: Autoencoder, source: Tensor, values: Tensor, present: Tensor, generator: torch.Generator) -> Tensor:
    """Error of restoring `values` from `source`; for the variational family the negative evidence bound."""
    if not isinstance(network, VariationalAutoencoder):
        return _error(network(source)[1], values, present)
    restored, divergence = network.sample(source, generator)
    return _error(restored, values, present) + DIVERGENCE_WEIGHT * divergence.mean()


def _error(restored: Tensor, values: Tensor, present: Tensor) -> Tensor:
    """Mean square over the values that are there."""
    squares: Tensor = (restored - values) ** 2 * present
    return squares.sum() / present.sum().clamp(min=1.0)
