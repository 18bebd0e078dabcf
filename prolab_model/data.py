"""Training crops: which photo, which crop and which distortion is decided by a sample's number alone.

A run that goes on after a kill therefore sees the very crops it would have seen, however many
workers load them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from prolab_model.dataset_config import training_labels
from prolab_model.image_files import ImageFileError, decode_label
from prolab_model.openmmlab import PIPELINES, Compose, RandomCrop, Resize

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
        ImageFileError: when the file is no label map.
    """
    try:
        values = decode_label(path.read_bytes())
    except ImageFileError as error:
        raise ImageFileError(f"{path}: {error}") from error
    return training_labels(values, ignore_index=rules.ignore_index, reduce_zero_label=rules.reduce_zero_label)


@PIPELINES.register_module()
class LoadTrainingLabels:
    """Pipeline step: reads `results["label"]` by its data set's rules, `results["rules"]`."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds `gt_semantic_seg`."""
        results["gt_semantic_seg"] = read_labels(results["label"], results["rules"])
        results["seg_fields"].append("gt_semantic_seg")
        return results


@PIPELINES.register_module()
class ScaleBaseSize(Resize):
    """Pipeline step: a random factor on the photo's base size, `results["base_size"]`, or on its own where it has none.

    Args:
        scale_range: smallest and largest factor.
    """

    def __init__(self, scale_range: tuple[float, float]) -> None:
        super().__init__(ratio_range=scale_range)

    def _random_scale(self, results: dict[str, Any]) -> None:
        base = results["base_size"] or results["img"].shape[1::-1]
        results["scale"], results["scale_idx"] = self.random_sample_ratio(base, self.ratio_range)


@PIPELINES.register_module()
class ClassCrop(RandomCrop):
    """Pipeline step: a crop that holds a pixel of `results["wanted_class"]`, or a random one where none is wanted."""

    def get_crop_bbox(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """Top, bottom, left, right of the crop."""
        if self._wanted is None:
            box: tuple[int, int, int, int] = super().get_crop_bbox(img)
            return box
        rows, columns = self._wanted
        chosen = np.random.randint(len(rows))
        top = _interval_around(int(rows[chosen]), self.crop_size[0], img.shape[0])
        left = _interval_around(int(columns[chosen]), self.crop_size[1], img.shape[1])
        return top, top + self.crop_size[0], left, left + self.crop_size[1]

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crops the image and its labels."""
        rows, columns = np.nonzero(results["gt_semantic_seg"] == results.get("wanted_class", -1))
        self._wanted = (rows, columns) if len(rows) else None
        cropped: dict[str, Any] = super().__call__(results)
        return cropped


def _interval_around(position: int, length: int, extent: int) -> int:
    """Random start of an interval of `length` within `extent` that holds `position`."""
    first = max(position - length + 1, 0)
    last = min(position, max(extent - length, 0))
    return int(np.random.randint(min(first, last), last + 1))


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
        sample = self.samples[number]
        results: dict[str, Any] = {
            "img_info": {"filename": str(sample.image)},
            "img_prefix": None,
            "label": sample.label,
            "rules": sample.rules,
            "base_size": sample.base_size,
            "first_class": sample.first_class,
            "seg_fields": [],
            "wanted_class": wanted_class,
        }
        transformed: Mapping[str, Any] = self.transforms(results)
        return transformed

    def _choose(self, index: int, generator: np.random.Generator) -> tuple[int, int]:
        """Sample number, and the class to crop around, by its id in the sample's data set, or -1."""
        if generator.random() < self.class_balanced:
            class_id = sorted(self.samples_of_class)[generator.integers(len(self.samples_of_class))]
            candidates = self.samples_of_class[class_id]
            number = candidates[generator.integers(len(candidates))]
            return number, class_id - self.samples[number].first_class
        epoch, position = divmod(index, len(self.samples))
        order = np.random.default_rng((self.seed, -1 % 2**32, epoch)).permutation(len(self.samples))
        return int(order[position]), -1


def training_pipeline(crop_size: tuple[int, int], scale_range: tuple[float, float]) -> list[dict[str, Any]]:
    """The usual augmentation (spec 3.2): scale, crop, flip, photometric distortion.

    Args:
        crop_size: (height, width).
        scale_range: smallest and largest factor on the base size.
    """
    return [
        {"type": "LoadImageFromFile"},
        {"type": "LoadTrainingLabels"},
        {"type": "ScaleBaseSize", "scale_range": scale_range},
        {"type": "ClassCrop", "crop_size": crop_size, "cat_max_ratio": 0.75},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PhotoMetricDistortion"},
        {"type": "Normalize", "mean": IMAGE_MEAN, "std": IMAGE_STD, "to_rgb": True},
        {"type": "Pad", "size": crop_size, "pad_val": 0, "seg_pad_val": 255},
        {"type": "DefaultFormatBundle"},
        {"type": "Collect", "keys": ["img", "gt_semantic_seg"], "meta_keys": ["filename", "first_class"]},
    ]
