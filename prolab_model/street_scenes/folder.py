"""Writes the drawn data set as an ordinary folder of images and label maps."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from prolab_model.street_scenes.scene import draw_scene

VERSION = 1
"""To be raised when the same seed gives other pixels."""

SPLITS: Mapping[str, range] = {"train": range(96), "val": range(1000, 1024)}
"""The seeds of each split's scenes."""

SIZE = (256, 192)
_MARKER = "street_scenes.json"

_log = logging.getLogger(__name__)


def draw_street_scenes(root: Path) -> None:
    """Draw the data set into `root`, or return at once where `root` holds it already.

    The folder appears as a whole or not at all. An older version of the drawn data set is replaced.

    Raises:
        FileExistsError: `root` holds something else.
    """
    if _holds(root, VERSION):
        return
    if root.exists() and not (root / _MARKER).is_file() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty and is no data set of drawn street scenes; choose another root")
    _log.info("drawing street scenes into %s", root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-", ignore_cleanup_errors=True) as temporary:
        drawn, replaced = Path(temporary, "drawn"), Path(temporary, "replaced")
        _draw(drawn)
        if root.exists():
            root.replace(replaced)
        try:
            drawn.replace(root)
        except OSError:
            # Another process was quicker, which is as good.
            if not _holds(root, VERSION):
                raise


def _holds(root: Path, version: int) -> bool:
    marker = root / _MARKER
    return marker.is_file() and json.loads(marker.read_text(encoding="utf-8"))["version"] == version


def _draw(root: Path) -> None:
    for split, seeds in SPLITS.items():
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number, seed in enumerate(seeds):
            image, label = draw_scene(seed, SIZE)
            _write_png(images / f"{number:04}.png", np.ascontiguousarray(image[..., ::-1]))  # OpenCV writes BGR
            _write_png(labels / f"{number:04}.png", label)
    marker = {"version": VERSION, "drawn_by": "prolab_model.street_scenes"}
    (root / _MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")


def _write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    _, encoded = cv2.imencode(".png", pixels)
    path.write_bytes(encoded.tobytes())
