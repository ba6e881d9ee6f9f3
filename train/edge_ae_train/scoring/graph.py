"""The score, as a graph: what was not foreseen, whitened, at several time scales, and the place in the latent space.

    window - restored by the network      ─┐
                                           ├─ averages at 4 scales ─ whitening ─ squares ─┐
    window - foretold from half a window   │                                              ├─ distance / limit ─ max ─► score
             before, by the outlook       ─┴─ whitening ─ squares ─ averages at 3 scales ─┤
    latent ────────────────────────────────── whitening ─ squares ────────────────────────┘

The network's residual is what breaks a relation; the outlook's is what a machine does that its past did not announce: a
level that has moved stays visible for half a window, a slow drift of the weather hardly ever is. Averages of a residual see
a shift, averages of its squares (the energy of a multivariate EWMA chart: Huwang, Yeh, Wu, 2007) see noise, oscillation and
all that changes sign. Each view has its own limit, so that 1 means the same for all; the latent's counts LATENT_WEIGHT, for
places move with the seasons and relations do not.

Whitening is by the symmetric square root of the precision (ZCA: Kessy, Lewin, Strimmer, 2018), so that each whitened
coordinate stays with its channel and the squares, which add up to the distance, are the channels' shares. Where channels
come and go, far squares are tempered: one that has gone for good must leave the others to be heard, and a few spikes in
training must set no boundary that no fault reaches. Elsewhere that hides how bad a fault is; injected faults decide. The
covariance is shrunk after Ledoit and Wolf (2004), and no direction counts as quieter than FLOOR.

What a channel lacks is filled by its conditional mean given the others, found by conjugate gradients: exact after as many
steps as channels lack; and lifted by what the channel, where the window does show it, differs from that mean: slow channels
go their own way. A row of which nothing is known is as the one before it. A residual that is missing is filled likewise;
from a row that lacks some channels nothing is foretold.

Views and weights were chosen on injected faults: random plants, the pump simulator, and normal recordings.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn

from edge_ae.core.model_spec import Floats

DECAYS = (1.0, 0.3, 0.1, 0.03)  # weight of the newest row in each exponential average
FLOOR = 0.05  # standard deviations: finer relations between channels than this are not trusted
DRIFT_WEIGHT = 4.0  # chosen on held-out normal rows: fewer false alerts, and as many injected faults found
PLAIN, TEMPERED = math.inf, 3.0  # beyond this a whitened square grows with its root; 3 was chosen on injected faults
LATENT_WEIGHT = 0.5  # of the latent's ratio beside the others'
FILL_STEPS = 3  # missing channels for which the fill is exact
BRIDGE = 3  # rows in a row of which nothing is known that are taken to be as the one before them
MIN_COVER = 0.5  # a channel that has less of a window's rows, or of a scale's weight, counts as missing there
TINY = 1e-12  # a clamp, for the exporter's optimiser takes `+ 1e-12` for `+ 0` and drops it

Parts = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Scaler:
    """Per channel [channel]: `centre` and `spread` in physical units; standardised values are cut at `limit`, and vary by
    `floor` at the least. `root` [channel, channel] whitens a standardised row."""

    centre: Floats
    spread: Floats
    limit: Floats
    floor: Floats
    root: Floats


@dataclass(frozen=True, slots=True)
class Whitening:
    """Means [view, 1, dimension] and square roots of the precision [view, dimension, dimension]."""

    mean: Floats
    root: Floats


def scale_weights(length: int) -> Floats:
    """Weights [scale, length] of exponential averages that end with the newest row, each adding up to 1."""
    age = np.arange(length)[::-1]
    weights = np.stack([decay * (1.0 - decay) ** age if decay < 1 else (age == 0) * 1.0 for decay in DECAYS])
    normed: Floats = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normed


def fit_whitening(blocks: Sequence[Floats], floor: Floats) -> Whitening:
    """From averages [view, window, dimension] of blocks of windows, in time; `floor` [dimension].

    What moves from block to block is drift. It will go on, so its directions count DRIFT_WEIGHT times over.
    """
    together = np.concatenate(list(blocks), axis=1)
    mean = together.mean(axis=1, keepdims=True)
    block_means = np.stack([block.mean(axis=1) for block in blocks], axis=1) - mean
    roots = [
        whitening_root(view - centre, floor, math.sqrt(DRIFT_WEIGHT) * moved if len(blocks) > 1 else None)
        for view, centre, moved in zip(together, mean, block_means, strict=True)
    ]
    return Whitening(mean.astype(np.float32), np.stack(roots).astype(np.float32))


def whitening_root(
    centred: NDArray[np.floating], floor: Floats, moved: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Symmetric square root of the precision of `centred` [row, dimension]; `moved` [block, dimension] adds its scatter."""
    covariance, _ = ledoit_wolf(centred.astype(np.float64), assume_centered=True)
    covariance = covariance + np.diag(floor.astype(np.float64) ** 2)
    if moved is not None:
        covariance += moved.T.astype(np.float64) @ moved / (len(moved) - 1)
    values, vectors = np.linalg.eigh(covariance)
    root: NDArray[np.float64] = (vectors / np.sqrt(np.maximum(values, TINY))) @ vectors.T
    return root


