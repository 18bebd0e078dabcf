"""Two label spaces side by side: of another language model, another number of properties, another seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from tasks.labels.described import Class, DescribedSpace

_Phrase = tuple[Class, str]


@dataclass(frozen=True)
class ChangedClass:
    """What is said of a class in one label space alone."""

    owner: Class
    kept: int
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True)
class Neighbours:
    """The classes most similar to a class, by the cosine of their rows in the class matrix, and that cosine."""

    classes: tuple[Class, ...]
    cosine: float


@dataclass(frozen=True)
class MovedClass:
    """A class whose most similar classes are others."""

    owner: Class
    before: Neighbours
    after: Neighbours


@dataclass(frozen=True)
class Comparison:
    """What differs between two label spaces.

    Attributes:
        classes_lost: classes of the first alone.
        classes_gained: classes of the second alone.
        changed_classes: classes of both whose descriptions differ.
        shared_phrases: descriptions, of a class, that both have word for word.
        adjusted_rand_index: agreement of both on which shared phrases belong together: 1 the same, 0 chance; None
            when fewer than two are shared.
        normalized_mutual_information: the same question, between 0 and 1; None likewise.
        moved_classes: classes of both that have other nearest neighbours among the classes of both.
        kept_properties: pairs of ids of properties that share more than half of their members, as far as both label
            spaces know these phrases.
        properties_lost: ids of the first's properties without a counterpart.
        properties_gained: ids of the second's properties without a counterpart.
    """

    classes_lost: tuple[Class, ...]
    classes_gained: tuple[Class, ...]
    changed_classes: tuple[ChangedClass, ...]
    shared_phrases: int
    adjusted_rand_index: float | None
    normalized_mutual_information: float | None
    moved_classes: tuple[MovedClass, ...]
    kept_properties: tuple[tuple[int, int], ...]
    properties_lost: tuple[int, ...]
    properties_gained: tuple[int, ...]


def compare(before: DescribedSpace, after: DescribedSpace) -> Comparison:
    """Compare two label spaces; classes are the same when name and data set are."""
    common = [owner for owner in before.classes if owner in after.classes]
    first, second = _property_of_phrases(before), _property_of_phrases(after)
    shared = [phrase for phrase in first if phrase in second]
    groups = [first[phrase] for phrase in shared], [second[phrase] for phrase in shared]
    comparable = len(shared) > 1
    kept = _matching(np.array(groups[0], dtype=np.intp), np.array(groups[1], dtype=np.intp))
    return Comparison(
        classes_lost=tuple(owner for owner in before.classes if owner not in after.classes),
        classes_gained=tuple(owner for owner in after.classes if owner not in before.classes),
        changed_classes=tuple(change for owner in common if (change := _changed(owner, before, after)) is not None),
        shared_phrases=len(shared),
        adjusted_rand_index=float(adjusted_rand_score(*groups)) if comparable else None,
        normalized_mutual_information=float(normalized_mutual_info_score(*groups)) if comparable else None,
        moved_classes=tuple(_moved(common, before, after)),
        kept_properties=tuple(kept),
        properties_lost=_others(before, [pair[0] for pair in kept]),
        properties_gained=_others(after, [pair[1] for pair in kept]),
    )


def _property_of_phrases(space: DescribedSpace) -> dict[_Phrase, int]:
    return {(item.owner, item.text): item.property_id for item in space.descriptions}


def _changed(owner: Class, before: DescribedSpace, after: DescribedSpace) -> ChangedClass | None:
    old, new = ([item.text for item in space.of_class(owner)] for space in (before, after))
    removed = tuple(text for text in old if text not in new)
    added = tuple(text for text in new if text not in old)
    return ChangedClass(owner, len(old) - len(removed), removed, added) if removed or added else None


def _moved(common: Sequence[Class], before: DescribedSpace, after: DescribedSpace) -> list[MovedClass]:
    if len(common) < 2:
        return []
    pairs = zip(common, _neighbours(common, before), _neighbours(common, after), strict=True)
    # Several may be equally near: it is a change when none of them still is.
    return [MovedClass(owner, old, new) for owner, old, new in pairs if not set(old.classes) & set(new.classes)]


def _neighbours(common: Sequence[Class], space: DescribedSpace) -> list[Neighbours]:
    """The nearest ones of each class."""
    matrix = np.zeros((len(common), len(space.properties.names)))
    for row, owner in enumerate(common):
        matrix[row, list(space.classes[owner])] = 1
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    cosines = matrix @ matrix.T
    np.fill_diagonal(cosines, -1)
    highest = cosines.max(axis=1)
    nearest = cosines >= highest[:, None] - 1e-9
    return [
        Neighbours(tuple(common[other] for other in np.flatnonzero(row).tolist()), float(cosine))
        for row, cosine in zip(nearest, highest, strict=True)
    ]


def _matching(first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """Pairs of properties that share more than half of all their members; none can have two such counterparts."""
    if not len(first):
        return []
    together = np.zeros((first.max() + 1, second.max() + 1), dtype=int)
    np.add.at(together, (first, second), 1)
    either = together.sum(axis=1, keepdims=True) + together.sum(axis=0, keepdims=True) - together
    return [(int(old), int(new)) for old, new in np.argwhere(2 * together > either)]


def _others(space: DescribedSpace, kept: Sequence[int]) -> tuple[int, ...]:
    known = set(kept)
    return tuple(number for number in range(len(space.properties.names)) if number not in known)
