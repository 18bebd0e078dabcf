"""Pascal Context: `trainval_merged.json` becomes label maps of 59 classes, 1 to 59, and 0 for the background."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from prolab_model.label_formats import AnnotationError
from prolab_model.label_formats.lookup import look_up

# fmt: off
CATEGORIES = (
    2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113, 115, 144, 158, 159,
    162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326, 347, 349, 354, 355, 360, 366, 368, 397,
    415, 416, 420, 424, 427, 440, 445, 454, 458,
)
# fmt: on
"""Which of the 459 categories are the 59 classes, in the classes' order."""

LABELS = {0: 0, **{category: number for number, category in enumerate(CATEGORIES, start=1)}}

_BITS_PER_CHARACTER = 5
_FIRST_CHARACTER = ord("0")


@dataclass(frozen=True)
class Region:
    """The pixels of one category in an image, as COCO's compressed run lengths."""

    category: int
    runs: str


@dataclass(frozen=True)
class AnnotatedImage:
    """One photo of `trainval_merged.json`; regions are painted in their order, later ones on top."""

    name: str
    split: str
    height: int
    width: int
    regions: tuple[Region, ...]


def read_annotations(path: Path) -> list[AnnotatedImage]:
    """Read `trainval_merged.json`.

    Raises:
        AnnotationError: the file has another structure.
    """
    try:
        content = json.loads(path.read_bytes())
        regions: dict[int, list[Region]] = {}
        for annotation in content["annos_segmentation"]:
            region = Region(annotation["category_id"], annotation["segmentation"]["counts"])
            regions.setdefault(annotation["image_id"], []).append(region)
        return [_image(image, regions.get(image["image_id"], ())) for image in content["images"]]
    except (ValueError, KeyError, TypeError) as error:
        raise AnnotationError(f"not the annotations of Pascal Context: {type(error).__name__}: {error}") from error


def _image(image: Mapping[str, Any], regions: Sequence[Region]) -> AnnotatedImage:
    name = PurePath(image["file_name"]).stem
    return AnnotatedImage(name, image["phase"], image["height"], image["width"], tuple(regions))


def paint(image: AnnotatedImage) -> npt.NDArray[np.uint8]:
    """The label map (H, W) of a photo.

    Raises:
        AnnotationError: a category is none of the 59, or a region does not fit the photo.
    """
    categories = np.zeros((image.height, image.width), np.int64)
    for region in image.regions:
        categories[decode_runs(region.runs, image.height, image.width)] = region.category
    return look_up(categories, LABELS)


def decode_runs(runs: str, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Decode COCO's compressed run lengths: a mask (H, W).

    Lengths of runs outside and inside take turns, down the columns. From the fourth on they are differences to the one
    before the last. A number is written in groups of five bits, the lowest first; a sixth bit says that more follow,
    and the highest bit of the last group is the sign's.

    Raises:
        AnnotationError: the runs do not fill the mask.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in runs.encode("ascii", "replace"):
        group = character - _FIRST_CHARACTER
        value |= (group & 0b11111) << shift
        shift += _BITS_PER_CHARACTER
        if group & 0b100000:
            continue
        if group & 0b10000:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift or min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise AnnotationError(f"the runs of a region do not fill {width}x{height} pixels")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T