def tempered(squares: Tensor, temper: float) -> Tensor:
    """Squares, those beyond `temper` drawn in to grow with their root (pseudo-Huber: Charbonnier et al., 1997):
    2 k (sqrt(1 + q / k) - 1), written without the difference of near numbers. Square roots are exact wherever a value
    lies in memory; a runtime's logarithm is not."""
    return squares if temper == PLAIN else 2.0 * squares / (1.0 + torch.sqrt(1.0 + squares / temper))


def total(values: Tensor) -> Tensor:
    """Sum over the last axis, which stays with length 1. A product, for a runtime's reduction rounds by where a row lies in
    memory: a window's score would depend on its place in the batch, and live and offline would differ."""
    return values @ values.new_ones(values.shape[-1], 1)


def over_time(values: Tensor, weights: Tensor) -> Tensor:
    """[2, batch, row, channel] averaged with each of the weights [scale, row]: [2 * scale, batch, channel]. Rows last: one
    product for all windows, where a runtime makes one each of `weights @ values`."""
    return (values.transpose(2, 3) @ weights.transpose(0, 1)).permute(0, 3, 1, 2).flatten(0, 1)


def where_missing(
    present: Tensor, holes: Callable[..., Parts], whole: Callable[..., Parts], operands: tuple[Tensor, ...]
) -> Parts:
    """`holes(*operands)` if anything is not `present`, else `whole(*operands)`, which must be the same where nothing is
    missing: filling takes most of the time, and a window's score must not depend on its company in a batch."""
    if torch.compiler.is_exporting():
        chosen: Parts = torch.cond(torch.min(present) < 1.0, holes, whole, operands)
        return chosen
    return holes(*operands) if bool((present < 1.0).any()) else whole(*operands)


def mend(values: Tensor, root: Tensor, present: Tensor) -> Parts:
    """Standardised windows [batch, row, channel], of any value where not `present` -> without holes, and where a value was
    present in a channel that is."""
    return where_missing(present, _mended, _unchanged, (values, root, present))


def _mended(values: Tensor, root: Tensor, present: Tensor) -> Parts:
    present = covered(present)
    values = torch.where(present > 0.0, values, 0.0)
    return at_its_level(fill(values, root, present), root, present), present


def _unchanged(values: Tensor, _root: Tensor, present: Tensor) -> Parts:
    return values.clone(), present.clone()  # a branch may not return what it was given


def covered(present: Tensor) -> Tensor:
    """[batch, row, channel]: a channel that lacks most of its rows is missing in all. A few true values among filled ones,
    which follow the other channels, would look like a jump."""
    share = present.new_ones(1, present.shape[-2]) @ present / present.shape[-2]
    return present * (share >= MIN_COVER).to(present.dtype)


