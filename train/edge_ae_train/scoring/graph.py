"""The score, as a graph: what was not foreseen, whitened, at several time scales, and the place in the latent space.

    window - restored by the network    ─┐
                                         ├─ averages at 4 scales ─ whitening ─ squares ─┐
    window - predicted from the rows      │                                              ├─ over limits ─ root mean square ─► score
             before, by the forecaster     ─┴─ whitening ─ squares ─ average over time ────┤
    latent ──────────────────────────────── whitening ─ squares ────────────────────────┘
    discrete channels, which have no part in all this: what they never did ─ by counting ─── max ─► the higher score

The network's residual is what breaks a relation; the forecaster's, the innovation, is what a machine does that the rows before
did not announce. A network that foretells each row itself, as `cva` does, has no forecaster beside it. (To look further ahead, up to
half a window, shows a level that has moved for longer, and found fewer faults, alone and beside the innovation.) Averages of
a residual see a shift, averages of its squares (the energy of a multivariate EWMA chart: Huwang, Yeh, Wu, 2007) see noise, oscillation and
all that changes sign. Each view has its own limit, so that 1 means the same for all, and its own weight (see `view_weights`).
The score is their weighted root mean square: what is a little odd in all views is as rare as what is very odd in one, and the
largest alone would not see it. So the score's square is a sum over views and channels, and a channel's share is its part.

Far squares are tempered, sooner in a channel whose own tail is heavy: a channel that has gone for good must leave the others to be
heard, and a few spikes in training must set no boundary that no fault reaches. So the score says how rare a window is. How far it is, in physical terms, the energies say as
they are: their root is the magnitude of each channel, in its normal deviations.
A residual that is missing is filled as values are (see `preprocess`); from a row that lacks some channels nothing is predicted.

Views, weights and tempering were chosen on random plants, the pump simulator, and faults put into normal rows.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from edge_ae_train.graphs.trace import choose, held, where_asked
from edge_ae_train.scoring.oddness import DiscreteScore
from edge_ae_train.scoring.preprocess import (
    MIN_COVER,
    TINY,
    Parts,
    Scaler,
    Standardise,
    bridged,
    fill,
    lacks_values,
    total,
)
from edge_ae_train.scoring.sight import Sight
from edge_ae_train.scoring.whitening import Whitening

DECAYS = (1.0, 0.3, 0.1, 0.03)  # weight of the newest row in each exponential average
ENERGY = 2  # the scale of DECAYS over which squares are averaged: with more of them no more faults were found
# Of the squares of an average, of an energy, and of the latent for each residual: places move with the seasons, relations do not.
AVERAGE_WEIGHT, ENERGY_WEIGHT, LATENT_WEIGHT = 1.0, 2.0, 0.125


class Restorer(Protocol):
    """What restores windows."""

    def __call__(self, window: Floats) -> tuple[Floats, Floats]:
        """Latent [batch, latent] and restored window [batch, length, channel], of a standardised window without holes."""
        ...


class Forecaster(Restorer, Protocol):
    """A network that restores each row from earlier ones alone."""

    def sources(self, length: int) -> Floats:
        """1 in [row, earlier row] where a row of a window is restored from the earlier one."""
        ...


class Views:
    """What the score looks at: what a network does not restore, what a forecaster did not predict, and the latent."""

    def __init__(
        self, network: Restorer, forecaster: Forecaster | None, length: int, sight: Sight | None = None
    ) -> None:
        """`forecaster`: None where the network is one. `sight`: of the features; None: all are seen and judged."""
        self.sight = sight
        self.network = network
        self.forecaster = forecaster
        self.weights = scale_weights(length)
        self._sources = None if forecaster is None else forecaster.sources(length)

    def __call__(self, values: Floats) -> tuple[Floats, Floats, Floats]:
        """Residuals [batch, residual, length, judged], latent [batch, latent], restored window [batch, length, channel]."""
        seen = values if self.sight is None else self.sight(values)
        latent, restored = self.network(seen)
        expected = [restored] if self.forecaster is None else [restored, self.forecaster(seen)[1]]
        residuals = np.stack([seen - rows for rows in expected], axis=1)
        if self.sight is None:
            return residuals, latent, restored
        return self.sight.judge(residuals), latent, self.sight.restored(restored, values)

    def known(self, present: Floats) -> Floats:
        """Which residuals [batch, residual, length, channel] there are: what a forecaster predicted from a row that lacked a value
        is none."""
        if self._sources is None:
            return self.judged(present)[:, None]
        seen = present if self.sight is None else self.sight(present)
        holes = 1.0 - bridged(np.min(seen, axis=2, keepdims=True), seen)
        predicted = (self._sources @ holes < 0.5).astype(np.float32)
        present = self.judged(present)
        return np.stack([present, present * predicted], axis=1)

    def judged(self, features: Floats) -> Floats:
        """[..., judged] of [..., feature]."""
        return features if self.sight is None else self.sight.of_judged(features)

    def by_feature(self, judged: Floats) -> Floats:
        """[..., feature] of [..., judged], 0 where a feature is not."""
        return judged if self.sight is None else self.sight.by_feature(judged)

    def shown(self, expected: Floats, window: Floats) -> Floats:
        """What people see as expected [..., channel] of a physical window."""
        return expected if self.sight is None else self.sight.shown(expected, window)

    def averages(self, residuals: Floats) -> Floats:
        """[residual * scale, batch, channel]: of each residual at every scale."""
        return over_time(residuals, self.weights)


class Measure:
    """Distances of whitened views, and what they are made of.

    Whitened values are in units of the root of their `Whitening.temper`, so that tempering begins at 1. The parts of a window are
    those of averages, view by view, then of the latent, then of energies.
    """

    def __init__(self, views: Views, channels: Whitening, latent: Whitening) -> None:
        """`channels` whitens the averages, scale by scale; the newest row's also whitens each row for the energies."""
        scales = len(views.weights)
        self.views = views
        self.averages = channels
        self.rows = Whitening(*(part[::scales] for part in (channels.mean, channels.root, channels.temper)))
        self.latent = latent
        self.by_view = _by_view(channels.temper, self.rows.temper, latent.temper[0])
        self.residuals = len(self.rows.root)
        self._offset = np.repeat(self.rows.mean, scales, axis=0) - channels.mean

    def centred(self, residuals: Floats, present: Floats | None = None) -> Parts:
        """Residuals [batch, residual, length, judged], and averages [residual * scale, batch, judged] of them, less their means, and without holes.
        `present`: where the window had values; None: everywhere."""
        if present is None:
            rows = residuals - self.rows.mean
            return rows, self.views.averages(rows) + self._offset
        known = self.views.known(present)
        seen = (self.views.averages(known) > MIN_COVER).astype(np.float32)
        root = held(residuals, self.averages.root)
        rows = fill((residuals - self.rows.mean) * known, self._newest(root), known)
        return rows, fill((self.views.averages(rows) + self._offset) * seen, root, seen)

    def whitened(self, rows: Floats, averages: Floats) -> tuple[Floats, Floats]:
        """Both, centred, in units of where tempering begins."""
        units = self.averages.in_units(held(rows, self.averages.root))
        return rows @ self._newest(units), averages @ units

    def _newest(self, by_view: Floats) -> Floats:
        """Of averages those of the newest row alone."""
        return np.take(by_view, np.arange(0, len(self.averages.root), len(self.views.weights)), axis=0)

    def parts(self, rows: Floats, averages: Floats, latent: Floats) -> Floats:
        """[batch, part] of what is whitened and of a latent: tempered squares, of averages, then of the latent, then of energies."""
        views, _, channels = averages.shape
        newest = np.transpose(averages, (1, 0, 2)).reshape(-1, views * channels)
        places = (latent - self.latent.mean[0]) @ self.latent.in_units(self.latent.root)[0]
        near = tempered(np.square(np.concatenate([newest, places], axis=1)))
        energies = self.views.weights[ENERGY : ENERGY + 1] @ tempered(np.square(rows))
        return np.concatenate([near, energies.reshape(-1, self.residuals * channels)], axis=1)

    def squares(self, rows: Floats, averages: Floats) -> Floats:
        """[view, batch, judged] of what is whitened, as they are: about 1 on normal data."""
        energies = over_time(np.square(rows), self.views.weights[ENERGY : ENERGY + 1])
        limits = np.concatenate([self.averages.temper, self.rows.temper])[:, None]
        squares: Floats = np.concatenate([np.square(averages), energies]) * limits
        return squares

    def distances(self, values: Floats, present: Floats) -> Floats:
        """[view + 1, batch], the latent's last: root mean squares."""
        residuals, latent, _ = self.views(values)
        rows, averages = self.centred(residuals, None if present.all() else present)
        found: Floats = np.sqrt(self.parts(*self.whitened(rows, averages), latent) @ self.by_view)
        return found.T


