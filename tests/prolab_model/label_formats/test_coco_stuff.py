from __future__ import annotations

import ast
import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from prolab_model.label_formats import AnnotationError
from prolab_model.label_formats.coco_stuff import TRAINING_IDS, from_pixel_map


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def test_training_ids_are_mmsegmentations() -> None:
    package = importlib.util.find_spec("mmseg")
    assert package is not None and package.origin is not None
    path = Path(package.origin).parent / ".mim/tools/convert_datasets/coco_stuff164k.py"
    table = next(node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Dict))

    assert ast.literal_eval(table) == TRAINING_IDS


def test_pixel_map_becomes_training_ids() -> None:
    labels = from_pixel_map(png(np.array([[0, 10, 12, 26], [89, 91, 181, 255]], np.uint8)))

    assert labels.dtype == np.uint8
    assert_array_equal(labels, [[0, 10, 11, 24], [79, 80, 170, 255]])


@pytest.mark.parametrize("value", [11, 90, 182, 254])
def test_ids_without_a_class_are_refused(value: int) -> None:
    with pytest.raises(AnnotationError, match=f"unknown label {value}$"):
        from_pixel_map(png(np.array([[0, value]], np.uint8)))