def fill(values: Tensor, root: Tensor, present: Tensor) -> Tensor:
    """`values` [..., row, channel], zero where not `present`, with their conditional means there: minimises v' P v, with
    P = root root, over the missing entries by conjugate gradients."""
    missing = 1.0 - present
    residual = -(values @ root @ root) * missing
    direction = residual
    power = total(residual * residual)
    for _ in range(FILL_STEPS):
        image = (direction @ root @ root) * missing
        length = power / total(direction * image).clamp(min=TINY)
        values = values + length * direction
        residual = residual - length * image
        next_power = total(residual * residual)
        direction = residual + next_power / power.clamp(min=TINY) * direction
        power = next_power
    return values


def at_its_level(values: Tensor, root: Tensor, present: Tensor) -> Tensor:
    """`values` [batch, row, channel] as `fill` has filled them, each channel's filled rows moved by the mean difference of its
    present rows from their conditional mean: x - E[x | others] = (P x) / diag P, with P = root root; and rows of which nothing
    is known as those before them."""
    precision = root @ root
    apart = (values @ precision) / precision.diagonal() * present
    rows = values.new_ones(1, values.shape[-2])  # products, as in `total`
    mean = (rows @ apart) / (rows @ present).clamp(min=1.0)
    return bridged(values + mean * (1.0 - present), present)


def bridged(rows: Tensor, present: Tensor) -> Tensor:
    """`rows` [batch, row, any]; one of which nothing is `present` [batch, row, channel] is as the row before it, up to BRIDGE
    in a row."""
    there = present.amax(dim=2, keepdim=True)
    for _ in range(BRIDGE):
        next_to = (1.0 - there) * _before(there)
        rows = torch.where(next_to > 0.0, _before(rows), rows)
        there = there + next_to
    return rows


def _before(rows: Tensor) -> Tensor:
    """Each row's predecessor; the first row's is itself."""
    return torch.cat([rows[:, :1], rows[:, :-1]], dim=1)


class Standardise(nn.Module):
    """Physical values with holes -> standardised values without, and where they were present."""

    def __init__(self, scaler: Scaler) -> None:
        super().__init__()
        for name in ("centre", "spread", "limit", "root"):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(getattr(scaler, name), np.float32)))

    centre: Tensor
    spread: Tensor
    limit: Tensor
    root: Tensor

    def forward(self, physical: Tensor) -> Parts:
        """Windows [batch, row, channel] -> standardised, without holes; and where they were present."""
        present = (~torch.isnan(physical)).to(physical.dtype)
        return mend(self.scaled(physical), self.root, present)

    def scaled(self, physical: Tensor) -> Tensor:
        """Standardised values, NaN where they are missing."""
        return ((physical - self.centre) / self.spread).clamp(-self.limit, self.limit)

    def restore(self, values: Tensor) -> Tensor:
        """Standardised values in physical units."""
        return values * self.spread + self.centre


class Outlook(Protocol):
    """A network that restores each row from earlier ones alone."""

    def __call__(self, window: Tensor) -> tuple[Tensor, Tensor]: ...

    def sources(self, length: int) -> Floats:
        """1 in [row, earlier row] where a row of a window is restored from the earlier one."""
        ...


