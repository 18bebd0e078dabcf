"""What is good and bad about a label space, before a network is trained on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel
from scipy.spatial.distance import cdist

from tasks.cluster.choice import Choice
from tasks.cluster.phrases import Phrases
from tasks.cluster.properties import Clusters

_CLOSEST_PAIRS = 20
_NEARLY_EQUAL = 0.75  # cosine; the closest two classes of the paper's label spaces have .71 (ADE20K) and .75
_FEW_PROPERTIES = 3
_TELLING_PHRASES = 2

_Matrix = npt.NDArray[np.bool_]


class ClassPair(BaseModel):
    """Two classes, how alike they are, and which phrases of each are farthest from all that the other has."""

    first: str
    second: str
    cosine: float
    shared: int
    telling_first: list[str]
    telling_second: list[str]


class Diagnostics(BaseModel):
    """Figures of a label space of N classes and K properties. Classes are compared within their data set.

    Attributes:
        inertia: sum of squared distances of descriptions to their centres.
        stability: mean adjusted Rand index between five seeds; None where the algorithm has no seed.
        choice: how the number of properties was chosen, if it was.
        empty_clusters: clusters that were asked for and got no member.
        property_sizes: descriptions in each property (K).
        properties_per_class: properties that each class has.
        few_properties: classes with fewer than three.
        identical_classes: groups of classes that have just the same properties.
        subset_classes: (class, other): all properties of the class are properties of the other, which has more.
        nearly_equal: pairs of other classes whose rows of the class matrix have a cosine of 0.75 at least.
        closest_classes: pairs with the most similar rows of the class matrix, closest first.
        properties_of_one_class: properties that a single class has.
        properties_of_all_classes: properties that every class has: they tell nothing apart.
    """

    inertia: float
    stability: float | None
    choice: Choice | None
    empty_clusters: int
    property_sizes: list[int]
    properties_per_class: dict[str, int]
    few_properties: list[str]
    identical_classes: list[list[str]]
    subset_classes: list[tuple[str, str]]
    nearly_equal: list[ClassPair]
    closest_classes: list[ClassPair]
    properties_of_one_class: list[str]
    properties_of_all_classes: list[str]


def diagnose(
    matrix: _Matrix,
    phrases: Phrases,
    clusters: Clusters,
    properties: Sequence[str],
    stability: float | None,
    choice: Choice | None,
) -> Diagnostics:
    """Diagnostics of the class matrix (N, K)."""
    owners, counts = matrix.sum(axis=0), matrix.sum(axis=1)
    shared = _shared(matrix)
    cosine = shared / np.sqrt(np.outer(counts, counts))
    same_dataset = np.equal.outer(phrases.datasets, phrases.datasets)  # (N, N)
    return Diagnostics(
        inertia=clusters.inertia,
        stability=stability,
        choice=choice,
        empty_clusters=clusters.empty,
        property_sizes=clusters.sizes.tolist(),
        properties_per_class=dict(zip(phrases.labels, counts.tolist(), strict=True)),
        few_properties=[phrases.labels[n] for n in np.flatnonzero(counts < _FEW_PROPERTIES)],
        identical_classes=[[phrases.labels[n] for n in group] for group in identical_classes(matrix, phrases)],
        subset_classes=[
            (phrases.labels[first], phrases.labels[second])
            for first, second in np.argwhere(
                (shared == counts[:, None]) & (counts[:, None] < counts[None, :]) & same_dataset
            )
        ],
        nearly_equal=_pairs((cosine >= _NEARLY_EQUAL) & (cosine < 1 - 1e-9) & same_dataset, cosine, shared, phrases),
        closest_classes=_pairs(same_dataset, cosine, shared, phrases)[:_CLOSEST_PAIRS],
        properties_of_one_class=[properties[k] for k in np.flatnonzero(owners == 1).tolist()],
        properties_of_all_classes=[properties[k] for k in np.flatnonzero(owners == len(matrix)).tolist()],
    )


def identical_classes(matrix: _Matrix, phrases: Phrases) -> list[list[int]]:
    """Groups of classes of one data set that have just the same properties."""
    groups: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
    for class_id, row in enumerate(matrix):
        groups[phrases.datasets[class_id], row.tobytes()].append(class_id)
    return [group for group in groups.values() if len(group) > 1]


def telling_phrases(phrases: Phrases, class_id: int, others: Sequence[int]) -> list[str]:
    """Descriptions of a class that are farthest from all of the others', which could tell it apart from them."""
    own = phrases.rows(class_id)
    foreign = np.concatenate([phrases.rows(other) for other in others])
    distances = cdist(phrases.vectors[own], phrases.vectors[foreign]).min(axis=1)
    return [phrases.texts[own[row]] for row in np.argsort(-distances, kind="stable")[:_TELLING_PHRASES]]


def _pairs(
    chosen: _Matrix, cosine: npt.NDArray[np.float64], shared: npt.NDArray[np.int64], phrases: Phrases
) -> list[ClassPair]:
    """The chosen ones of all pairs of classes (N, N), closest first."""
    first, second = np.nonzero(np.triu(chosen, k=1))
    order = np.argsort(-cosine[first, second], kind="stable")
    return [
        ClassPair(
            first=phrases.labels[i],
            second=phrases.labels[j],
            cosine=round(float(cosine[i, j]), 4),
            shared=int(shared[i, j]),
            telling_first=telling_phrases(phrases, i, [j]),
            telling_second=telling_phrases(phrases, j, [i]),
        )
        for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True)
    ]


def _shared(matrix: _Matrix) -> npt.NDArray[np.int64]:
    """Number of properties that two classes have in common (N, N)."""
    counts = matrix.astype(np.int64)
    return counts @ counts.T
