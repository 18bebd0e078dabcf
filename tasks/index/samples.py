"""Reads one image and its label map: sizes, hashes, pixels of each class, and all that is wrong with them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from blake3 import blake3
from PIL import Image

from prolab_model.dataset_config import IGNORED, DatasetConfig, training_labels
from tasks.index.folders import Pair


class UnusableFileError(Exception):
    """A file of the data set cannot be used; the message names it."""


@dataclass(frozen=True)
class Sample:
    """What the index records of a pair of files; `counts` has the pixels of each class that occurs."""

    pair: Pair
    width: int
    height: int
    image_hash: str
    label_hash: str
    counts: Mapping[int, int]


def read_sample(root: Path, pair: Pair, config: DatasetConfig) -> tuple[Sample | None, list[str]]:
    """Read a pair of files once; returns the sample, or None and what is wrong with the files."""
    problems = []
    try:
        image_bytes = _read_bytes(root, pair.image)
        height, width = decode_image(image_bytes, pair.image).shape[:2]
    except UnusableFileError as error:
        problems.append(str(error))
    try:
        label_bytes = _read_bytes(root, pair.label)
        label = decode_label(label_bytes, pair.label)
        counts = _class_counts(label, pair.label, config)
    except UnusableFileError as error:
        problems.append(str(error))
    if problems:
        return None, problems
    if label.shape != (height, width):
        size = f"{label.shape[1]}x{label.shape[0]}"
        return None, [f"{pair.label}: the label map is {size} and its image {pair.image} is {width}x{height}"]
    return Sample(pair, width, height, _hash(image_bytes), _hash(label_bytes), counts), []


def _read_bytes(root: Path, path: str) -> bytes:
    try:
        content = (root / path).read_bytes()
    except OSError as error:
        raise UnusableFileError(f"{path}: the file cannot be read: {error.strerror}") from error
    if not content:
        raise UnusableFileError(f"{path}: the file is empty")
    return content


def _hash(content: bytes) -> str:
    return blake3(content).hexdigest()


def decode_image(content: bytes, path: str) -> npt.NDArray[np.uint8]:
    """Decode a photo as training does (OpenCV, turned as its EXIF says): (H, W, 3) BGR."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UnusableFileError(f"{path}: not an image that can be decoded ({len(content)} bytes)")
    return np.asarray(image, np.uint8)


def decode_label(content: bytes, path: str) -> npt.NDArray[np.integer[Any]]:
    """Decode a label map as training does (Pillow, so that a palette's indices are the labels): (H, W) integers."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode = image.mode
            label = np.asarray(image)
    # Pillow raises SyntaxError for a broken PNG.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnusableFileError(f"{path}: not a label map that can be decoded: {error}") from error
    if label.ndim != 2:
        raise UnusableFileError(
            f"{path}: expected one channel of class numbers, got {label.shape[2]} channels (mode {mode})"
        )
    if label.dtype == np.bool_:
        return label.astype(np.uint8)
    if not np.issubdtype(label.dtype, np.integer):
        raise UnusableFileError(f"{path}: expected whole numbers, got {label.dtype} (mode {mode})")
    return label


def _class_counts(label: npt.NDArray[np.integer[Any]], path: str, config: DatasetConfig) -> dict[int, int]:
    values, pixels = _histogram(label)
    first = int(config.reduce_zero_label)
    last = first + len(config.classes) - 1
    known = ((values >= 0) & (values <= last)) | (values == config.ignore_index)
    if not known.all():
        unknown = ", ".join(
            f"{value} ({count} pixels)" for value, count in zip(values[~known], pixels[~known], strict=True)
        )
        raise UnusableFileError(
            f"{path}: unknown label {unknown}; expected {first}..{last} for the {len(config.classes)} classes"
            f"{', 0' if config.reduce_zero_label else ''} or {config.ignore_index} (ignore_index)"
        )
    class_ids = training_labels(values, ignore_index=config.ignore_index, reduce_zero_label=config.reduce_zero_label)
    return {int(class_id): int(count) for class_id, count in zip(class_ids, pixels, strict=True) if class_id != IGNORED}


def _histogram(label: npt.NDArray[np.integer[Any]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The values that occur, in order, and how often each does."""
    if label.dtype.kind == "i":  # 32-bit files can hold values that are too large or negative for a table
        values, pixels = np.unique(label, return_counts=True)
        return values.astype(np.int64), pixels
    counts = np.bincount(label.ravel())
    values = np.flatnonzero(counts)
    return values, counts[values]
