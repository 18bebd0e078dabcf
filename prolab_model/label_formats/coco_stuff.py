"""COCO-Stuff-164k: the pixel maps of things and stuff, whose ids have gaps, become maps of 171 training ids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from prolab_model.dataset_config import IGNORED
from prolab_model.image_files import decode_label
from prolab_model.label_formats.lookup import look_up

WITHOUT_PIXELS = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
"""Ids of the classes of COCO that no photo shows (street sign, hat, shoe, …)."""

TRAINING_IDS = {
    **{value: number for number, value in enumerate(sorted(set(range(182)) - set(WITHOUT_PIXELS)))},
    IGNORED: IGNORED,
}


def from_pixel_map(content: bytes) -> npt.NDArray[np.uint8]:
    """Training ids (H, W) of a file of `stuffthingmaps_trainval2017.zip`.

    Raises:
        ImageFileError: the file is no label map.
        AnnotationError: a value is no id of a class.
    """
    return look_up(decode_label(content), TRAINING_IDS)
