"""Physical windows with holes -> standardised windows without: what the networks and the score look at.

What a channel lacks is filled by its conditional mean given the others, found by conjugate gradients: exact after as many
steps as channels lack; and lifted by what the channel, where the window does show it, differs from that mean: slow channels
go their own way. A row of which nothing is known is as the one before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from edge_ae_train.data.segments import is_constant, row_blocks, thinned
from edge_ae_train.graphs.trace import held
from edge_ae_train.scoring.features import Circle, Features, circles
from edge_ae_train.scoring.whitening import FLOOR, whitening_root

CLIP = 20.0  # standardised values beyond this are this: a channel that has gone must not drown what the others say
CONSTANT_LIMIT = 3.0  # a channel that never moved in training and now moves speaks as loud as three deviations
FILL_STEPS = 3  # missing channels for which the fill is exact
BRIDGE = 3  # rows in a row of which nothing is known that are taken to be as the one before them
MIN_COVER = 0.5  # a channel that has less of a window's rows, or of a scale's weight, counts as missing there
BLOCK_ROWS = 250_000  # in double precision at once
ROOT_ROWS = 200_000  # that the relations between channels are found in: more tell the same
TINY = 1e-12  # the least that is divided by

Parts = tuple[Floats, Floats]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scaler:
    """Per feature [feature], which without angles is a channel: `centre` and `spread` in physical units; standardised values
    are cut at `limit`, and vary by `floor` at the least. `root` [feature, feature] whitens a standardised row. `circles`: of
    the channels that are angles."""

    centre: Floats
    spread: Floats
    limit: Floats
    floor: Floats
    root: Floats
    circles: tuple[Circle, ...] = field(default=(), kw_only=True)


def fit_scaler(segments: Sequence[Floats], turns: Sequence[float] = ()) -> Scaler:
    """Mean and standard deviation of each feature; one that never moves is given its smallest sensible step.

    `turns` [channel]: the full turn of an angle, 0 of other channels; empty: there is no angle.
    """
    there = circles(turns, segments)
    features = Features(len(turns), there) if there else None
    count = np.maximum(_summed(segments, features, np.isfinite), 1)
    centre = _summed(segments, features, lambda rows: rows) / count
    spread = np.sqrt(_summed(segments, features, lambda rows: (rows - centre) ** 2) / count)
    constant = is_constant(centre, spread)
    spread = np.where(constant, np.maximum(0.01 * np.abs(centre), 1e-3), spread)
    limit = np.where(constant, CONSTANT_LIMIT, CLIP)
    floor = np.where(constant, 1.0, FLOOR)
    rows = _doubles(np.concatenate(thinned(segments, ROOT_ROWS)), features)
    scaled = np.nan_to_num(np.clip((rows - centre) / spread, -limit, limit))
    parts = (centre, spread, limit, floor, whitening_root(scaled, floor))
    return Scaler(*(part.astype(np.float32) for part in parts), circles=there)


def _summed(segments: Sequence[Floats], features: Features | None, term: Callable[[Doubles], NDArray[Any]]) -> Doubles:
    """The sum over all rows of a term of each feature, in double precision; a missing one adds nothing."""
    sums = [np.nansum(term(_doubles(block, features)), axis=0) for block in row_blocks(segments, BLOCK_ROWS)]
    total: Doubles = np.sum(sums, axis=0)
    return total


def _doubles(rows: Floats, features: Features | None) -> Doubles:
    """Rows [row, channel] as features [row, feature]."""
    seen: Floats = rows if features is None else features(rows)
    return seen.astype(np.float64)


class Standardise:
    """Physical values with holes -> standardised values without, and where they were present."""

    def __init__(self, scaler: Scaler) -> None:
        self.centre, self.spread, self.limit, self.root = scaler.centre, scaler.spread, scaler.limit, scaler.root
        channels = len(scaler.centre) - len(scaler.circles)
        self.features = Features(channels, scaler.circles) if scaler.circles else None

    def __call__(self, physical: Floats) -> Parts:
        """Windows [batch, row, channel] -> standardised features, without holes; and where they were present."""
        features = self.features_of(physical)
        return self.mended(features) if lacks_values(features) else (self.clipped(features), np.ones_like(features))

    def features_of(self, physical: Floats) -> Floats:
        """[..., feature] of [..., channel]: an angle is two features."""
        return physical if self.features is None else self.features(physical)

    def clipped(self, features: Floats) -> Floats:
        """Standardised features, NaN where they are missing."""
        scaled: Floats = np.clip((features - self.centre) / self.spread, -self.limit, self.limit)
        return scaled

    def present(self, features: Floats) -> Floats:
        """1 where there is a value in a channel that has enough of them in its window, 0 elsewhere."""
        return covered((~np.isnan(features)).astype(np.float32))

    def mended(self, features: Floats) -> Parts:
        """Standardised features, without holes, and where they were present."""
        present = self.present(features)
        values = np.where(present > 0.0, self.clipped(features), 0.0)
        return at_its_level(fill(values, self.root, present), self.root, present), present

    def scaled(self, physical: Floats) -> Floats:
        """Standardised features, NaN where they are missing."""
        return self.clipped(self.features_of(physical))

    def restore(self, values: Floats) -> Floats:
        """Standardised features as channels in physical units."""
        features = values * self.spread + self.centre
        return features if self.features is None else self.features.physical(features)

    @property
    def channels(self) -> int:
        """How many there are; of features there may be more."""
        return len(self.centre) if self.features is None else self.features.channels

    def deviation(self, values: Floats) -> Floats:
        """Standard deviations of standardised features as those of channels in physical units."""
        features = values * self.spread
        return features if self.features is None else self.features.deviation(features)

    def by_channel(self, squares: Floats) -> Floats:
        """What adds up to a distance, by feature, as that of each channel."""
        return squares if self.features is None else self.features.by_channel(squares)


def lacks_values(features: Floats) -> Any:
    """Whether any value of any window is missing: filling takes most of the time. What is done then must leave windows that are whole as
    they are, for a window's score must not depend on its company in a batch."""
    return np.isnan(np.sum(features))


