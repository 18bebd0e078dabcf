"""The picture of the class matrix: which class has which property."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import pdist

_INCHES_A_CELL = 0.2
_LONGEST_NAME = 60
_ABSENT = "#f4f4f2"
_GRID = "white"
# From the property of one class alone to the property of very many.
_OWNERS = [
    (1, "one class", "#e3964a"),
    (2, "2 classes", "#9ecae1"),
    (3, "3 or 4", "#4a98c9"),
    (5, "5 or more", "#1b5a94"),
]


def draw_class_properties(
    path: Path, matrix: npt.NDArray[np.bool_], classes: Sequence[str], properties: Sequence[str]
) -> None:
    """Draw the class matrix (N, K) with a row for each property and a column for each class.

    Classes with like properties stand side by side, as do properties with like classes; the colour of a
    cell says how many classes share the property.
    """
    class_order = _similar_side_by_side(matrix)
    property_order = _along_diagonal(matrix[class_order])
    ordered = matrix[np.ix_(class_order, property_order)].T  # (K, N)
    owners = ordered.sum(axis=1)
    level = np.searchsorted([fewest for fewest, _, _ in _OWNERS], owners, side="right")  # (K,) 1 for one class
    cells = np.where(ordered, level[:, None], 0)

    rows, columns = ordered.shape
    figure = Figure(figsize=(5.2 + columns * _INCHES_A_CELL, 2.6 + rows * _INCHES_A_CELL), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = ListedColormap([_ABSENT, *(colour for _, _, colour in _OWNERS)])
    axes.pcolormesh(cells, cmap=colours, vmin=-0.5, vmax=len(_OWNERS) + 0.5, edgecolors=_GRID, linewidth=0.8)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_yticks(np.arange(rows) + 0.5, [_shortened(properties[k]) for k in property_order], fontsize=8)
    axes.set_xticks(np.arange(columns) + 0.5, [classes[n] for n in class_order], fontsize=8, rotation=90)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{columns} classes, {rows} properties", fontsize=12, loc="left", pad=12)
    handles = [axes.scatter([], [], marker="s", s=60, color=colour, label=label) for _, label, colour in _OWNERS]
    axes.legend(
        handles=handles, title="property of", ncols=len(handles), loc="upper left", bbox_to_anchor=(0, 0),
        frameon=False, fontsize=8, title_fontsize=8, alignment="left",
    )  # fmt: skip
    figure.savefig(path, dpi=110, facecolor="white", bbox_inches="tight", pad_inches=0.2)


def _similar_side_by_side(matrix: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Order of the rows by a tree of their cosine distances, its branches turned so that neighbours are alike."""
    if len(matrix) < 3:
        return np.arange(len(matrix))
    tree = linkage(pdist(matrix.astype(float), "cosine"), "average", optimal_ordering=True)
    return np.asarray(leaves_list(tree))


def _along_diagonal(matrix: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Order of the columns by the mean place of the rows that have them."""
    places = np.arange(len(matrix)) @ matrix / matrix.sum(axis=0)
    return np.argsort(places, kind="stable")


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1].rstrip() + "…"
