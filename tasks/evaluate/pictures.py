"""Draws examples, which are photo, labels, prediction and the map of a property; and the confusion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from tasks.dataset import Split
from tasks.evaluate.examples import Example
from tasks.pictures import add_colour_key, as_jpeg, key_inches, lay_over, lay_strength_over
from tasks.text import shorten

Picture = npt.NDArray[np.uint8]

_PANEL_WIDTH = 480  # pixels
_FIGURE_PANEL = 3.0  # inches
_DPI = 120
_CELL = 0.42  # inches
_LARGEST_CONFUSION = 14.0  # inches
_MOST_CLASSES_WITH_NUMBERS = 30
_LONGEST_TITLE, _LONGEST_NAME = 40, 24
_SMALLEST_SHARE_WRITTEN = 0.005
_STRONG = 0.65
_RIGHT, _WRONG = np.array([31, 111, 139]), np.array([180, 69, 47])


def panels(example: Example, palette: Sequence[tuple[int, int, int]]) -> tuple[Picture, Picture, Picture, Picture]:
    """Photo, labels, prediction and map of the telling property, each (h, w, 3) RGB and at most 480 wide."""
    height, width = example.image.shape[:2]
    factor = min(1.0, _PANEL_WIDTH / width)
    size = (round(width * factor), max(1, round(height * factor)))
    photo = _resize(example.image, size, cv2.INTER_AREA)
    return (
        photo,
        lay_over(photo, _resize(example.labels, size, cv2.INTER_NEAREST_EXACT), palette),
        lay_over(photo, _resize(example.prediction, size, cv2.INTER_NEAREST_EXACT), palette),
        lay_strength_over(photo, _resize(example.telling_strength, size, cv2.INTER_LINEAR)),
    )


def jpeg(picture: Picture) -> bytes:
    """The bytes of a JPEG file."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return encoded.tobytes()


def draw_overlays(path: Path, examples: Sequence[Example], split: Split, properties: Sequence[str]) -> None:
    """One row for each example, and a key to the colours."""
    rows = [panels(example, split.palette) for example in examples]
    shape = max(row[0].shape[0] / row[0].shape[1] for row in rows)
    size = (4 * _FIGURE_PANEL, len(rows) * (_FIGURE_PANEL * shape + 0.3) + key_inches(split.classes))
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    for example, row, axes in zip(examples, rows, figure.subplots(len(rows), 4, squeeze=False), strict=True):
        titles = (
            f"{example.rank}: mIoU {100 * example.scores.mean_iou:.1f} %",
            "labels",
            "prediction",
            shorten(properties[example.telling_property], _LONGEST_TITLE),
        )
        for panel, picture, title in zip(axes, row, titles, strict=True):
            panel.imshow(picture)
            panel.set_title(title, fontsize=9, parse_math=False)
            panel.set_axis_off()
    add_colour_key(figure, split.classes, split.palette)
    path.write_bytes(as_jpeg(figure))


def draw_confusion(path: Path, confusion: npt.NDArray[np.int64], classes: Sequence[str]) -> None:
    """What the pixels of each class (rows) are taken for (columns): the stronger the colour the more of them."""
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(min=1)
    full = np.where(np.eye(len(classes), dtype=bool)[..., None], _RIGHT, _WRONG)
    colours = 255 + shares[..., None] * (full - 255.0)
    side = min(_CELL * len(classes), _LARGEST_CONFUSION) + 2
    figure = Figure(figsize=(side, side), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.imshow(colours.astype(np.uint8))
    size = 9 if len(classes) <= _MOST_CLASSES_WITH_NUMBERS else 5
    names = [shorten(name, _LONGEST_NAME) for name in classes]
    axes.set_xticks(range(len(classes)), names, fontsize=size, rotation=90, parse_math=False)
    axes.set_yticks(range(len(classes)), names, fontsize=size, parse_math=False)
    axes.set(xlabel="prediction", ylabel="label")
    if len(classes) <= _MOST_CLASSES_WITH_NUMBERS:
        for row, column in zip(*(shares >= _SMALLEST_SHARE_WRITTEN).nonzero(), strict=True):
            colour = "white" if shares[row, column] > _STRONG else "black"
            text = f"{100 * shares[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    figure.savefig(path)


def _resize(picture: npt.NDArray[Any], size: tuple[int, int], interpolation: int) -> npt.NDArray[Any]:
    return cv2.resize(picture, size, interpolation=interpolation)
