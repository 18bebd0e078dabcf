"""Reads a photo or a label map: its hash, its size, and how often each value occurs; all that is in it must decode."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import numpy as np
from blake3 import blake3

from prolab_model.image_files import count_values, decode_label, image_size


class Photo(TypedDict):
    """What the index records of a photo."""

    hash: str
    width: int
    height: int


class LabelMap(Photo):
    """What the index records of a label map; `pixels` has each value that occurs, and how often it does."""

    pixels: list[list[int]]


def read_photo(path: Path) -> Photo:
    """Decode a photo; raises ImageFileError or OSError when that cannot be done."""
    content = path.read_bytes()
    height, width = image_size(content)
    return Photo(hash=blake3(content).hexdigest(), width=width, height=height)


def read_label_map(path: Path) -> LabelMap:
    """Decode a label map and count its values; raises ImageFileError or OSError when that cannot be done."""
    content = path.read_bytes()
    label = decode_label(content)
    height, width = label.shape
    values, pixels = count_values(label)
    return LabelMap(
        hash=blake3(content).hexdigest(),
        width=width,
        height=height,
        pixels=np.stack([values, pixels], axis=1).tolist(),
    )
