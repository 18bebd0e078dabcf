"""The pictures of a label space for the dashboard; `report.html` draws the same ones so that they can be searched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from tasks.cluster.choice import Choice
from tasks.cluster.layout import Layout
from tasks.text import shorten

MATRIX = "class_properties.png"
MAP = "phrases.png"
TREE = "class_tree.png"
CURVE = "choice.png"

_INCHES_A_CELL = 0.2
_LONGEST_NAME = 60
_ABSENT = "#f4f4f2"
_GRID = "white"
_LINE = "#667080"
_ACCENT = "#1f6f8b"
# From the property of one class alone to the property of very many; the page's colours are in `report.css`.
OWNERS = [
    (1, "one class", "#e3964a"),
    (2, "2 classes", "#9ecae1"),
    (3, "3 or 4", "#4a98c9"),
    (5, "5 or more", "#1b5a94"),
]


def draw_pictures(
    folder: Path,
    matrix: npt.NDArray[np.bool_],
    classes: Sequence[str],
    properties: Sequence[str],
    members: npt.NDArray[np.intp],
    layout: Layout,
    choice: Choice | None,
) -> None:
    """Draw class matrix (N, K), map of phrases, tree of classes and, where there was a choice, its curve.

    `members` is the property of each phrase (M,).
    """
    _draw_class_properties(folder / MATRIX, matrix, classes, properties, layout)
    _draw_phrases(folder / MAP, members, layout)
    _draw_tree(folder / TREE, classes, layout)
    if choice is not None:
        _draw_choice(folder / CURVE, choice)


def level(owners: int) -> int:
    """How widely a property is shared, as a place in `OWNERS` counted from 1."""
    return int(np.searchsorted([fewest for fewest, _, _ in OWNERS], owners, side="right"))


def _draw_class_properties(
    path: Path, matrix: npt.NDArray[np.bool_], classes: Sequence[str], properties: Sequence[str], layout: Layout
) -> None:
    """A row for each property and a column for each class; the colour says how many classes share the property."""
    ordered = matrix[np.ix_(layout.class_order, layout.property_order)].T  # (K, N)
    levels = np.array([level(owners) for owners in ordered.sum(axis=1)])
    cells = np.where(ordered, levels[:, None], 0)

    rows, columns = ordered.shape
    figure = _figure(5.2 + columns * _INCHES_A_CELL, 2.6 + rows * _INCHES_A_CELL)
    axes = figure.add_subplot()
    colours = ListedColormap([_ABSENT, *(colour for _, _, colour in OWNERS)])
    axes.pcolormesh(cells, cmap=colours, vmin=-0.5, vmax=len(OWNERS) + 0.5, edgecolors=_GRID, linewidth=0.8)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_yticks(
        np.arange(rows) + 0.5, [shorten(properties[k], _LONGEST_NAME) for k in layout.property_order], fontsize=8
    )
    axes.set_xticks(np.arange(columns) + 0.5, [classes[n] for n in layout.class_order], fontsize=8, rotation=90)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{columns} classes, {rows} properties", fontsize=12, loc="left", pad=12)
    handles = [axes.scatter([], [], marker="s", s=60, color=colour, label=label) for _, label, colour in OWNERS]
    axes.legend(
        handles=handles, title="property of", ncols=len(handles), loc="upper left", bbox_to_anchor=(0, 0),
        frameon=False, fontsize=8, title_fontsize=8, alignment="left",
    )  # fmt: skip
    _save(figure, path)


def _draw_phrases(path: Path, members: npt.NDArray[np.intp], layout: Layout) -> None:
    figure = _figure(8, 8)
    axes = figure.add_subplot()
    axes.scatter(
        layout.positions[:, 0], layout.positions[:, 1], s=14, c=[layout.colours[k] for k in members], linewidths=0
    )
    axes.set_axis_off()
    axes.set_title(f"{len(members)} descriptions, coloured by property", fontsize=12, loc="left")
    _save(figure, path)


def _draw_tree(path: Path, classes: Sequence[str], layout: Layout) -> None:
    figure = _figure(8, 1.2 + len(classes) * _INCHES_A_CELL)
    axes = figure.add_subplot()
    axes.add_collection(LineCollection(layout.branches, colors=_LINE, linewidths=1))
    axes.set_xlim(1.02, 0)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_yticks(range(len(classes)), [classes[n] for n in layout.class_order], fontsize=8)
    axes.yaxis.tick_right()
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.set_xlabel("cosine distance of the classes' properties", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    _save(figure, path)


def _draw_choice(path: Path, choice: Choice) -> None:
    figure = _figure(7, 3.6)
    axes = figure.add_subplot()
    axes.plot(choice.candidates, choice.held_out, "o-", color=_ACCENT, markersize=4)
    axes.axvline(choice.chosen, color=_LINE, linewidth=1, linestyle=":")
    axes.set_xlabel("properties")
    axes.set_ylabel("squared distance, unseen classes")
    axes.spines[["right", "top"]].set_visible(False)
    axes.set_title(f"{choice.chosen} properties suit unseen classes best", fontsize=12, loc="left")
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    for text in figure.findobj(match=lambda artist: hasattr(artist, "set_parse_math")):
        text.set_parse_math(False)  # type: ignore[attr-defined]  # a dollar in a name is a dollar
    figure.savefig(path, dpi=110, facecolor="white", bbox_inches="tight", pad_inches=0.2)
