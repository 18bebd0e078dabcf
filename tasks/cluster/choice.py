"""How many properties, and how much they owe to chance."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from tasks.cluster import Algorithm, ClusterParams
from tasks.cluster.phrases import Phrases
from tasks.cluster.properties import Clusters, cluster
from tasks.errors import InputError
from tasks.progress import Progress

_FOLDS = 5
_SEEDS = 5


class Choice(BaseModel):
    """Which number of properties was chosen, and why.

    Attributes:
        candidates: numbers of properties that were tried.
        held_out: for each, the mean squared distance from a description of a class that the clustering has not seen
            to the nearest centre. Too few properties are too coarse for it, too many fit what they have seen.
        chosen: the candidate with the smallest one.
    """

    candidates: list[int]
    held_out: list[float]
    chosen: int


def choose(phrases: Phrases, params: ClusterParams, progress: Progress) -> tuple[int, Choice | None]:
    """The number of properties that the parameters ask for, and how it was chosen where there was a choice.

    Raises:
        InputError: a candidate is too large to be tried.
    """
    if params.properties is not None:
        return params.properties, None
    if params.descriptions_per_property is not None:
        return max(2, round(len(phrases.texts) / params.descriptions_per_property)), None
    assert params.candidates is not None  # by validation
    held_out: list[float] = []
    with progress.bar("choose the number of properties", total=len(params.candidates), unit="candidates") as bar:
        for count in params.candidates:
            held_out.append(held_out_distance(phrases.vectors, phrases.class_ids, count, params.algorithm, params.seed))
            bar.advance(properties=count, held_out=held_out[-1])
    chosen = params.candidates[int(np.argmin(held_out))]
    return chosen, Choice(candidates=list(params.candidates), held_out=held_out, chosen=chosen)


def held_out_distance(
    vectors: npt.NDArray[np.float32], class_ids: npt.NDArray[np.int32], count: int, algorithm: Algorithm, seed: int
) -> float:
    """Mean squared distance from descriptions to the nearest centre of `count` properties of other classes.

    Each fifth of the classes is left out once.

    Args:
        vectors: descriptions (M, D).
        class_ids: class of each (M,).
        count: number of properties.
        algorithm: how they are clustered.
        seed: of the fifths, and of the clustering.

    Raises:
        InputError: the other classes have fewer different descriptions than that.
    """
    classes = class_ids.max() + 1
    fold = (np.random.default_rng(seed).permutation(classes) % _FOLDS)[class_ids]  # (M,)
    total = 0.0
    for left_out in np.unique(fold):
        seen, unseen = vectors[fold != left_out], vectors[fold == left_out]
        different = len(np.unique(seen, axis=0))
        if count > different:
            raise InputError(
                f"cluster.candidates: {count} properties cannot be tried: without a fifth of the {classes} classes "
                f"there are {different} different descriptions"
            )
        centres = cluster(seen, count, algorithm, seed).centres
        total += float(cdist(unseen, centres, "sqeuclidean").min(axis=1).sum())
    return total / len(vectors)


def stability(vectors: npt.NDArray[np.float32], clusters: Clusters, params: ClusterParams) -> float | None:
    """Mean adjusted Rand index between the clusterings of five seeds; None where the algorithm has no seed.

    1: the same properties whatever the seed; 0: no more alike than by chance.
    """
    if params.algorithm == "agglomerative":
        return None
    count = len(clusters.centres) + clusters.empty
    others = [cluster(vectors, count, params.algorithm, params.seed + offset).members for offset in range(1, _SEEDS)]
    pairs = combinations([clusters.members, *others], 2)
    return float(np.mean([adjusted_rand_score(first, second) for first, second in pairs]))