def covered(present: Floats) -> Floats:
    """[batch, row, channel]: a channel that lacks most of its rows is missing in all. A few true values among filled ones,
    which follow the other channels, would look like a jump."""
    rows = present.shape[-2]
    share = np.full((1, rows), 1.0 / rows, present.dtype) @ present
    return present * (share >= MIN_COVER).astype(present.dtype)


def fill(values: Floats, root: Floats, present: Floats) -> Floats:
    """`values` [..., row, channel], zero where not `present`, with their conditional means there: minimises v' P v, with
    P = root root, over the missing entries by conjugate gradients."""
    root = held(values, root)
    missing, precision = 1.0 - present, root @ root
    residual = -(values @ precision) * missing
    direction = residual
    power = total(residual * residual)
    for _ in range(FILL_STEPS):
        image = (direction @ precision) * missing
        length = power / np.maximum(total(direction * image), TINY)
        values = values + length * direction
        residual = residual - length * image
        next_power = total(residual * residual)
        direction = residual + next_power / np.maximum(power, TINY) * direction
        power = next_power
    return values


def at_its_level(values: Floats, root: Floats, present: Floats) -> Floats:
    """`values` [batch, row, channel] as `fill` has filled them, each channel's filled rows moved by the mean difference of its
    present rows from their conditional mean: x - E[x | others] = (P x) / diag P, with P = root root; and rows of which nothing
    is known as those before them."""
    root = held(values, root)
    apart = (values @ (root @ root)) / np.sum(root * root, axis=0) * present
    rows = np.ones((1, values.shape[-2]), values.dtype)  # products, as in `total`
    mean = (rows @ apart) / np.maximum(rows @ present, 1.0)
    return bridged(values + mean * (1.0 - present), present)


def bridged(rows: Floats, present: Floats) -> Floats:
    """`rows` [batch, row, any]; one of which nothing is `present` [batch, row, channel] is as the row before it, up to BRIDGE
    in a row."""
    there = np.max(present, axis=2, keepdims=True)
    for _ in range(BRIDGE):
        next_to = (1.0 - there) * _before(there)
        rows = np.where(next_to > 0.0, _before(rows), rows)
        there = there + next_to
    return rows


def _before(rows: Floats) -> Floats:
    """Each row's predecessor; the first row's is itself."""
    return np.concatenate([rows[:, :1], rows[:, :-1]], axis=1)


def total(values: Floats) -> Floats:
    """Sum over the last axis, which stays with length 1. A product, for a runtime's reduction rounds by where a row lies in
    memory: a window's score would depend on its place in the batch, and live and offline would differ."""
    return values @ np.ones((values.shape[-1], 1), values.dtype)
