from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from prolab_model.data import LabelRules, Sample, TrainingCrops, read_labels, training_pipeline
from prolab_model.image_files import ImageFileError

RULES = LabelRules(ignore_index=9, reduce_zero_label=False)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Three photos of 80 x 60: class 0 everywhere, class 1 in a corner of the second, class 2 in one of the third."""
    made = []
    for number in range(3):
        label = np.zeros((60, 80), np.uint8)
        label[:4, :4] = 9
        if number:
            label[50:52, 70:72] = number
        image = np.full((60, 80, 3), 40 * number, np.uint8)
        paths = tmp_path / f"{number}.png", tmp_path / f"{number}_label.png"
        cv2.imwrite(str(paths[0]), image)
        cv2.imwrite(str(paths[1]), label)
        made.append(Sample(*paths, frozenset({0, number}), RULES))
    return made


def make_crops(samples: list[Sample], class_balanced: float, seed: int = 0, length: int = 30) -> TrainingCrops:
    pipeline = training_pipeline((32, 32), (0.75, 1.5))
    return TrainingCrops(samples, length, seed, pipeline, class_balanced)


def crop(crops: TrainingCrops, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    item = crops[index]
    return item["img"].data, item["gt_semantic_seg"].data


def test_crop_is_decided_by_seed_and_number(samples: list[Sample]) -> None:
    first, again, other = (make_crops(samples, 0.5, seed) for seed in (0, 0, 1))
    for _ in range(2):  # in any order, as workers load them
        for index in (7, 3):
            assert torch.equal(crop(first, index)[0], crop(again, index)[0])
    assert any(not torch.equal(crop(first, index)[0], crop(other, index)[0]) for index in range(5))


def test_every_photo_comes_once_an_epoch(samples: list[Sample]) -> None:
    crops = make_crops(samples, class_balanced=0.0)
    names = [crops[index]["img_metas"].data["filename"] for index in range(6)]
    assert sorted(names[:3]) == sorted(names[3:]) == sorted(str(sample.image) for sample in samples)


def test_balanced_crops_hold_the_rare_classes(samples: list[Sample]) -> None:
    """Classes 1 and 2 are 4 of 4,800 pixels each; two thirds of the balanced crops are drawn around them."""
    crops = make_crops(samples, class_balanced=1.0)
    holding = [class_id for index in range(30) for class_id in (1, 2) if (crop(crops, index)[1] == class_id).any()]
    assert 12 <= len(holding) <= 28
    assert set(holding) == {1, 2}


def test_crops_are_normalised_and_padded(samples: list[Sample]) -> None:
    pipeline = training_pipeline((96, 96), (1.0, 1.0))
    image, label = crop(TrainingCrops(samples, 3, 0, pipeline, 0.0), 0)
    assert image.shape == (3, 96, 96)
    assert label.shape == (1, 96, 96)
    assert (label[:, 60:] == 255).all()
    assert not image[:, 60:].any()


def test_photos_are_fitted_into_the_base_size(samples: list[Sample]) -> None:
    """80 x 60 into 120 x 120 is 120 x 90: what is left of the crop is padding."""
    pipeline = training_pipeline((128, 128), (1.0, 1.0))
    fitted = [replace(sample, base_size=(120, 120)) for sample in samples]
    _, label = crop(TrainingCrops(fitted, 3, 0, pipeline, 0.0), 0)
    assert (label[0, 90:] == 255).all()
    assert (label[0, :, 120:] == 255).all()
    assert (label[0, 20:90, 20:120] != 255).all()


def test_label_rules_are_applied(samples: list[Sample]) -> None:
    labels = read_labels(samples[1].label, RULES)
    assert set(np.unique(labels)) == {0, 1, 255}


def test_unreadable_label_map_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ImageFileError, match=r"broken\.png: not a label map"):
        read_labels(tmp_path / "broken.png", RULES)