class Views(nn.Module):
    """What the score looks at: what a network does not restore, what an outlook did not foretell, and the latent."""

    def __init__(self, network: nn.Module, outlook: Outlook, length: int) -> None:
        super().__init__()
        self.network = network
        self.outlook = outlook
        self.register_buffer("weights", torch.from_numpy(scale_weights(length)))
        self.register_buffer("sources", torch.from_numpy(outlook.sources(length)))

    weights: Tensor
    sources: Tensor

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals [2, batch, length, channel], latent [batch, latent], restored window [batch, length, channel]."""
        latent, restored = self.network(values)
        return torch.stack([values - restored, values - self.outlook(values)[1]]), latent, restored

    def known(self, present: Tensor) -> Tensor:
        """Which residuals [2, batch, length, channel] there are: what was foretold from a row that lacked a value is none."""
        holes = 1.0 - bridged(present.amin(dim=2, keepdim=True), present)
        foretold = (self.sources @ holes < 0.5).to(present.dtype)
        return torch.stack([present, present * foretold])

    def averages(self, residuals: Tensor) -> Tensor:
        """[2 * scale, batch, channel]: of both residuals at every scale."""
        return over_time(residuals, self.weights)


class Measure(nn.Module):
    """Distances of whitened views, and by channel the squares that they are made of."""

    def __init__(self, views: Views, channels: Whitening, latent: Whitening, temper: float) -> None:
        """`channels` whitens the averages, scale by scale; the newest row's also whitens each row for the energies.
        `temper`: PLAIN or TEMPERED."""
        super().__init__()
        self.temper = temper
        self.views = views
        scales = len(views.weights)
        row_mean = channels.mean[::scales]
        self._constant("root", channels.root)
        length = views.weights.shape[1]
        repeated = np.repeat(row_mean[:, None], length, axis=2)  # by us: a runtime is slow at it
        self._constant("row_mean", repeated)
        self._constant("offset", np.repeat(row_mean, scales, axis=0) - channels.mean)
        self._constant("row_root", channels.root[::scales, None])
        self._constant("latent_mean", latent.mean[0])
        self._constant("latent_root", latent.root[0])

    root: Tensor
    row_mean: Tensor
    offset: Tensor
    row_root: Tensor
    latent_mean: Tensor
    latent_root: Tensor

    def _constant(self, name: str, value: Floats) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value, np.float32)))

    def forward(self, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Distances [view + 1, batch], the latent's last: root mean squares, about 1 on normal data. Squares [view, batch,
        channel], untempered, for the shares. Latent, restored window."""
        residuals, latent, restored = self.views(values)
        rows, averages = where_missing(present, self._with_holes, self._whole, (residuals, present))
        shifts, powers = (averages @ self.root) ** 2, (rows @ self.row_root) ** 2
        places = ((latent - self.latent_mean) @ self.latent_root) ** 2
        squares = felt = torch.cat([shifts, self._energies(powers)])
        if self.temper != PLAIN:
            felt = torch.cat([tempered(shifts, self.temper), self._energies(tempered(powers, self.temper))])
        distances = torch.cat([rms(felt), rms(tempered(places, self.temper))[None]])
        return distances, squares, latent, restored

    def _whole(self, residuals: Tensor, _present: Tensor) -> Parts:
        """Centred residuals [2, batch, length, channel], and centred averages [2 * scale, batch, channel]."""
        rows = residuals - self.row_mean
        return rows, self.views.averages(rows) + self.offset

    def _with_holes(self, residuals: Tensor, present: Tensor) -> Parts:
        known = self.views.known(present)
        seen = (self.views.averages(known) > MIN_COVER).to(present.dtype)
        rows = fill((residuals - self.row_mean) * known, self.row_root, known)
        return rows, fill((self.views.averages(rows) + self.offset) * seen, self.root, seen)

    def _energies(self, powers: Tensor) -> Tensor:
        return over_time(powers, self.views.weights[1:])


class ScoredNetwork(nn.Module):
    """The whole graph of a model file: physical window in, score and reasons out."""

    def __init__(self, scaler: Scaler, measure: Measure, limit: Floats) -> None:
        """`limit` [view + 1]: the distances at which the ratio is 1, the latent's last."""
        super().__init__()
        self.standardise = Standardise(scaler)
        self.measure = measure
        self.register_buffer("limit", torch.from_numpy(np.ascontiguousarray(limit[:, None], np.float32)))

    limit: Tensor

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """score [b], channel_score [b, c], reconstruction [b, l, c], latent [b, k] of window [b, l, c]."""
        values, present = self.standardise(window)
        distances, squares, latent, restored = self.measure(values, present)
        ratios = distances / self.limit
        score, views = ratios.amax(0), ratios[:-1]
        winner = (views >= views.amax(0)).to(values.dtype)[..., None]
        return score, _shares(score, (winner * squares).sum(0)), self.standardise.restore(restored), latent


def rms(squares: Tensor) -> Tensor:
    """Root mean over the last axis."""
    return torch.sqrt(squares @ squares.new_full((squares.shape[-1],), 1.0 / squares.shape[-1]))


def _shares(score: Tensor, squares: Tensor) -> Tensor:
    """Channel scores [batch, channel] that add up to the score."""
    return score[:, None] * squares / total(squares).clamp(min=TINY)
