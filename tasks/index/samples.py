"""What the index records of an image and its label map, and all that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artifacts import FileMemory
from prolab_model.dataset_config import IGNORED, DatasetConfig, training_labels
from prolab_model.image_files import ImageFileError
from tasks.index.contents import LabelMap, Photo
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


def read_sample(
    pair: Pair, *, root: Path, config: DatasetConfig, photos: FileMemory[Photo], label_maps: FileMemory[LabelMap]
) -> tuple[Sample | None, list[str]]:
    """Read a pair of files unless they are known; returns the sample, or None and what is wrong with the files."""
    problems = []
    try:
        photo = photos.recall(root / pair.image)
    except (ImageFileError, OSError) as error:
        problems.append(f"{pair.image}: {error}")
    try:
        label_map = label_maps.recall(root / pair.label)
        counts = _class_counts(label_map["pixels"], config)
    except (ImageFileError, _UnknownLabelError, OSError) as error:
        problems.append(f"{pair.label}: {error}")
    if problems:
        return None, problems
    width, height = photo["width"], photo["height"]
    if (label_map["width"], label_map["height"]) != (width, height):
        size = f"{label_map['width']}x{label_map['height']}"
        return None, [f"{pair.label}: the label map is {size} and its image {pair.image} is {width}x{height}"]
    return Sample(pair, width, height, photo["hash"], label_map["hash"], counts), []


class _UnknownLabelError(ValueError):
    """A label map holds values that the configuration does not explain."""


def _class_counts(value_pixels: Sequence[Sequence[int]], config: DatasetConfig) -> dict[int, int]:
    values, pixels = np.array(value_pixels, np.int64).T
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
