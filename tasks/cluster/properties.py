"""Properties: clusters of descriptions, and which class has which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import AgglomerativeClustering, KMeans, MiniBatchKMeans, kmeans_plusplus
from threadpoolctl import threadpool_limits

from tasks.cluster import Algorithm
from tasks.errors import InputError

_Vectors = npt.NDArray[np.float32]
_Members = npt.NDArray[np.intp]

_SPHERICAL_STEPS = 300  # as many as scikit-learn allows Euclidean k-means


@dataclass(frozen=True)
class Clusters:
    """M descriptions in K clusters, numbered by first appearance of a member.

    Attributes:
        centres: (K, D), means of the members' vectors; those of spherical k-means have length 1.
        members: cluster of each description (M,).
        distances: Euclidean distance of each description to its centre (M,).
        empty: clusters that were asked for and have no member; they are not among the K.
    """

    centres: npt.NDArray[np.float32]
    members: npt.NDArray[np.intp]
    distances: npt.NDArray[np.float32]
    empty: int = 0

    @property
    def inertia(self) -> float:
        """Sum of the squared distances."""
        return float(np.square(self.distances, dtype=np.float64).sum())

    @property
    def sizes(self) -> npt.NDArray[np.intp]:
        """Number of descriptions in each cluster (K,)."""
        return np.bincount(self.members)


def cluster(vectors: npt.NDArray[np.float32], count: int, algorithm: Algorithm = "kmeans", seed: int = 0) -> Clusters:
    """Cluster vectors (M, D); `kmeans` is the paper's: scikit-learn's, k-means++, one start.

    Raises:
        InputError: there are fewer different vectors than clusters.
    """
    different = len(np.unique(vectors, axis=0))
    if count > different:
        raise InputError(
            f"cluster: {count} properties, but there are only {different} different descriptions: "
            f"expected at most {different}, and about {max(2, different // 6)} by the paper's rule of thumb"
        )
    # Several threads add up in any order, and the last bits would differ from run to run.
    with threadpool_limits(limits=1):
        match algorithm:
            case "kmeans":
                kmeans = KMeans(count, random_state=seed, n_init="auto").fit(vectors)
                members, centres = kmeans.labels_, kmeans.cluster_centers_
            case "mini_batch_kmeans":
                kmeans = MiniBatchKMeans(count, random_state=seed, n_init="auto").fit(vectors)
                members, centres = kmeans.labels_, kmeans.cluster_centers_
            case "spherical_kmeans":
                members, centres = _spherical_kmeans(vectors, count, seed)
            case "agglomerative":
                members = AgglomerativeClustering(count, linkage="ward").fit_predict(vectors)
                centres = _sums(vectors, members, count) / np.bincount(members)[:, None]
    return _numbered(vectors, members, centres)


def class_matrix(class_ids: npt.NDArray[np.int32], clusters: Clusters) -> npt.NDArray[np.bool_]:
    """Which of N classes has which of K properties (N, K): those with one of its descriptions at least."""
    matrix = np.zeros((class_ids.max() + 1, len(clusters.centres)), dtype=bool)
    matrix[class_ids, clusters.members] = True
    return matrix


def _spherical_kmeans(vectors: _Vectors, count: int, seed: int) -> tuple[_Members, _Vectors]:
    """Members and unit centres that maximise the sum of the cosines between them."""
    directions = _unit(vectors)
    centres = kmeans_plusplus(directions, count, random_state=seed)[0]
    members = (directions @ centres.T).argmax(axis=1)
    for _ in range(_SPHERICAL_STEPS):
        sums = _sums(directions, members, count)
        # A cluster that lost its members, or whose members point everywhere, keeps its centre.
        centres = np.where(np.linalg.norm(sums, axis=1, keepdims=True) > 1e-6, _unit(sums), centres)
        before, members = members, (directions @ centres.T).argmax(axis=1)
        if np.array_equal(before, members):
            break
    return members, centres


def _sums(vectors: _Vectors, members: _Members, count: int) -> _Vectors:
    """Sum of each cluster's vectors (K, D)."""
    sums = np.zeros((count, vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, members, vectors)
    return sums


def _unit(vectors: _Vectors) -> _Vectors:
    unit: _Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return unit


def _numbered(vectors: _Vectors, members: _Members, centres: _Vectors) -> Clusters:
    """Clusters in the order in which their first members come, without those that have none."""
    used, first_members = np.unique(members, return_index=True)
    order = used[np.argsort(first_members)]
    number = np.zeros(len(centres), dtype=np.intp)
    number[order] = np.arange(len(order))
    own_centres = centres[members].astype(np.float32)
    return Clusters(
        centres=centres[order].astype(np.float32),
        members=number[members],
        distances=np.linalg.norm(vectors - own_centres, axis=1),
        empty=len(centres) - len(order),
    )
