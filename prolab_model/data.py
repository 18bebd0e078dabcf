"""Training crops: which photo, which crop and which distortion is decided by a sample's number alone.

A run that goes on after a kill therefore sees the very crops it would have seen, however many
workers load them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, default_collate

from prolab_model.augmentation import ClassCrop, DistortColours, FlipCrop, FormatCrop, ScaleBaseSize
from prolab_model.dataset_config import training_labels
from prolab_model.image_files import ImageFileError, decode_image, decode_label
from prolab_model.openmmlab import Compose

IMAGE_MEAN = (123.675, 116.28, 103.53)
IMAGE_STD = (58.395, 57.12, 57.375)
"""ImageNet's mean and standard deviation, RGB, 0 to 255."""


@dataclass(frozen=True)
class LabelRules:
    """How the values in label files become class ids (see `training_labels`)."""

    ignore_index: int
    reduce_zero_label: bool


@dataclass(frozen=True)
class Sample:
    """One photo of a data set.

    Attributes:
        image: the photo's file.
        label: its label map's file.
        classes: ids of the classes that occur in it.
        rules: how its label file is read.
        base_size: (long, short) sides that it is fitted into where its factor is 1; its own size if not given.
        first_class: what is added to its class ids where a network learns the classes of several data sets.
    """

    image: Path
    label: Path
    classes: frozenset[int]
    rules: LabelRules
    base_size: tuple[int, int] | None = None
    first_class: int = 0


def read_labels(path: Path, rules: LabelRules) -> npt.NDArray[np.uint8]:
    """Class ids (H, W) of a label file.

    Raises:
        ImageFileError: when the file is gone or is no label map.
    """
    try:
        values = decode_label(path.read_bytes())
    except (OSError, ImageFileError) as error:
        raise ImageFileError(f"{path}: {error}") from error
    if values.dtype == np.uint8:
        return np.asarray(cv2.LUT(values, _class_ids(rules)), np.uint8)
    return training_labels(values, ignore_index=rules.ignore_index, reduce_zero_label=rules.reduce_zero_label)


@cache
def _class_ids(rules: LabelRules) -> npt.NDArray[np.uint8]:
    """Class id of each value of 8 bits (256,): looking them up takes a tenth of the time."""
    values = np.arange(256, dtype=np.uint8)
    return training_labels(values, ignore_index=rules.ignore_index, reduce_zero_label=rules.reduce_zero_label)


def read_photo(path: Path) -> npt.NDArray[np.uint8]:
    """A photo (H, W, 3) BGR.

    Raises:
        ImageFileError: when the file is gone or is no image.
    """
    try:
        return decode_image(path.read_bytes())
    except (OSError, ImageFileError) as error:
        raise ImageFileError(f"{path}: {error}") from error


class LoadSample:
    """Reads the photo and the label map of `results["sample"]`."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds what mmsegmentation's loaders would."""
        sample: Sample = results["sample"]
        image = read_photo(sample.image)
        return results | {
            "filename": str(sample.image),
            "first_class": sample.first_class,
            "base_size": sample.base_size,
            "img": image,
            "img_shape": image.shape,
            "gt_semantic_seg": read_labels(sample.label, sample.rules),
            "seg_fields": ["gt_semantic_seg"],
        }


class TrainingCrops(Dataset[Mapping[str, Any]]):
    """Augmented crops, numbered from 0; crop i is a function of the seed and i.

    Args:
        samples: the training photos, of one data set or several.
        length: number of crops in the whole run.
        seed: decides everything that is random.
        pipeline: mmsegmentation's transforms.
        class_balanced: share of the crops that are drawn around a class, every class that occurs equally often.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        length: int,
        seed: int,
        pipeline: Sequence[Mapping[str, Any]],
        class_balanced: float,
    ) -> None:
        self.samples = list(samples)
        self.length = length
        self.seed = seed
        self.class_balanced = class_balanced
        self.transforms = Compose([dict(step) for step in pipeline])
        self.samples_of_class: dict[int, list[int]] = {}
        for number, sample in enumerate(self.samples):
            for class_id in sample.classes:
                self.samples_of_class.setdefault(sample.first_class + class_id, []).append(number)
        self.class_ids = sorted(self.samples_of_class)
        self._last_order: tuple[int, npt.NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        """Crop number `index`, formatted by the pipeline."""
        generator = np.random.default_rng((self.seed, index))
        number, wanted_class = self._choose(index, generator)
        # mmsegmentation's transforms draw from the global generators.
        state = int(generator.integers(2**32))
        np.random.seed(state)
        random.seed(state)
        crop: Mapping[str, Any] = self.transforms({"sample": self.samples[number], "wanted_class": wanted_class})
        return crop

    def _choose(self, index: int, generator: np.random.Generator) -> tuple[int, int | None]:
        """Sample number, and the class to crop around, by its id in the sample's data set."""
        if generator.random() < self.class_balanced:
            class_id = self.class_ids[generator.integers(len(self.class_ids))]
            candidates = self.samples_of_class[class_id]
            number = candidates[generator.integers(len(candidates))]
            return number, class_id - self.samples[number].first_class
        epoch, position = divmod(index, len(self.samples))
        return int(self._order(epoch)[position]), None

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The samples' numbers as they come in an epoch; crops follow each other, so the last order is kept."""
        if self._last_order is None or self._last_order[0] != epoch:
            generator = np.random.default_rng((self.seed, -1 % 2**32, epoch))
            self._last_order = epoch, generator.permutation(len(self.samples))
        return self._last_order[1]


def collate_crops(crops: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A batch of formatted crops: "img" (B, 3, H, W), "gt_semantic_seg" (B, 1, H, W) of uint8, "img_metas", a list."""
    return {
        # Unlike `torch.stack`, a worker writes this where the process that asks can read it.
        "img": default_collate([crop["img"] for crop in crops]),
        "gt_semantic_seg": default_collate([crop["gt_semantic_seg"] for crop in crops]),
        "img_metas": [crop["img_metas"].data for crop in crops],
    }


def training_pipeline(crop_size: tuple[int, int], scale_range: tuple[float, float]) -> list[dict[str, Any]]:
    """The usual augmentation (spec 3.2): scale, crop, flip, photometric distortion.

    Args:
        crop_size: (height, width).
        scale_range: smallest and largest factor on the base size.
    """
    return [
        {"type": LoadSample},
        {"type": ScaleBaseSize, "scale_range": scale_range},
        {"type": ClassCrop, "crop_size": crop_size, "cat_max_ratio": 0.75},
        {"type": FlipCrop, "prob": 0.5},
        {"type": DistortColours},
        {"type": FormatCrop, "crop_size": crop_size, "mean": IMAGE_MEAN, "std": IMAGE_STD},
        {"type": "Collect", "keys": ["img", "gt_semantic_seg"], "meta_keys": ["filename", "first_class"]},
    ]
