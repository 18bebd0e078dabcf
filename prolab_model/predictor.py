"""From a photo to classes and properties."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prolab_model.data import IMAGE_MEAN, IMAGE_STD
from prolab_model.segmentor import PropertySegmentor
from prolab_model.windows import WindowMaps


@dataclass(frozen=True)
class Prediction:
    """What the model says of one photo.

    Attributes:
        labels: class ids (H, W) at the photo's size, uint8.
        scores: class scores (N, h / 4, w / 4), where (h, w) is the size that the network saw.
        properties: property vectors (K, h / 4, w / 4), between 0 and 1.
    """

    labels: npt.NDArray[np.uint8]
    scores: Tensor
    properties: Tensor


class Predictor:
    """Runs a segmentor on single photos.

    Args:
        segmentor: the network; put into evaluation mode.
        scale: factor on the base size before the network sees a photo.
        base_size: (long, short) sides that a photo is fitted into; its own size if not given.
        device: where the network runs.
        autocast: dtype of the arithmetic where it is not float32.
        window_batch: sliding windows that the network sees at once; if not given, one on a CPU, where more only
            cost memory, and four elsewhere.
    """

    def __init__(
        self,
        segmentor: PropertySegmentor,
        scale: float = 1.0,
        base_size: tuple[int, int] | None = None,
        device: str = "cpu",
        autocast: torch.dtype | None = None,
        window_batch: int | None = None,
    ) -> None:
        self.segmentor = segmentor.to(device).eval()
        self.scale = scale
        self.base_size = base_size
        self.device = device
        self.autocast = autocast
        self.window_batch = window_batch or (1 if device == "cpu" else 4)
        self.mean = torch.tensor(IMAGE_MEAN, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(IMAGE_STD, device=device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def labels(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Class ids (H, W) of a photo, without maps of properties or scores at its size.

        Args:
            image: (H, W, 3) RGB, 0 to 255.

        Raises:
            ValueError: when `image` is not (H, W, 3) uint8.
        """
        (scores,) = self._look(image, self.segmentor.label_space.class_scores)
        return _to_numpy(scores.labels(image.shape[:2]))

    @torch.inference_mode()
    def predict(self, image: npt.NDArray[np.uint8]) -> Prediction:
        """Segment one photo, and say which properties its pixels have.

        Args:
            image: (H, W, 3) RGB, 0 to 255.

        Raises:
            ValueError: when `image` is not (H, W, 3) uint8.
        """
        label_space = self.segmentor.label_space
        scores, properties = self._look(image, label_space.class_scores, label_space.properties)
        quarter = (scores.size[0] // 4, scores.size[1] // 4)
        return Prediction(
            _to_numpy(scores.labels(image.shape[:2])), scores.resized(quarter), properties.resized(quarter)
        )

    def _look(self, image: npt.NDArray[np.uint8], *readers: Callable[[Tensor], Tensor]) -> list[WindowMaps]:
        """Maps that each reader makes of the similarities (B, K, h / 4, w / 4), through the photo's windows."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image: expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
        seen = self.network_input(image)
        size = (seen.shape[2], seen.shape[3])
        windows = self.segmentor.windows(size)
        maps: list[list[Tensor]] = [[] for _ in readers]
        for start in range(0, len(windows), self.window_batch):
            crops = torch.cat([window.crop(seen) for window in windows[start : start + self.window_batch]])
            with torch.autocast(self.device.split(":")[0], self.autocast, enabled=self.autocast is not None):
                similarities = self.segmentor.similarities(crops)
            for read, made in zip(readers, maps, strict=True):
                made += read(similarities).unbind()
        return [WindowMaps(size, windows, made) for made in maps]

    def network_input(self, image: npt.NDArray[np.uint8]) -> Tensor:
        """What the network sees of a photo (H, W, 3): resized and normalised (1, 3, h, w)."""
        height, width = self._network_size(*image.shape[:2])
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        tensor = torch.from_numpy(resized).to(self.device).permute(2, 0, 1)[None].float()
        return (tensor - self.mean) / self.std

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        """Sides that the network sees: scaled, to whole pixels as mmcv rounds, up to multiples of 32."""
        factor = self.scale
        if self.base_size is not None:
            long, short = self.base_size
            factor *= min(long / max(height, width), short / min(height, width))
        height, width = (math.ceil(max(int(side * factor + 0.5), 1) / 32) * 32 for side in (height, width))
        return height, width


def _to_numpy(labels: Tensor) -> npt.NDArray[np.uint8]:
    return labels.to(torch.uint8).cpu().numpy()
