"""Cityscapes: polygons with the names of 35 labels, or maps of the labels' ids, become maps of 19 training ids."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from prolab_model.dataset_config import IGNORED
from prolab_model.image_files import decode_label
from prolab_model.label_formats import AnnotationError
from prolab_model.label_formats.lookup import look_up

LABELS = (
    "unlabeled",
    "ego vehicle",
    "rectification border",
    "out of roi",
    "static",
    "dynamic",
    "ground",
    "road",
    "sidewalk",
    "parking",
    "rail track",
    "building",
    "wall",
    "fence",
    "guard rail",
    "bridge",
    "tunnel",
    "pole",
    "polegroup",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "caravan",
    "trailer",
    "train",
    "motorcycle",
    "bicycle",
)
"""Name of each label id, from 0 on."""

EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Label ids in the order of their training ids, 0 to 18; all others are left out."""

TRAINING_IDS = {label_id: EVALUATED.index(label_id) if label_id in EVALUATED else IGNORED for label_id in range(34)}

_NOT_DRAWN = "license plate"  # has no label id: what lies below it stays
_GROUP = "group"  # ends the name of several objects that were not told apart


def from_label_ids(content: bytes) -> npt.NDArray[np.uint8]:
    """Training ids (H, W) of a file `*_gtFine_labelIds.png`.

    Raises:
        ImageFileError: the file is no label map.
        AnnotationError: a value is no label id.
    """
    return look_up(decode_label(content), TRAINING_IDS)


def from_polygons(content: bytes) -> npt.NDArray[np.uint8]:
    """Training ids (H, W) of a file `*_gtFine_polygons.json`: polygons are filled in their order, later ones on top.

    Raises:
        AnnotationError: the file has another structure, or a polygon's label is not known.
    """
    try:
        annotation = json.loads(content)
        canvas = Image.new("L", (int(annotation["imgWidth"]), int(annotation["imgHeight"])), IGNORED)
        draw = ImageDraw.Draw(canvas)
        for drawn in annotation["objects"]:
            if drawn.get("deleted"):
                continue
            name = drawn["label"]
            if (training_id := _training_id(name)) is not None:
                draw.polygon([(x, y) for x, y in drawn["polygon"]], fill=training_id)
    except AnnotationError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(f"not Cityscapes polygons: {type(error).__name__}: {error}") from error
    return np.asarray(canvas, np.uint8)


def _training_id(name: Any) -> int | None:
    """Training id of a label's name, or None where the polygon is not drawn."""
    known = name if name in (*LABELS, _NOT_DRAWN) else str(name).removesuffix(_GROUP)
    if known == _NOT_DRAWN:
        return None
    if known not in LABELS:
        raise AnnotationError(f"unknown label {name!r}")
    return TRAINING_IDS[LABELS.index(known)]
