"""From a photo to classes and properties."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from prolab_model.data import IMAGE_MEAN, IMAGE_STD
from prolab_model.segmentor import PropertySegmentor


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
    """

    def __init__(
        self,
        segmentor: PropertySegmentor,
        scale: float = 1.0,
        base_size: tuple[int, int] | None = None,
        device: str = "cpu",
        autocast: torch.dtype | None = None,
    ) -> None:
        self.segmentor = segmentor.to(device).eval()
        self.scale = scale
        self.base_size = base_size
        self.device = device
        self.autocast = autocast
        self.mean = torch.tensor(IMAGE_MEAN, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(IMAGE_STD, device=device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def predict(self, image: npt.NDArray[np.uint8]) -> Prediction:
        """Segment one photo.

        Args:
            image: (H, W, 3) RGB, 0 to 255.

        Raises:
            ValueError: when `image` is not (H, W, 3) uint8.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image: expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
        height, width = image.shape[:2]
        with torch.autocast(self.device.split(":")[0], self.autocast, enabled=self.autocast is not None):
            similarities = self.segmentor.similarities(self._network_input(image))
        scores = self.segmentor.label_space.class_scores(similarities)
        properties = self.segmentor.label_space.properties(similarities)
        full = F.interpolate(scores, size=(height, width), mode="bilinear", align_corners=False)
        labels = full[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
        return Prediction(labels, scores[0], properties[0])

    def _network_input(self, image: npt.NDArray[np.uint8]) -> Tensor:
        """Resized and normalised: (1, 3, h, w)."""
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