class ScoredNetwork:
    """The whole graph of a model file: physical window in, score and reasons out."""

    def __init__(self, scaler: Scaler, measure: Measure, limit: Floats, discrete: DiscreteScore | None = None) -> None:
        """`limit` [view + 1]: the distances that make a score of 1 by themselves, the latent's last. `discrete`: what
        the discrete channels say by themselves; None: there are none."""
        self.standardise = Standardise(scaler)
        self.measure = measure
        self.discrete = discrete
        weight = 1.0 / limit.astype(np.float64) ** 2
        # A matrix of one column: a runtime takes ten times as long with a vector.
        self._part_weight = (measure.by_view @ weight)[:, None].astype(np.float32)
        self._view_weight = (weight[:-1, None, None] / measure.rows.root.shape[-1]).astype(np.float32)

    def __call__(self, window: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """score [b], channel_score [b, c], reconstruction [b, l, c], latent [b, k], magnitude [b, c] of window [b, l, c]."""
        rows, averages, latent, restored = self._views_of(self.standardise.features_of(window))
        score = np.sqrt(self.measure.parts(rows, averages, latent) @ self._part_weight)[:, 0]
        discrete = None if self.discrete is None else self.discrete(window)

        def reasons() -> tuple[Floats, Floats, Floats, Floats]:
            squares = self.measure.squares(rows, averages)
            loudest = score, self._by_channel(np.sum(self._view_weight * squares, axis=0))
            energies = np.sum(squares[-self.measure.residuals :], axis=0) / self.measure.residuals
            magnitude = np.sqrt(self._by_channel(energies))
            expected = self.measure.views.shown(self.standardise.restore(restored), window)
            return _shares(*(loudest if discrete is None else _louder(loudest, discrete))), expected, latent, magnitude

        return score if discrete is None else np.maximum(score, discrete[0]), *where_asked(window, reasons)

    def _views_of(self, features: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Whitened rows and averages, see `Measure`, latent, and restored window, of features with holes."""
        standardise, centred = self.standardise, self.measure.centred
        lacking = lacks_values(features)
        (values,) = choose(lacking, lambda: standardise.mended(features)[:1], lambda: (standardise.clipped(features),))
        residuals, latent, restored = self.measure.views(values)
        rows, averages = choose(
            lacking, lambda: centred(residuals, standardise.present(features)), lambda: centred(residuals)
        )
        return *self.measure.whitened(rows, averages), latent, restored

    def _by_channel(self, squares: Floats) -> Floats:
        """[batch, channel] of [batch, judged feature]."""
        return self.standardise.by_channel(self.measure.views.by_feature(squares))


def view_weights(views: int) -> NDArray[np.float64]:
    """[view], the latent's last."""
    residuals = views // (len(DECAYS) + 1)
    averages, energies = [AVERAGE_WEIGHT] * residuals * len(DECAYS), [ENERGY_WEIGHT] * residuals
    return np.array([*averages, *energies, LATENT_WEIGHT * residuals])


def scale_weights(length: int) -> Floats:
    """Weights [scale, length] of exponential averages that end with the newest row, each adding up to 1."""
    age = np.arange(length)[::-1]
    weights = np.stack([decay * (1.0 - decay) ** age if decay < 1 else (age == 0) * 1.0 for decay in DECAYS])
    normed: Floats = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normed


def tempered(squares: Floats) -> Floats:
    """Squares in units of `Whitening.temper`, drawn in from 1 on to grow with their root (pseudo-Huber: Charbonnier et al., 1997):
    sqrt(1 + q) - 1, written without the difference of near numbers; half the square where that is small. Square roots are exact
    wherever a value lies in memory; a runtime's logarithm is not."""
    drawn_in: Floats = squares / (1.0 + np.sqrt(1.0 + squares))
    return drawn_in


def over_time(values: Floats, weights: Floats) -> Floats:
    """[batch, residual, row, channel] averaged with each of the weights [scale, row]: [residual * scale, batch, channel]."""
    _, residuals, _, channels = values.shape
    averages = np.transpose(weights @ values, (1, 2, 0, 3))
    return averages.reshape(residuals * len(weights), -1, channels)


def _by_view(averages: Floats, energies: Floats, latent: Floats) -> Floats:
    """[part, view + 1]: the mean of which parts, in units of their `temper`, is the square of a view's distance; the latent's last."""
    count = len(averages) + len(energies)
    tempers = [*enumerate(averages), (count, latent), *enumerate(energies, len(averages))]
    found: Floats = np.zeros((sum(len(temper) for _, temper in tempers), count + 1), np.float32)
    first = 0
    for view, temper in tempers:
        found[first : first + len(temper), view] = 2.0 * temper / len(temper)
        first += len(temper)
    return found


def _louder(one: Parts, other: Parts) -> Parts:
    """Of two scores [batch] the higher, and the squares [batch, channel] that it is made of."""
    return np.maximum(one[0], other[0]), np.where((other[0] > one[0])[:, None], other[1], one[1])


def _shares(score: Floats, squares: Floats) -> Floats:
    """Channel scores [batch, channel] that add up to the score."""
    whole: Floats = np.maximum(total(squares), TINY)
    return score[:, None] * squares / whole
