"""Draws a few photos, their labels laid over them, and a key to the colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from prolab_model.dataset_config import DatasetConfig, training_labels
from prolab_model.image_files import decode_image, decode_label
from tasks.index.samples import Sample
from tasks.pictures import add_colour_key, as_jpeg, key_inches, lay_over

_EXAMPLES = 5
_PANEL_INCHES = 3.2
_DPI = 110


def draw_examples(path: Path, root: Path, samples: Sequence[Sample], config: DatasetConfig) -> None:
    """Draw examples from all over the data set: photos above, labels laid over them below."""
    rows = np.linspace(0, len(samples) - 1, min(_EXAMPLES, len(samples)), dtype=int)
    chosen = [samples[row] for row in rows]
    shape = max(sample.height / sample.width for sample in chosen)
    size = (_PANEL_INCHES * len(chosen), 2 * _PANEL_INCHES * shape + key_inches(config.classes) + 0.3)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    panels = figure.subplots(2, len(chosen), squeeze=False)
    for sample, (above, below) in zip(chosen, panels.T, strict=True):
        image, label = _read(root, sample, config)
        above.imshow(image)
        above.set_title(sample.pair.image, fontsize=8, parse_math=False)
        below.imshow(lay_over(image, label, config.palette))
    for panel in panels.flat:
        panel.set_axis_off()
    add_colour_key(figure, config.classes, config.palette)
    path.write_bytes(as_jpeg(figure))


def _read(root: Path, sample: Sample, config: DatasetConfig) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The photo (H, W, 3) RGB and its training labels (H, W), small enough for a panel."""
    image = decode_image((root / sample.pair.image).read_bytes())
    label = training_labels(
        decode_label((root / sample.pair.label).read_bytes()),
        ignore_index=config.ignore_index,
        reduce_zero_label=config.reduce_zero_label,
    )
    scale = min(1.0, _PANEL_INCHES * _DPI * 1.5 / sample.width)
    size = (max(1, round(sample.width * scale)), max(1, round(sample.height * scale)))
    return (
        np.asarray(cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), size, interpolation=cv2.INTER_AREA), np.uint8),
        np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST), np.uint8),
    )
