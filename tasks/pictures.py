"""What the stages' pictures have in common."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from prolab_model.dataset_config import IGNORED

Colour = tuple[int, int, int]

_LABEL_OPACITY = 0.6
_STRENGTH_OPACITY = 0.75
_KEY_COLUMNS = 8
_JPEG_QUALITY = 90


def lay_over(
    photo: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], palette: Sequence[Colour]
) -> npt.NDArray[np.uint8]:
    """Blend the classes' colours into a photo (H, W, 3) RGB; pixels that are left out stay as they are."""
    colours = np.zeros((IGNORED + 1, 3), np.uint8)
    colours[: len(palette)] = palette
    opacity = np.where(labels == IGNORED, 0.0, _LABEL_OPACITY)[..., None]
    return np.asarray(photo * (1 - opacity) + colours[labels] * opacity, np.uint8)


def lay_strength_over(photo: npt.NDArray[np.uint8], strength: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Strength (H, W) from 0 (dark) to 1 (yellow), with the shapes of a photo (H, W, 3) RGB shining through in grey."""
    colours = cv2.applyColorMap((strength * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None]
    colours = cv2.cvtColor(colours, cv2.COLOR_BGR2RGB)
    return np.asarray(grey * (1 - _STRENGTH_OPACITY) + colours * _STRENGTH_OPACITY, np.uint8)


def add_colour_key(figure: Figure, classes: Sequence[str], palette: Sequence[Colour]) -> None:
    """Put a key to the classes' colours below the panels of a figure with constrained layout."""
    key = [
        Patch(facecolor=(red / 255, green / 255, blue / 255), edgecolor="grey", label=name)
        for name, (red, green, blue) in zip(classes, palette, strict=True)
    ]
    columns = min(_KEY_COLUMNS, len(key))
    legend = figure.legend(handles=key, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)


def key_inches(classes: Sequence[str]) -> float:
    """Height that `add_colour_key` needs."""
    return 0.3 * -(-len(classes) // _KEY_COLUMNS) + 0.2


def as_jpeg(figure: Figure) -> bytes:
    """The file of a figure that is mostly photos: a quarter of the bytes of a PNG, and far sooner encoded."""
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", pil_kwargs={"quality": _JPEG_QUALITY})
    return file.getvalue()
