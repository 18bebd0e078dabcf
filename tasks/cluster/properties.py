"""Properties: clusters of descriptions, their names, and which class has which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # the library ships no types

from tasks.errors import InputError


@dataclass(frozen=True)
class Clusters:
    """M descriptions in K clusters, numbered by first appearance of a member.

    Attributes:
        centres: means of the members' vectors (K, D); not normalised.
        members: cluster of each description (M,).
        distances: Euclidean distance of each description to its centre (M,).
        inertia: sum of the squared distances.
    """

    centres: npt.NDArray[np.float32]
    members: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float32]
    inertia: float


def cluster(vectors: npt.NDArray[np.float32], count: int, seed: int) -> Clusters:
    """Cluster vectors (M, D) by k-means as the paper has it: scikit-learn's, k-means++, one start.

    Raises:
        InputError: there are fewer different vectors than clusters.
    """
    different = len(np.unique(vectors, axis=0))
    if count > different:
        raise InputError(
            f"cluster.properties = {count}, but there are only {different} different descriptions: "
            f"expected at most {different}, and about {max(2, different // 6)} by the paper's rule of thumb"
        )
    kmeans = KMeans(n_clusters=count, random_state=seed, n_init="auto")
    # Several threads add up in any order, and the last bits would differ from run to run.
    with threadpool_limits(limits=1):
        distances = kmeans.fit_transform(vectors)
    first_members = np.unique(kmeans.labels_, return_index=True)[1]
    order = np.argsort(first_members)
    number = np.argsort(order)
    return Clusters(
        centres=kmeans.cluster_centers_[order].astype(np.float32),
        members=number[kmeans.labels_],
        distances=distances[np.arange(len(vectors)), kmeans.labels_].astype(np.float32),
        inertia=float(kmeans.inertia_),
    )


def medoid_names(clusters: Clusters, texts: Sequence[str]) -> list[str]:
    """Name of each cluster: the text nearest to its centre; a name that occurs again gets a number."""
    # The two members of a pair are equally near: the first one names it, not the last bit of a rounding.
    distances = np.round(clusters.distances, 4)
    names: list[str] = []
    taken: set[str] = set()
    for cluster_id in range(len(clusters.centres)):
        rows = np.flatnonzero(clusters.members == cluster_id)
        medoid = texts[rows[np.argmin(distances[rows])]]
        name, repeat = medoid, 1
        while name.casefold() in taken:
            repeat += 1
            name = f"{medoid} ({repeat})"
        taken.add(name.casefold())
        names.append(name)
    return names


def class_matrix(class_ids: npt.NDArray[np.int32], clusters: Clusters) -> npt.NDArray[np.bool_]:
    """Which of N classes has which of K properties (N, K): those with one of its descriptions at least."""
    matrix = np.zeros((class_ids.max() + 1, len(clusters.centres)), dtype=bool)
    matrix[class_ids, clusters.members] = True
    return matrix
