"""Reads one image and its label map: sizes, hashes, pixels of each class, and all that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from prolab_model.dataset_config import IGNORED, DatasetConfig, training_labels
from prolab_model.image_files import ImageFileError, decode_image, decode_label
from tasks.index.folders import Pair

_UNKNOWN_SHOWN = 5


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
        image_bytes = (root / pair.image).read_bytes()
        height, width = decode_image(image_bytes).shape[:2]
    except (ImageFileError, OSError) as error:
        problems.append(f"{pair.image}: {error}")
    try:
        label_bytes = (root / pair.label).read_bytes()
        label = decode_label(label_bytes)
        counts = _class_counts(label, config)
    except (ImageFileError, _UnknownLabelError, OSError) as error:
        problems.append(f"{pair.label}: {error}")
    if problems:
        return None, problems
    if label.shape != (height, width):
        size = f"{label.shape[1]}x{label.shape[0]}"
        return None, [f"{pair.label}: the label map is {size} and its image {pair.image} is {width}x{height}"]
    return Sample(pair, width, height, _hash(image_bytes), _hash(label_bytes), counts), []


def _hash(content: bytes) -> str:
    return blake3(content).hexdigest()


class _UnknownLabelError(ValueError):
    """A label map holds values that the configuration does not explain."""


def _class_counts(label: npt.NDArray[np.integer[Any]], config: DatasetConfig) -> dict[int, int]:
    values, pixels = _histogram(label)
    first = int(config.reduce_zero_label)
    last = first + len(config.classes) - 1
    known = ((values >= 0) & (values <= last)) | (values == config.ignore_index)
    if not known.all():
        unknown = [f"{value} ({count} pixels)" for value, count in zip(values[~known], pixels[~known], strict=True)]
        raise _UnknownLabelError(
            f"unknown label {', '.join(unknown[:_UNKNOWN_SHOWN])}{', …' if len(unknown) > _UNKNOWN_SHOWN else ''}; "
            f"expected {first}..{last} for the {len(config.classes)} classes"
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
