"""How the latent of normal operation moves: what a variational model's file carries so that it can make new rows.

    window k   ▁▂▄▆█▆▄▂▁                 a window every `step` rows, faded into the next: `join`
    window k+1     ▁▂▄▆█▆▄▂▁
    window k+2         ▁▂▄▆█▆▄▂▁         latent k+1 follows latent k as it did in training: `walk`

The walk is a local bootstrap of a Markov process (Paparoditis and Politis, 2002): the next latent is what followed the
training window that is nearest to the present one, moved by a draw from the encoder's posterior. A Gaussian walk would pass through states that no machine is in: half of a pump that is either on or off. What the decoder does not restore,
the sensors' noise, is a vector autoregression of its own, as loud as it was in the window followed.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from edge_ae_train.data.dataset import CHUNK, spread_over, standardised
from edge_ae_train.models.autoencoders import VariationalAutoencoder
from edge_ae_train.models.torch_network import TorchNetwork
from edge_ae_train.scoring.graph import Restorer
from edge_ae_train.scoring.preprocess import Standardise

KEY = "generator"  # of the metadata
OVERLAP = 4  # windows that each row is made of
SPREAD = 0.5  # of the posterior's deviation is drawn at a step: all of it, and slow channels forget where they were
BYTES = 90_000  # of the pairs in the file
HALF, SINGLE = 2, 4  # bytes of a float
RUN = 32  # pairs that are kept, where not all can be, in runs of so many: a walk along one is as smooth as training
SWEEP_ROWS = 100_000  # of each segment, at most, that are looked at
RIDGE = 1e-3

Rng = np.random.Generator


@dataclass(frozen=True)
class Sampler:
    """`before` and `after` [pair, latent]: `step` rows apart in training. `spread` [latent]: the posterior's deviation.

    `loudness` [pair, channel]: standard deviation of the noise, in physical units. The noise itself has unit variance:
    noise[t] = noise[t-1] @ `carry` + white @ `root`, both [channel, channel].
    """

    before: Floats
    after: Floats
    spread: Floats
    loudness: Floats
    carry: Floats
    root: Floats


def metadata(network: Restorer, segments: Sequence[Floats], standardise: Standardise, length: int) -> dict[str, str]:
    """What goes into the file of a variational model. `segments`: the rows trained on, physical."""
    long_enough = [segment for segment in segments if len(segment) >= length + step_of(length)]
    module = network.module if isinstance(network, TorchNetwork) else None
    if not isinstance(module, VariationalAutoencoder) or not long_enough:
        return {}
    return {KEY: to_text(fit_sampler(module, long_enough, standardise, length))}


def fit_sampler(
    network: VariationalAutoencoder, segments: Sequence[Floats], standardise: Standardise, length: int
) -> Sampler:
    swept = [
        _sweep(network, torch.from_numpy(standardised(segment[:SWEEP_ROWS], standardise)), length)
        for segment in segments
    ]
    latent, spread, residual, loudness = (list(parts) for parts in zip(*swept, strict=True))
    before, after = np.concatenate([z[:-1] for z in latent]), np.concatenate([z[1:] for z in latent])
    loud = np.concatenate([part[1:] for part in loudness])
    chosen = _runs(len(before), BYTES // (HALF * 2 * before.shape[1] + SINGLE * loud.shape[1]))
    channels = standardise.channels
    carry, root = _autoregression([part[:, :channels] for part in residual])
    physical = standardise.deviation(loud[chosen])
    return Sampler(before[chosen], after[chosen], np.concatenate(spread).mean(axis=0), physical, carry, root)


def _runs(count: int, most: int) -> NDArray[np.intp]:
    """Indices below `count`: all, or at most `most` in runs of RUN spread over them."""
    if count <= most:
        return np.arange(count)
    starts = RUN * spread_over(count // RUN, most // RUN)
    return (starts[:, None] + np.arange(RUN)).ravel()


def _sweep(network: VariationalAutoencoder, rows: torch.Tensor, length: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Of the windows every step rows: latents, posterior deviations; the noise of the rows, and its deviation in each."""
    windows = rows.unfold(0, length, step_of(length)).transpose(1, 2)
    means, deviations, restored = [], [], []
    with torch.no_grad():
        for part in torch.split(windows, CHUNK):
            mean, log_variance = network.posterior(part)
            means.append(mean)
            deviations.append(torch.exp(0.5 * log_variance))
            restored.append(network.decode(mean))
    joined = join(torch.cat(restored).numpy())
    noise = rows[: len(joined)].numpy() - joined  # of an angle, that of its cosine is as good as that of its sine
    view = np.lib.stride_tricks.sliding_window_view(noise, length, axis=0)[:: step_of(length)]
    loudness = np.sqrt((view**2).mean(axis=2)) + 1e-6
    level = join(np.repeat(loudness[:, None], length, axis=1))
    return torch.cat(means).numpy(), torch.cat(deviations).numpy(), noise / level, loudness


