"""From a photo to classes and properties."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prolab_model.data import IMAGE_MEAN, IMAGE_STD
from prolab_model.dataset_config import IGNORED
from prolab_model.resampling import Size
from prolab_model.segmentor import PropertySegmentor
from prolab_model.windows import WindowMaps


@dataclass(frozen=True)
class Prediction:
    """What the model says of one photo.

    Attributes:
        labels: class ids (H, W) at the photo's size, uint8.
        scores: class scores (N, h / 4, w / 4), where (h, w) is the size that the network was trained for; where there
            are several views, the mean of their votes (see `LabelSpace.votes`).
        properties: property vectors (K, h / 4, w / 4), between 0 and 1; the mean of all views.
    """

    labels: npt.NDArray[np.uint8]
    scores: Tensor
    properties: Tensor


@dataclass(frozen=True)
class _View:
    """A way of showing a photo: at a factor on the size that the network was trained for, as it is or mirrored."""

    scale: float
    mirrored: bool


class Predictor:
    """Runs a segmentor on single photos.

    With several views of a photo, which `scales` and `flip` make, labels are decided as by mmsegmentation: the scores
    of each view are resized to the photo's size, and averaged. One sum of that size is kept, however many there are.

    Args:
        segmentor: the network; put into evaluation mode.
        scale: factor on the base size that gives the size that the network was trained for.
        base_size: (long, short) sides that a photo is fitted into; its own size if not given.
        device: where the network runs.
        autocast: dtype of the arithmetic where it is not float32.
        window_batch: sliding windows that the network sees at once; if not given, one on a CPU, where more only
            cost memory, and four elsewhere.
        scales: factors on the size that the network was trained for, at each of which it sees the photo.
        flip: show it the photo's mirror image, too, at every scale.

    Raises:
        ValueError: when there are more classes than labels in 8 bits can tell apart.
    """

    def __init__(
        self,
        segmentor: PropertySegmentor,
        scale: float = 1.0,
        base_size: tuple[int, int] | None = None,
        device: str = "cpu",
        autocast: torch.dtype | None = None,
        window_batch: int | None = None,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
    ) -> None:
        classes = len(segmentor.label_space.class_matrix)
        if classes > IGNORED:
            raise ValueError(
                f"segmentor: expected up to {IGNORED} classes, since labels have 8 bits; got {classes}. "
                "One that was trained on several data sets predicts the classes of one: load_model(folder, dataset)"
            )
        self.segmentor = segmentor.to(device).eval()
        self.scale = scale
        self.base_size = base_size
        self.device = device
        self.autocast = autocast
        self.window_batch = window_batch or (1 if device == "cpu" else 4)
        self.views = [_View(each, mirrored) for each in scales for mirrored in ((False, True) if flip else (False,))]
        self.mean = torch.tensor(IMAGE_MEAN, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(IMAGE_STD, device=device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def labels(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Class ids (H, W) of a photo, without maps of properties or scores where it has a single view.

        Args:
            image: (H, W, 3) RGB, 0 to 255.

        Raises:
            ValueError: when `image` is not (H, W, 3) uint8.
        """
        if len(self.views) > 1:
            return self.predict(image).labels
        (scores,) = self._look(image, self.views[0], self.segmentor.label_space.class_scores)
        return _to_numpy(scores.labels(image.shape[:2]))

    @torch.inference_mode()
    def predict(self, image: npt.NDArray[np.uint8]) -> Prediction:
        """Segment one photo, and say which properties its pixels have.

        Args:
            image: (H, W, 3) RGB, 0 to 255.

        Raises:
            ValueError: when `image` is not (H, W, 3) uint8.
        """
        _require_photo(image)
        height, width = self._network_size((image.shape[0], image.shape[1]))
        quarter = (height // 4, width // 4)
        if len(self.views) > 1:
            return self._mean_prediction(image, quarter)
        label_space = self.segmentor.label_space
        scores, properties = self._look(image, self.views[0], label_space.class_scores, label_space.properties)
        return Prediction(
            _to_numpy(scores.labels(image.shape[:2])), scores.resized(quarter), properties.resized(quarter)
        )

    def _mean_prediction(self, image: npt.NDArray[np.uint8], quarter: Size) -> Prediction:
        """Add up all views: votes for labels at the photo's size, votes to keep and properties at `quarter`."""
        label_space, size = self.segmentor.label_space, image.shape[:2]
        classes, properties = len(label_space.class_matrix), len(label_space.centres)
        total = torch.zeros(*size, classes, device=self.device)
        total_scores = torch.zeros(classes, *quarter, device=self.device)
        total_properties = torch.zeros(properties, *quarter, device=self.device)
        for view in self.views:
            scores, property_maps = self._look(image, view, label_space.class_scores, label_space.properties)
            row = 0
            for strip in scores.strips(size):  # (rows, W, N)
                total[row : row + len(strip)] += label_space.votes(strip, dim=-1)
                row += len(strip)
            total_scores += label_space.votes(scores.resized(quarter), dim=0)
            total_properties += property_maps.resized(quarter)
        views = len(self.views)
        return Prediction(_to_numpy(total.argmax(dim=-1)), total_scores / views, total_properties / views)

    def _look(
        self, image: npt.NDArray[np.uint8], view: _View, *readers: Callable[[Tensor], Tensor]
    ) -> list[WindowMaps]:
        """Maps that each reader makes of the similarities (B, K, h / 4, w / 4) of a view, mirrored back."""
        seen = self.network_input(image, view.scale)
        size = (seen.shape[2], seen.shape[3])
        if view.mirrored:
            seen = seen.flip(-1)
        windows = self.segmentor.windows(size)
        maps: list[list[Tensor]] = [[] for _ in readers]
        for start in range(0, len(windows), self.window_batch):
            crops = torch.cat([window.crop(seen) for window in windows[start : start + self.window_batch]])
            with torch.autocast(self.device.split(":")[0], self.autocast, enabled=self.autocast is not None):
                similarities = self.segmentor.similarities(crops)
            if view.mirrored:
                similarities = similarities.flip(-1)
            for read, made in zip(readers, maps, strict=True):
                made += read(similarities).unbind()
        if view.mirrored:
            windows = [window.mirrored(size[1]) for window in windows]
        return [WindowMaps(size, windows, made) for made in maps]

    def network_input(self, image: npt.NDArray[np.uint8], scale: float = 1.0) -> Tensor:
        """What the network sees of a photo (H, W, 3): resized and normalised (1, 3, h, w).

        Args:
            image: RGB, 0 to 255.
            scale: factor on the size that the network was trained for.

        Raises:
            ValueError: when `image` is not (H, W, 3) uint8.
        """
        _require_photo(image)
        height, width = self._network_size((image.shape[0], image.shape[1]), scale)
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        tensor = torch.from_numpy(resized).to(self.device).permute(2, 0, 1)[None].float()
        return (tensor - self.mean) / self.std

    def _network_size(self, photo: Size, scale: float = 1.0) -> Size:
        """Sides that the network sees of a photo (H, W): scaled, to pixels as mmcv rounds, up to multiples of 32."""
        factor = self.scale * scale
        if self.base_size is not None:
            long, short = self.base_size
            factor *= min(long / max(photo), short / min(photo))
        height, width = (math.ceil(max(int(side * factor + 0.5), 1) / 32) * 32 for side in photo)
        return height, width


def _require_photo(image: npt.NDArray[np.uint8]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: expected (H, W, 3) uint8, got {image.shape} {image.dtype}")


def _to_numpy(labels: Tensor) -> npt.NDArray[np.uint8]:
    return labels.to(torch.uint8).cpu().numpy()
