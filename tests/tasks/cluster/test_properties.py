import numpy as np
import numpy.typing as npt
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from tasks.cluster import ClusterParams
from tasks.cluster.choice import held_out_distance, stability
from tasks.cluster.properties import cluster
from tasks.errors import InputError

ALGORITHMS = ("kmeans", "mini_batch_kmeans", "spherical_kmeans", "agglomerative")


@pytest.fixture(scope="module")
def blobs() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """180 unit vectors about six directions, and the direction of each."""
    random = np.random.default_rng(0)
    directions = np.linalg.qr(random.normal(size=(64, 64)))[0][:6]
    owners = random.permutation(np.repeat(np.arange(6), 30))
    vectors = directions[owners] + random.normal(scale=0.05, size=(180, 64))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), owners


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_finds_what_is_there(algorithm, blobs) -> None:
    vectors, owners = blobs
    clusters = cluster(vectors, 6, algorithm, seed=3)
    assert adjusted_rand_score(owners, clusters.members) == 1
    assert clusters.empty == 0
    firsts = np.unique(clusters.members, return_index=True)[1]
    assert np.all(np.diff(firsts) > 0)
    means = np.stack([vectors[clusters.members == k].mean(axis=0) for k in range(6)])
    if algorithm == "spherical_kmeans":
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(clusters.centres, means, atol=0.02 if algorithm == "mini_batch_kmeans" else 1e-6)
    again = cluster(vectors, 6, algorithm, seed=3)
    assert np.array_equal(clusters.centres, again.centres) and np.array_equal(clusters.members, again.members)


def test_kmeans_is_the_papers(blobs) -> None:
    vectors, _ = blobs
    paper = KMeans(n_clusters=20, random_state=0, n_init="auto").fit(vectors)
    ours = cluster(vectors, 20)
    assert adjusted_rand_score(paper.labels_, ours.members) == 1
    assert ours.inertia == pytest.approx(paper.inertia_, rel=1e-5)


def test_spherical_kmeans_goes_by_the_angle_alone(blobs) -> None:
    vectors, _ = blobs
    lengths = np.random.default_rng(1).uniform(0.1, 10, size=(len(vectors), 1)).astype(np.float32)
    members = cluster(vectors, 6, "spherical_kmeans").members
    assert np.array_equal(members, cluster(vectors * lengths, 6, "spherical_kmeans").members)


def test_the_number_that_is_there_suits_unseen_classes_best(blobs) -> None:
    vectors, _ = blobs
    classes = np.arange(len(vectors), dtype=np.int32) % 20
    held_out = {count: held_out_distance(vectors, classes, count, "agglomerative", seed=0) for count in (2, 4, 6, 40)}
    assert min(held_out, key=held_out.__getitem__) == 6
    with pytest.raises(
        InputError, match="170 properties cannot be tried: without a fifth of the 20 classes there are 144"
    ):
        held_out_distance(vectors, classes, 170, "kmeans", seed=0)


def test_stability(blobs) -> None:
    vectors, _ = blobs
    stable = ClusterParams(properties=6, algorithm="spherical_kmeans")
    assert stability(vectors, cluster(vectors, 60), ClusterParams(properties=60)) < 0.9
    assert (
        stability(vectors, cluster(vectors, 6, "agglomerative"), ClusterParams(properties=6, algorithm="agglomerative"))
        is None
    )
    assert 0.5 < stability(vectors, cluster(vectors, 6, "spherical_kmeans"), stable) <= 1
