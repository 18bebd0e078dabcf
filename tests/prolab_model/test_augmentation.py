"""Our steps of the training pipeline against mmsegmentation's own, from the same random state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from prolab_model import openmmlab  # noqa: F401  # makes mmseg importable without mmcv's compiled operators
from prolab_model.augmentation import ClassCrop, DistortColours, FlipCrop, FormatCrop, ScaleBaseSize
from prolab_model.data import IMAGE_MEAN, IMAGE_STD

# isort: split
from mmseg.datasets.pipelines import Normalize, Pad, PhotoMetricDistortion, RandomCrop, RandomFlip, Resize
from mmseg.datasets.pipelines.formatting import DefaultFormatBundle

Results = dict[str, Any]
Steps = list[Callable[[Results], Results]]
SEEDS = range(24)


@pytest.fixture(scope="module", params=["noise", "camvid"])
def photo(request: pytest.FixtureRequest) -> Results:
    """A photo (H, W, 3) and its labels (H, W)."""
    if request.param == "noise":
        generator = np.random.default_rng(0)
        image = generator.integers(0, 256, (90, 120, 3)).astype(np.uint8)
        label = generator.choice([0, 1, 2, 255], (90, 120), p=[0.8, 0.1, 0.05, 0.05]).astype(np.uint8)
    else:
        folder: Path = request.getfixturevalue("shared_data") / "camvid"
        path = min((folder / "images/train").iterdir())
        image = cv2.imread(str(path))
        label = cv2.imread(str(folder / "labels/train" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        label[label == 11] = 255
    return {"img": image, "gt_semantic_seg": label}


def run(steps: Steps, photo: Results, seed: int, **more: Any) -> Results:
    np.random.seed(seed)
    results = {"seg_fields": ["gt_semantic_seg"], "wanted_class": None, "base_size": None, **photo, **more}
    for step in steps:
        results = step(results)
    results["next"] = np.random.rand()
    return results


def assert_equal(ours: Results, theirs: Results) -> None:
    """The same pixels, and as many random numbers drawn."""
    np.testing.assert_array_equal(ours["img"], theirs["img"])
    np.testing.assert_array_equal(ours["gt_semantic_seg"], theirs["gt_semantic_seg"])
    assert ours["next"] == theirs["next"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ScaleBaseSize((0.5, 2.0)), Resize(img_scale=(300, 120), ratio_range=(0.5, 2.0))),
        (ClassCrop((64, 48), cat_max_ratio=0.75), RandomCrop((64, 48), cat_max_ratio=0.75)),
        (ClassCrop((64, 48)), RandomCrop((64, 48))),
        (ClassCrop((400, 500), cat_max_ratio=0.75), RandomCrop((400, 500), cat_max_ratio=0.75)),
        (FlipCrop(prob=0.5), RandomFlip(prob=0.5)),
        (DistortColours(), PhotoMetricDistortion()),
    ],
    ids=["scale", "crop", "any_crop", "large_crop", "flip", "colours"],
)
def test_step_does_what_mmsegmentations_does(photo: Results, ours: Any, theirs: Any) -> None:
    for seed in SEEDS:
        assert_equal(run([ours], photo, seed, base_size=(300, 120)), run([theirs], photo, seed))


@pytest.mark.parametrize("crop_size", [(64, 64), (96, 400), (500, 512)])
def test_whole_pipeline_does_what_mmsegmentations_does(photo: Results, crop_size: tuple[int, int]) -> None:
    ours = [
        ScaleBaseSize((0.5, 2.0)),
        ClassCrop(crop_size, cat_max_ratio=0.75),
        FlipCrop(prob=0.5),
        DistortColours(),
        FormatCrop(crop_size, IMAGE_MEAN, IMAGE_STD),
    ]
    theirs = [
        Resize(img_scale=(300, 120), ratio_range=(0.5, 2.0)),
        RandomCrop(crop_size, cat_max_ratio=0.75),
        RandomFlip(prob=0.5),
        PhotoMetricDistortion(),
        Normalize(IMAGE_MEAN, IMAGE_STD, to_rgb=True),
        Pad(size=crop_size, pad_val=0, seg_pad_val=255),
        DefaultFormatBundle(),
    ]
    for seed in SEEDS:
        ours_made, theirs_made = (run(steps, photo, seed, base_size=(300, 120)) for steps in (ours, theirs))
        for key in ("img", "gt_semantic_seg"):
            theirs_made[key] = theirs_made[key].data
        assert ours_made["img"].dtype == torch.float32
        assert ours_made["gt_semantic_seg"].dtype == torch.uint8
        assert_equal(ours_made, theirs_made)


def test_photo_itself_is_left_as_it_is(photo: Results) -> None:
    before = {key: value.copy() for key, value in photo.items()}
    steps = [FlipCrop(prob=0.5), DistortColours(), FormatCrop((128, 128), IMAGE_MEAN, IMAGE_STD)]
    for seed in SEEDS:
        small = {key: value[:90, :120] for key, value in photo.items()}
        run(steps, small, seed)
        for key, value in before.items():
            np.testing.assert_array_equal(photo[key], value)


def test_wanted_class_is_in_the_crop(photo: Results) -> None:
    wanted = int(np.argmin(np.bincount(photo["gt_semantic_seg"].ravel(), minlength=256)[:3]))
    crops = [run([ClassCrop((32, 48), cat_max_ratio=0.75)], photo, seed, wanted_class=wanted) for seed in SEEDS]
    assert all((crop["gt_semantic_seg"] == wanted).any() for crop in crops)
    assert len({crop["img"].tobytes() for crop in crops}) > len(SEEDS) // 2


def test_class_that_scaling_has_lost_is_not_looked_for(photo: Results) -> None:
    step = ClassCrop((32, 48), cat_max_ratio=0.75)
    assert_equal(run([step], photo, 0, wanted_class=77), run([step], photo, 0, wanted_class=None))
