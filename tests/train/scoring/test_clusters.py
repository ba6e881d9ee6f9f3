"""Groups that are there are found, and how far apart they are is said as scikit-learn says it."""

import numpy as np
import pytest
from edge_ae_train.scoring.clusters import Array, k_means, linked, silhouette
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import silhouette_score


def groups(count: int, size: int = 60) -> Array:
    rng = np.random.default_rng(count)
    return np.concatenate(
        [rng.normal(loc=[4.0 * index, -3.0 * (index % 2)], size=(size, 2)) * 0.5 for index in range(count)]
    )


@pytest.mark.parametrize("count", [2, 3, 6])
def test_groups_that_are_apart_are_found(count: int) -> None:
    points = groups(count)
    centres, cluster = k_means(points, count, np.random.default_rng(0))
    truth = np.repeat(np.arange(count), 60)
    for index in range(count):
        own = np.bincount(cluster[truth == index]).argmax()
        assert (cluster[truth == index] == own).mean() > 0.95
        np.testing.assert_allclose(centres[own], points[truth == index].mean(axis=0), atol=0.2)


@pytest.mark.parametrize("count", [2, 4])
def test_silhouette_is_that_of_scikit_learn(count: int) -> None:
    points = groups(3)
    _, cluster = k_means(points, count, np.random.default_rng(1))
    assert silhouette(points, cluster) == pytest.approx(silhouette_score(points, cluster), rel=1e-6)
    cluster[0] = 99  # alone in its cluster
    assert silhouette(points, cluster) == pytest.approx(silhouette_score(points, cluster), rel=1e-6)


def test_what_is_linked_is_what_scikit_learn_links() -> None:
    points = np.random.default_rng(0).normal(size=(70, 3))
    found = linked(points, 8)
    assert sorted(found) == [2, 3, 4, 5, 6, 7, 8]
    for count, cluster in found.items():
        theirs = AgglomerativeClustering(count, linkage="average").fit_predict(points)
        assert len({*zip(cluster.tolist(), theirs.tolist(), strict=True)}) == count


def test_one_group_has_no_silhouette() -> None:
    assert silhouette(groups(1), np.zeros(60, np.int64)) == 0.0


def test_same_seed_finds_the_same() -> None:
    one, other = (k_means(groups(3), 3, np.random.default_rng(5))[0] for _ in range(2))
    np.testing.assert_array_equal(one, other)
