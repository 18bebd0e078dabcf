from __future__ import annotations

import ast
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prolab_model.label_formats import AnnotationError
from prolab_model.label_formats.pascal_context import (
    CATEGORIES,
    AnnotatedImage,
    Region,
    decode_runs,
    paint,
    read_annotations,
)

# Encoded by pycocotools 2.0.11.
MASK = np.array(
    [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]], bool
)
RUNS = "0162M0:N"


def encode(mask: np.ndarray) -> str:
    """The inverse, from the same definition."""
    flat = np.concatenate([[False], mask.T.ravel()])
    lengths = np.diff(np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1], [True]])))
    lengths[0] -= 1
    text = ""
    for place, length in enumerate(lengths):
        number = int(length) - (int(lengths[place - 2]) if place > 2 else 0)
        while True:
            group, number = number & 31, number >> 5
            done = number == (-1 if group & 16 else 0)
            text += chr(48 + group + (0 if done else 32))
            if done:
                break
    return text


def test_categories_are_mmsegmentations() -> None:
    package = importlib.util.find_spec("mmseg")
    assert package is not None and package.origin is not None
    path = Path(package.origin).parent / ".mim/tools/convert_datasets/pascal_context.py"
    numbers = next(node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.List))

    assert [0, *CATEGORIES] == sorted(ast.literal_eval(numbers))


def test_runs_are_pycocotools() -> None:
    assert encode(MASK) == RUNS
    assert_array_equal(decode_runs(RUNS, 6, 5), MASK)


def test_masks_of_all_kinds_come_back() -> None:
    generator = np.random.default_rng(0)
    for density in np.linspace(0, 1, 60):
        mask = generator.random(generator.integers(1, 90, 2)) < density
        assert_array_equal(decode_runs(encode(mask), *mask.shape), mask)


@pytest.mark.parametrize("runs", ["0162M0:", "0162M0:NN", "0162M0:n", "", "01"])
def test_runs_that_do_not_fill_the_mask_are_refused(runs: str) -> None:
    with pytest.raises(AnnotationError, match="do not fill 5x6 pixels"):
        decode_runs(runs, 6, 5)


def test_later_regions_lie_on_top() -> None:
    whole, part = np.ones((4, 3), bool), np.zeros((4, 3), bool)
    part[1:3, 0] = True
    regions = (Region(2, encode(whole)), Region(458, encode(part)))

    expected = np.where(part, 59, 1)
    assert_array_equal(paint(AnnotatedImage("a", "train", 4, 3, regions)), expected)
    assert_array_equal(paint(AnnotatedImage("a", "train", 4, 3, ())), np.zeros((4, 3)))


def test_other_categories_are_refused() -> None:
    with pytest.raises(AnnotationError, match="unknown label 3"):
        paint(AnnotatedImage("a", "train", 4, 3, (Region(3, encode(np.ones((4, 3), bool))),)))


def test_annotations_are_read_by_photo(tmp_path: Path) -> None:
    photo = {"image_id": 2008_000002, "file_name": "2008_000002.jpg", "phase": "val", "height": 6, "width": 5}
    region = {"id": 1, "image_id": 2008_000002, "category_id": 9, "segmentation": {"counts": RUNS, "size": [6, 5]}}
    path = tmp_path / "trainval_merged.json"
    path.write_text(json.dumps({"images": [photo], "annos_segmentation": [region]}))

    assert read_annotations(path) == [AnnotatedImage("2008_000002", "val", 6, 5, (Region(9, RUNS),))]

    path.write_text(json.dumps({"images": [photo]}))
    with pytest.raises(AnnotationError, match="KeyError: 'annos_segmentation'"):
        read_annotations(path)
