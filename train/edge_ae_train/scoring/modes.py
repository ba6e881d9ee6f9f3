"""The latent space as a map: two axes to draw it on, and the operating modes that normal windows fall into.

Modes are found once, in the windows of training, and travel in the model file, so that an alert on the device and the
report name the same ones. Axes come from normal windows alone: a fault must not get to draw the map.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats, Modes
from edge_ae_train.scoring.clusters import k_means, silhouette

Array = NDArray[np.float64]

KEY = "modes"  # of the metadata
MOST_MODES = 6
INSIDE = 0.99  # of a mode's windows lie within its radius
LEAST_RADIUS = 0.1  # in deviations of all windows: a mode that stands still has a place to be in, too
LEAST_SPREAD = 1e-6  # an axis that moves less than this has no unit
DISTINCT = 0.5  # a silhouette below this is "weak structure, possibly artificial" (Kaufman and Rousseeuw)
SAMPLE = 1000  # windows that the number of modes is chosen on: the silhouette compares all pairs


@dataclass(frozen=True)
class ModeMap:
    """`points` [window, 2]; `mode` [window]; `shares` [mode]: the part of the normal windows in each."""

    points: Array
    mode: NDArray[np.int64]
    shares: Array
    explained: float
    """the part of the latent variance that the two axes show"""


def mode_map(latent: Floats, normal: NDArray[np.bool_], known: Modes | None = None) -> ModeMap:
    """`latent` [window, latent]; `normal` [window] says which windows may draw the map. `known`: the model's own modes."""
    home = latent[normal] if normal.any() else latent
    modes = find_modes(home) if known is None else known
    spread = np.array(modes.spread)
    centre = (home / spread).mean(axis=0)
    _, sizes, axes = np.linalg.svd(home / spread - centre, full_matrices=False)
    points = np.zeros((len(latent), 2))
    points[:, : len(axes[:2])] = (latent / spread - centre) @ axes[:2].T
    mode = np.array([modes.nearest(place) for place in latent.tolist()])
    inside = mode[normal] if normal.any() else mode
    shares = np.bincount(inside, minlength=len(modes.centres)) / max(len(inside), 1)
    power = float((sizes**2).sum())
    explained = float((sizes[:2] ** 2).sum()) / power if power > 0 else 1.0
    return ModeMap(points, mode, shares, explained)


def find_modes(latent: Floats, seed: int = 0) -> Modes:
    """The groups that normal windows `latent` [window, latent] fall into, the commonest first."""
    places = latent.astype(np.float64)
    spread = places.std(axis=0)
    spread = np.where(spread > LEAST_SPREAD, spread, 1.0)
    places /= spread
    centres = _centres(places, seed)
    distances = np.sqrt(((places[:, None, :] - centres[None]) ** 2).sum(axis=2))
    mode = distances.argmin(axis=1)
    order = np.argsort(-np.bincount(mode, minlength=len(centres)), kind="stable")
    radii = [_radius(distances[mode == index, index]) for index in order]
    return Modes(_numbers(spread), tuple(_numbers(centres[index]) for index in order), _numbers(radii))


def metadata(latent: Floats) -> dict[str, str]:
    """What goes into the file: `edge_ae.core.types.Modes` as JSON. `latent` [window, latent]: of windows trained on."""
    return {KEY: json.dumps(asdict(find_modes(latent)))} if latent.shape[1] > 0 else {}


def _radius(distances: Array) -> float:
    return max(float(np.quantile(distances, INSIDE)), LEAST_RADIUS) if len(distances) > 0 else LEAST_RADIUS


def _numbers(values: Sequence[float] | Array) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)


def _centres(windows: Array, seed: int) -> Array:
    """As many centres as the silhouette likes best; one if it likes none."""
    one: Array = windows.mean(axis=0, keepdims=True)
    sample = windows[np.unique(np.linspace(0, len(windows) - 1, SAMPLE).astype(int))]
    different = len(np.unique(sample, axis=0))
    rng = np.random.default_rng(seed)
    best, centres = DISTINCT, one
    for count in range(2, min(MOST_MODES, different - 1) + 1):
        found, cluster = k_means(sample, count, rng)
        score = silhouette(sample, cluster)
        if score > best:
            best, centres = score, found
    return centres
