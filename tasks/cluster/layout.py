"""Where classes, properties and phrases stand in the pictures, so that structure shows; the same in every run."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from tasks.cluster.phrases import Phrases

_Matrix = npt.NDArray[np.bool_]

_MOST_FOR_TSNE = 5000  # texts; beyond it takes minutes
_FEWEST_FOR_TSNE = 10
_PERPLEXITY = 30.0
_GOLDEN_ANGLE = 0.381966  # of a full turn: hues of neighbours lie far apart, however many there are


@dataclass(frozen=True)
class Layout:
    """N classes, K properties and M phrases.

    Attributes:
        class_order: classes with like properties side by side (N,): the leaves of the tree.
        property_order: properties by the mean place of their classes (K,).
        branches: the tree of the classes, by the cosine distance of their signatures: for each of its N - 1 forks the
            four corners (4, 2) of a bracket as (distance, place); the leaf at place p is the class `class_order[p]`.
        positions: places of the phrases on the map (M, 2), between 0 and 1; like phrases stand near each other.
        colours: of the properties, as "#rrggbb".
    """

    class_order: npt.NDArray[np.intp]
    property_order: npt.NDArray[np.intp]
    branches: list[npt.NDArray[np.float64]]
    positions: npt.NDArray[np.float64]
    colours: list[str]


def lay_out(matrix: _Matrix, phrases: Phrases) -> Layout:
    """Find the places for a class matrix (N, K) and its phrases."""
    class_order, branches = _tree(matrix)
    return Layout(
        class_order=class_order,
        property_order=_along_diagonal(matrix[class_order]),
        branches=branches,
        positions=phrase_map(phrases),
        colours=[_colour(property_id) for property_id in range(matrix.shape[1])],
    )


def phrase_map(phrases: Phrases) -> npt.NDArray[np.float64]:
    """Places of the phrases (M, 2) by t-SNE; by their principal components where these are very few or very many."""
    different, rows = np.unique(phrases.vectors, axis=0, return_inverse=True)
    with threadpool_limits(limits=1):
        if _FEWEST_FOR_TSNE <= len(different) <= _MOST_FOR_TSNE:
            perplexity = min(_PERPLEXITY, (len(different) - 1) / 3)
            places = TSNE(perplexity=perplexity, init="pca", random_state=0, n_jobs=1).fit_transform(different)
        else:
            padded = np.pad(different, ((0, max(0, 2 - len(different))), (0, max(0, 2 - different.shape[1]))))
            places = PCA(n_components=2, random_state=0).fit_transform(padded)
    low, extent = places.min(axis=0), np.ptp(places, axis=0)
    scaled: npt.NDArray[np.float64] = ((places - low) / np.where(extent > 0, extent, 1)).astype(np.float64)
    return scaled[rows.ravel()]


def _tree(matrix: _Matrix) -> tuple[npt.NDArray[np.intp], list[npt.NDArray[np.float64]]]:
    """Order of the leaves and brackets of the tree, its branches turned so that neighbours are alike."""
    if len(matrix) < 2:
        return np.arange(len(matrix)), []
    tree = linkage(pdist(matrix.astype(float), "cosine"), "average", optimal_ordering=True)
    drawn = dendrogram(tree, no_plot=True)
    # SciPy puts the leaves at 5, 15, 25, ...
    places = (np.array(drawn["icoord"]) - 5) / 10
    return np.array(drawn["leaves"]), list(np.stack([np.array(drawn["dcoord"]), places], axis=-1))


def _along_diagonal(matrix: _Matrix) -> npt.NDArray[np.intp]:
    """Order of the columns by the mean place of the rows that have them."""
    places = np.arange(len(matrix)) @ matrix / matrix.sum(axis=0)
    return np.argsort(places, kind="stable")


def _colour(property_id: int) -> str:
    # Three shades, so that properties whose hues come near each other still differ.
    lightness = (0.55, 0.45, 0.65)[property_id % 3]
    channels = colorsys.hls_to_rgb(property_id * _GOLDEN_ANGLE % 1, lightness, 0.6)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)
