"""Groups of points: k-means, average linkage, and the silhouette that says whether they are any. numpy alone."""

import numpy as np
from numpy.typing import NDArray

STARTS = 5  # of k-means: the best of so many
MOST_ROUNDS = 100  # of a start

Array = NDArray[np.float64]
Clusters = NDArray[np.int64]


def k_means(points: Array, count: int, rng: np.random.Generator) -> tuple[Array, Clusters]:
    """Centres [cluster, axis], and the cluster of each of the `points` [point, axis], of which at least `count` differ.

    From the seeds of k-means++ (Arthur and Vassilvitskii, 2007), by Lloyd's rounds.
    """
    starts = [_settled(points, _seeds(points, count, rng)) for _ in range(STARTS)]
    centres = min(starts, key=lambda found: float(_squares(points, found).min(axis=1).sum()))
    return centres, _squares(points, centres).argmin(axis=1)


def linked(points: Array, most: int) -> dict[int, Clusters]:
    """The cluster of each of the `points` [point, axis], by the number of clusters, `most` and fewer down to 2: the two that are the
    nearest on average become one, until so few are left (average linkage: Sokal and Michener, 1958)."""
    apart = np.sqrt(_squares(points, points))
    np.fill_diagonal(apart, np.inf)
    sizes, cluster = np.ones(len(points)), np.arange(len(points))
    found: dict[int, Clusters] = {}
    for count in range(len(points), 1, -1):
        if count <= most:
            found[count] = cluster.copy()
        one, other = divmod(int(apart.argmin()), len(points))
        joined = (sizes[one] * apart[one] + sizes[other] * apart[other]) / (sizes[one] + sizes[other])
        apart[one], apart[:, one] = joined, joined
        apart[other], apart[:, other], apart[one, one] = np.inf, np.inf, np.inf
        sizes[one] += sizes[other]
        cluster[cluster == other] = one
    return found


def silhouette(points: Array, cluster: Clusters) -> float:
    """The mean over all points of (b - a) / max(a, b): a, how far a point is from the others of its cluster; b, from those of the
    nearest other one (Rousseeuw, 1987). 0 of a point alone, and where there is one cluster."""
    names, own, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    if len(names) < 2:
        return 0.0
    members = np.eye(len(names))[own]
    sums = np.sqrt(_squares(points, points)) @ members
    within = (sums * members).sum(axis=1) / np.maximum(sizes[own] - 1, 1)
    nearest = np.where(members > 0.0, np.inf, sums / sizes).min(axis=1)
    worth = (nearest - within) / np.maximum(np.maximum(nearest, within), 1e-300)
    return float(np.where(sizes[own] > 1, worth, 0.0).mean())


def _seeds(points: Array, count: int, rng: np.random.Generator) -> Array:
    """Points, each drawn with a chance that grows with the square of its distance from those drawn before."""
    chosen = [points[rng.integers(len(points))]]
    while len(chosen) < count:
        squares = _squares(points, np.stack(chosen)).min(axis=1)
        chosen.append(points[rng.choice(len(points), p=squares / squares.sum())])
    return np.stack(chosen)


def _settled(points: Array, centres: Array) -> Array:
    """Each centre the mean of the points nearest to it, until none moves; one that no point is nearest to stays where it is."""
    cluster = np.full(len(points), -1)
    for _ in range(MOST_ROUNDS):
        nearest = _squares(points, centres).argmin(axis=1)
        if np.array_equal(nearest, cluster):
            break
        cluster = nearest
        members = np.eye(len(centres))[cluster]
        sizes = members.sum(axis=0)[:, None]
        centres = np.where(sizes > 0, members.T @ points / np.maximum(sizes, 1.0), centres)
    return centres


def _squares(points: Array, others: Array) -> Array:
    """Squared distances [point, other], 0 at the least."""
    lengths = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    squares: Array = np.maximum(lengths - 2.0 * points @ others.T, 0.0)
    return squares
