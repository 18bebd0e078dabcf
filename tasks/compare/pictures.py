"""Draws the differences of the classes with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tasks.compare.comparison import ClassDifference
from tasks.text import shorten

_GAIN, _LOSS, _CHANCE = "#2c7a4b", "#b4452f", "#8a93a0"
_WIDTH, _ROW = 4.4, 0.24  # inches
_DPI = 120
_LONGEST_NAME = 24


def draw_differences(path: Path, classes: Sequence[ClassDifference]) -> None:
    """B - A in IoU of every class with its interval, from the largest gain to the largest loss."""
    known = sorted((item for item in classes if not np.isnan(item.iou.value)), key=lambda item: item.iou.value)
    figure = Figure(figsize=(_WIDTH, _ROW * len(known) + 1), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    for row, item in enumerate(known):
        colour = _CHANCE if not item.iou.distinguishable else _GAIN if item.iou.value > 0 else _LOSS
        axes.plot([100 * item.iou.low, 100 * item.iou.high], [row, row], color=colour, linewidth=2, alpha=0.6)
        axes.plot(100 * item.iou.value, row, "o", color=colour, markersize=5)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(
        range(len(known)), [shorten(item.name, _LONGEST_NAME) for item in known], fontsize=9, parse_math=False
    )
    axes.set_ylim(-0.7, len(known) - 0.3)
    axes.set_xlabel("IoU, B \N{MINUS SIGN} A in points; grey: not distinguishable from chance", fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(path)