def _autoregression(series: Sequence[Floats]) -> tuple[Floats, Floats]:
    """A vector autoregression of order 1 by ridge regression; `root` of the covariance of what it leaves."""
    past = np.concatenate([part[:-1] for part in series]).astype(np.float64)
    future = np.concatenate([part[1:] for part in series]).astype(np.float64)
    gram = past.T @ past + RIDGE * len(past) * np.eye(past.shape[1])
    carry = np.linalg.solve(gram, past.T @ future)
    rest = future - past @ carry
    values, vectors = np.linalg.eigh(rest.T @ rest / len(rest))
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return carry.astype(np.float32), root.astype(np.float32)


def step_of(length: int) -> int:
    return max(1, length // OVERLAP)


def join(windows: Floats) -> Floats:
    """Windows [window, length, channel], a step apart, faded into each other: rows [row, channel]."""
    count, length, channels = windows.shape
    step = step_of(length)
    fade = np.sin(np.pi * (np.arange(length) + 0.5) / length)[:, None] ** 2
    total = np.zeros(((count - 1) * step + length, channels))
    weight = np.zeros((len(total), 1))
    for index, window in enumerate(windows):
        rows = slice(index * step, index * step + length)
        total[rows] += fade * window
        weight[rows] += fade
    joined: Floats = (total / weight).astype(np.float32)
    return joined


def walk(sampler: Sampler, count: int, rng: Rng) -> tuple[Floats, NDArray[np.intp]]:
    """Latents [count, latent] of windows a step apart, and for each the pair that it followed."""
    latents = np.empty((count, sampler.before.shape[1]), np.float32)
    followed = np.empty(count, np.intp)
    here = sampler.before[rng.integers(len(sampler.before))]
    for index in range(count):
        pair = int(((sampler.before - here) ** 2).sum(axis=1).argmin())
        here = sampler.after[pair] + SPREAD * sampler.spread * rng.standard_normal(len(here))
        latents[index], followed[index] = here, pair
    return latents, followed


def noise(sampler: Sampler, rows: int, rng: Rng) -> Floats:
    """[row, channel], of unit variance."""
    white = rng.standard_normal((rows, len(sampler.root))).astype(np.float32) @ sampler.root
    series = np.empty_like(white)
    last = np.zeros(len(sampler.root), np.float32)
    for row in range(rows):
        last = last @ sampler.carry + white[row]
        series[row] = last
    return series


# -- in the file -----------------------------------------------------------------------------------------------


def to_text(sampler: Sampler) -> str:
    """JSON, with arrays as base64. Half floats keep the file small, and are fine enough for all that is standardised."""
    return json.dumps(
        {field.name: _packed(getattr(sampler, field.name), _type(field.name)) for field in fields(Sampler)}
    )


def from_text(text: str) -> Sampler:
    """Raises ValueError, KeyError or TypeError where it is no such text."""
    packed = json.loads(text)
    return Sampler(**{field.name: _array(packed[field.name], _type(field.name)) for field in fields(Sampler)})


def _type(name: str) -> str:
    """Physical units may be pascals or farads: half floats end at 65,504, and at 6e-8."""
    return "<f4" if name == "loudness" else "<f2"


def _packed(array: Floats, kind: str) -> dict[str, Any]:
    return {"shape": array.shape, "data": b64encode(array.astype(kind).tobytes()).decode()}


def _array(packed: Mapping[str, Any], kind: str) -> Floats:
    values: Floats = np.frombuffer(b64decode(packed["data"]), kind).reshape(packed["shape"]).astype(np.float32)
    return values
