from __future__ import annotations

import io
import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from prolab_model.dataset_config import read_dataset_config
from prolab_model.image_files import ImageFileError
from prolab_model.label_formats import AnnotationError
from prolab_model.label_formats.cityscapes import EVALUATED, LABELS, TRAINING_IDS, from_label_ids, from_polygons
from tests.conftest import REPOSITORY


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def polygons(*objects: dict, width: int = 8, height: int = 4) -> bytes:
    return json.dumps({"imgWidth": width, "imgHeight": height, "objects": objects}).encode()


def box(label: str, left: int, top: int, right: int, bottom: int, **more: object) -> dict:
    return {"label": label, "polygon": [[left, top], [right, top], [right, bottom], [left, bottom]], **more}


def test_training_ids_are_the_classes_of_the_configuration() -> None:
    classes = read_dataset_config(REPOSITORY / "configs/datasets/cityscapes.py").classes

    assert tuple(LABELS[label_id] for label_id in EVALUATED) == classes
    assert sorted(TRAINING_IDS) == list(range(34))
    assert [TRAINING_IDS[label_id] for label_id in (0, 6, 9, 18, 29)] == [255] * 5


def test_label_ids_become_training_ids() -> None:
    labels = from_label_ids(png(np.arange(34, dtype=np.uint8).reshape(2, 17)))

    assert labels.dtype == np.uint8
    left_out = [255] * 7
    first = [*left_out, 0, 1, 255, 255, 2, 3, 4, 255, 255, 255]
    assert_array_equal(labels, [first, [5, 255, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255, 255, 16, 17, 18]])


def test_polygons_are_filled_with_their_border_and_later_ones_lie_on_top() -> None:
    content = polygons(
        box("road", 0, 2, 7, 3),
        box("cargroup", 2, 1, 4, 2),
        box("license plate", 3, 2, 3, 2),
        box("sky", 0, 0, 7, 3, deleted=1),
        box("terrain", 6, -5, 20, 0),
    )

    expected = np.full((4, 8), 255)
    expected[2:4] = 0
    expected[1:3, 2:5] = 13
    expected[0, 6:] = 9
    assert_array_equal(from_polygons(content), expected)


def test_both_annotations_give_the_same() -> None:
    """As the data set's own tools draw label ids."""
    content = polygons(box("building", 0, 0, 5, 2), box("train", 1, 1, 3, 3), box("static", 0, 3, 7, 3))
    ids = np.zeros((4, 8), np.uint8)
    ids[0:3, 0:6] = 11
    ids[1:4, 1:4] = 31
    ids[3] = 4

    assert_array_equal(from_polygons(content), from_label_ids(png(ids)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (polygons(box("unicorn", 0, 0, 1, 1)), "unknown label 'unicorn'"),
        (polygons(box("unicorngroup", 0, 0, 1, 1)), "unknown label 'unicorngroup'"),
        (b"{", "not Cityscapes polygons: JSONDecodeError"),
        (b'{"imgWidth": 4}', "not Cityscapes polygons: KeyError"),
        (b"[]", "not Cityscapes polygons: TypeError"),
    ],
)
def test_other_polygons_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        from_polygons(content)


def test_other_label_ids_are_refused() -> None:
    with pytest.raises(AnnotationError, match="unknown label 34, 200"):
        from_label_ids(png(np.array([[7, 34, 200]], np.uint8)))
    with pytest.raises(ImageFileError):
        from_label_ids(png(np.zeros((2, 2, 3), np.uint8)))
