"""Steps of the training pipeline: mmsegmentation's, drawing the same random numbers, in a fraction of their time.

A photo has 256 values a channel, so what a step does to every pixel alike is worked out for these and looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from prolab_model.dataset_config import IGNORED
from prolab_model.image_files import count_values
from prolab_model.openmmlab import Normalize, PhotoMetricDistortion, RandomCrop, RandomFlip, Resize

_VALUES: npt.NDArray[np.uint8] = np.arange(256, dtype=np.uint8)


class ScaleBaseSize(Resize):
    """A random factor on the photo's base size, `results["base_size"]`, or on its own where it has none.

    Args:
        scale_range: smallest and largest factor.
    """

    def __init__(self, scale_range: tuple[float, float]) -> None:
        super().__init__(ratio_range=scale_range)

    def _random_scale(self, results: dict[str, Any]) -> None:
        base = results["base_size"] or results["img"].shape[1::-1]
        results["scale"], results["scale_idx"] = self.random_sample_ratio(base, self.ratio_range)


class ClassCrop(RandomCrop):
    """A crop that holds a pixel of `results["wanted_class"]`, or a random one where that is None.

    It is drawn again, ten times at most, while one class has `cat_max_ratio` of it or more.
    """

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crops the image and its labels."""
        image, label = results["img"], results["gt_semantic_seg"]
        wanted = None if results["wanted_class"] is None else np.flatnonzero(label == results["wanted_class"])
        box = self._draw(image, wanted)
        for _ in range(10):
            if self._is_varied(self.crop(label, box)):
                break
            box = self._draw(image, wanted)
        results["img"] = self.crop(image, box)
        results["img_shape"] = results["img"].shape
        results["gt_semantic_seg"] = self.crop(label, box)
        return results

    def _draw(self, image: npt.NDArray[np.uint8], wanted: npt.NDArray[np.int64] | None) -> tuple[int, int, int, int]:
        """Top, bottom, left, right of the crop; `wanted` are positions in the flattened image."""
        if wanted is None or not len(wanted):
            box: tuple[int, int, int, int] = self.get_crop_bbox(image)
            return box
        row, column = divmod(int(wanted[np.random.randint(len(wanted))]), image.shape[1])
        top = _interval_around(row, self.crop_size[0], image.shape[0])
        left = _interval_around(column, self.crop_size[1], image.shape[1])
        return top, top + self.crop_size[0], left, left + self.crop_size[1]

    def _is_varied(self, label: npt.NDArray[np.uint8]) -> bool:
        if self.cat_max_ratio >= 1:
            return True
        values, pixels = count_values(label)
        pixels = pixels[values != self.ignore_index]
        return len(pixels) > 1 and bool(pixels.max() / pixels.sum() < self.cat_max_ratio)


def _interval_around(position: int, length: int, extent: int) -> int:
    """Random start of an interval of `length` within `extent` that holds `position`."""
    first = max(position - length + 1, 0)
    last = min(position, max(extent - length, 0))
    return int(np.random.randint(min(first, last), last + 1))


class FlipCrop(RandomFlip):
    """The same pixels as `RandomFlip`, in the order in which the next steps read them."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Flips the image and its labels."""
        if np.random.rand() < self.prob:
            for key in ("img", "gt_semantic_seg"):
                results[key] = cv2.flip(results[key], 1)
        return results


class DistortColours(PhotoMetricDistortion):
    """The same pixels as `PhotoMetricDistortion`."""

    def convert(self, img: npt.NDArray[np.uint8], alpha: float = 1, beta: float = 0) -> npt.NDArray[np.uint8]:
        """All values times `alpha` plus `beta`, cut off at 0 and 255."""
        return _look_up(img, super().convert(_VALUES, alpha, beta))

    def saturation(self, img: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Random saturation, in half of the cases."""
        if not np.random.randint(2):
            return img
        factor = np.random.uniform(self.saturation_lower, self.saturation_upper)
        return _look_up_hsv(img, 1, super().convert(_VALUES, alpha=factor))

    def hue(self, img: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Random hue, in half of the cases."""
        if not np.random.randint(2):
            return img
        shift = np.random.randint(-self.hue_delta, self.hue_delta)
        return _look_up_hsv(img, 0, ((_VALUES.astype(int) + shift) % 180).astype(np.uint8))


def _look_up(image: npt.NDArray[np.uint8], table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.LUT(image, table), np.uint8)


def _look_up_hsv(image: npt.NDArray[np.uint8], channel: int, table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Look up one channel of hue, saturation and value."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    cv2.insertChannel(cv2.LUT(cv2.extractChannel(hsv, channel), table), hsv, channel)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)


class FormatCrop(Normalize):
    """`Normalize`, `Pad` and `DefaultFormatBundle` in one, but that labels stay 8 bits wide.

    Args:
        crop_size: (height, width) that a smaller crop is padded to, with 0 after normalisation and with `IGNORED`.
        mean: of the channels, RGB.
        std: of the channels, RGB.
    """

    def __init__(self, crop_size: tuple[int, int], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(mean, std, to_rgb=True)
        self.crop_size = crop_size
        grey = np.repeat(_VALUES[None, :, None], 3, axis=-1)
        self._tables = super().__call__({"img": grey})["img"][0].T.copy()  # (3, 256), RGB

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Makes tensors: "img" (3, H, W) of float32, "gt_semantic_seg" (1, H, W) of uint8."""
        height, width = results["img"].shape[:2]
        image = np.empty((3, *self.crop_size), np.float32)
        label = np.full((1, *self.crop_size), IGNORED, np.uint8)
        for channel, values, table in zip(image, reversed(cv2.split(results["img"])), self._tables, strict=True):
            cv2.LUT(values, table, dst=channel[:height, :width])
        image[:, height:] = image[:, :height, width:] = 0
        label[0, :height, :width] = results["gt_semantic_seg"]
        results["img"], results["gt_semantic_seg"] = torch.from_numpy(image), torch.from_numpy(label)
        return results
