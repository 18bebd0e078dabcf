"""What is good and bad about a label space, before a network is trained on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

_CLOSEST_PAIRS = 20


class ClassPair(BaseModel):
    """Two classes and how alike they are."""

    first: str
    second: str
    cosine: float
    shared: int


class Diagnostics(BaseModel):
    """Figures of a label space of N classes and K properties.

    Attributes:
        inertia: sum of squared distances of descriptions to their centres.
        property_sizes: descriptions in each property (K).
        properties_per_class: properties that each class has.
        identical_classes: groups of classes that have just the same properties.
        subset_classes: (class, other): all properties of the class are properties of the other, which has more.
        closest_classes: pairs with the most similar rows of the class matrix, closest first.
        properties_of_one_class: properties that a single class has.
        properties_of_all_classes: properties that every class has: they tell nothing apart.
    """

    inertia: float
    property_sizes: list[int]
    properties_per_class: dict[str, int]
    identical_classes: list[list[str]]
    subset_classes: list[tuple[str, str]]
    closest_classes: list[ClassPair]
    properties_of_one_class: list[str]
    properties_of_all_classes: list[str]


def diagnose(
    matrix: npt.NDArray[np.bool_],
    classes: Sequence[str],
    properties: Sequence[str],
    sizes: Sequence[int],
    inertia: float,
) -> Diagnostics:
    """Diagnostics of the class matrix (N, K)."""
    owners = matrix.sum(axis=0)
    return Diagnostics(
        inertia=inertia,
        property_sizes=list(sizes),
        properties_per_class=dict(zip(classes, matrix.sum(axis=1).tolist(), strict=True)),
        identical_classes=_identical(matrix, classes),
        subset_classes=_subsets(matrix, classes),
        closest_classes=_closest(matrix, classes),
        properties_of_one_class=[properties[k] for k in np.flatnonzero(owners == 1).tolist()],
        properties_of_all_classes=[properties[k] for k in np.flatnonzero(owners == len(classes)).tolist()],
    )


def _identical(matrix: npt.NDArray[np.bool_], classes: Sequence[str]) -> list[list[str]]:
    groups: defaultdict[bytes, list[str]] = defaultdict(list)
    for row, name in zip(matrix, classes, strict=True):
        groups[row.tobytes()].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _subsets(matrix: npt.NDArray[np.bool_], classes: Sequence[str]) -> list[tuple[str, str]]:
    shared = _shared(matrix)  # (N, N)
    counts = shared.diagonal()
    contained = (shared == counts[:, None]) & (counts[:, None] < counts[None, :])
    return [(classes[first], classes[second]) for first, second in np.argwhere(contained).tolist()]


def _closest(matrix: npt.NDArray[np.bool_], classes: Sequence[str]) -> list[ClassPair]:
    shared = _shared(matrix)  # (N, N)
    counts = shared.diagonal()
    cosine = shared / np.sqrt(np.outer(counts, counts))
    first, second = np.triu_indices(len(classes), k=1)
    order = np.argsort(-cosine[first, second], kind="stable")[:_CLOSEST_PAIRS]
    return [
        ClassPair(first=classes[i], second=classes[j], cosine=round(float(cosine[i, j]), 4), shared=int(shared[i, j]))
        for i, j in zip(first[order], second[order], strict=True)
    ]


def _shared(matrix: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Number of properties that two classes have in common (N, N)."""
    counts = matrix.astype(np.int64)
    return counts @ counts.T
