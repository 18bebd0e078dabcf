"""Photos are read back only as they were indexed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from blake3 import blake3

from prolab_model.data import LabelRules
from tasks.errors import InputError
from tasks.evaluate.photos import Photo

RULES = LabelRules(ignore_index=255, reduce_zero_label=True)


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    image, label = tmp_path / "image.png", tmp_path / "label.png"
    cv2.imwrite(str(image), np.full((2, 3, 3), (10, 20, 30), np.uint8))
    cv2.imwrite(str(label), np.array([[0, 1, 2], [255, 1, 1]], np.uint8))
    return Photo("image.png", image, _hash(image), label, _hash(label))


def _hash(path: Path) -> str:
    return blake3(path.read_bytes()).hexdigest()


def test_a_photo_is_rgb_and_its_labels_follow_the_rules(photo: Photo) -> None:
    image, labels = photo.read(RULES)
    assert image[0, 0].tolist() == [30, 20, 10]
    assert labels.tolist() == [[255, 0, 1], [255, 0, 0]]


@pytest.mark.parametrize("file", ["image.png", "label.png"])
def test_a_vanished_file_is_named(photo: Photo, tmp_path: Path, file: str) -> None:
    (tmp_path / file).unlink()
    with pytest.raises(InputError, match=rf"{file}: could be read when .* was indexed, and now: No such file"):
        photo.read(RULES)


@pytest.mark.parametrize("file", ["image.png", "label.png"])
def test_a_file_of_another_size_is_named(photo: Photo, tmp_path: Path, file: str) -> None:
    cv2.imwrite(str(tmp_path / file), np.zeros((4, 6), np.uint8))
    with pytest.raises(InputError, match=f"{file}: the file has changed since the data set was indexed"):
        photo.read(RULES)
