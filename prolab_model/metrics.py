"""Segmentation metrics from counts that are summed over images: mmsegmentation's (spec 3.3), and boundary IoU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from prolab_model.dataset_config import IGNORED
from prolab_model.openmmlab import total_area_to_metrics

BOUNDARY_SHARE = 0.02
"""Width of a boundary as a share of the image's diagonal."""

_EXACT_IN_FLOAT32 = 2**24  # pixels; OpenCV gives its histograms in float32

ClassIds = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Figures between 0 and 1; a class that occurs in neither labels nor predictions is NaN.

    Attributes:
        iou: intersection over union of each class (N,).
        accuracy: share of each class's pixels that are right (N,).
        mean_iou: mean of `iou` over the classes that are not NaN.
        mean_accuracy: mean of `accuracy` likewise.
        pixel_accuracy: share of all labelled pixels that are right.
    """

    iou: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    mean_iou: float
    mean_accuracy: float
    pixel_accuracy: float


def confusion_matrix(labels: ClassIds, predictions: ClassIds, classes: int) -> Counts:
    """Pixels by label (rows) and prediction (columns), (N, N); `IGNORED` pixels do not count.

    Args:
        labels: (H, W).
        predictions: (H, W).
        classes: N.

    Raises:
        ValueError: when shapes or types are not as they should be, or an id is no class.
    """
    pixels = _joint_histogram(labels, predictions)
    labelled = pixels[:IGNORED]
    confusion = labelled[:classes, :classes].copy()
    if confusion.sum() != labelled.sum():
        worst_label, worst_prediction = (int(ids.max()) for ids in labelled.nonzero())
        raise ValueError(f"{classes} classes, but labels up to {worst_label} and predictions up to {worst_prediction}")
    return confusion


def scores(confusion: Counts) -> Scores:
    """Mmsegmentation's figures for a confusion matrix (N, N)."""
    right = torch.from_numpy(np.diag(confusion).astype(np.float64))
    predicted = torch.from_numpy(confusion.sum(axis=0).astype(np.float64))
    labelled = torch.from_numpy(confusion.sum(axis=1).astype(np.float64))
    metrics = total_area_to_metrics(right, predicted + labelled - right, predicted, labelled)
    return Scores(
        iou=metrics["IoU"],
        accuracy=metrics["Acc"],
        mean_iou=float(np.nanmean(metrics["IoU"])),
        mean_accuracy=float(np.nanmean(metrics["Acc"])),
        pixel_accuracy=float(metrics["aAcc"]),
    )


def boundary_areas(labels: ClassIds, predictions: ClassIds, classes: int) -> Counts:
    """Pixels of each class's boundary in labels and predictions, in labels, and in predictions: (3, N).

    A class has a mask in the labels and one in the predictions, both without `IGNORED` pixels. A mask's boundary is
    those of its pixels that lie within a distance of pixels outside of the mask, where all that is ignored or outside
    of the image is outside of every mask. The distance is 2 % of the image's diagonal in the maximum norm, as in the
    authors' code (Cheng et al., Boundary IoU, CVPR 2021). Sums over images are what `boundary_iou` takes.

    Args:
        labels: (H, W).
        predictions: (H, W).
        classes: N.

    Raises:
        ValueError: when shapes or types are not as they should be.
    """
    _require_maps(labels, predictions)
    distance = max(1, round(BOUNDARY_SHARE * math.hypot(*labels.shape)))
    labelled_predictions = np.where(labels == IGNORED, np.uint8(IGNORED), predictions)
    near = _joint_histogram(_boundaries(labels, distance), _boundaries(labelled_predictions, distance))
    return np.stack([np.diag(near), near.sum(axis=1), near.sum(axis=0)])[:, :classes]


def boundary_iou(areas: Counts) -> npt.NDArray[np.float64]:
    """Intersection over union of each class's two boundaries, (N,), from summed areas (3, N); NaN without a pixel."""
    both, labelled, predicted = areas
    with np.errstate(invalid="ignore"):
        return np.asarray(both / (labelled + predicted - both), np.float64)


def _boundaries(ids: ClassIds, distance: int) -> ClassIds:
    """Class ids (H, W) in the boundaries of their masks, `IGNORED` elsewhere; all classes at once.

    In the maximum norm, the next pixel of another id is one step behind the next pixel that has such a neighbour: the
    masks' contours are found together, and widened together.
    """
    contour = cv2.morphologyEx(
        ids, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=[IGNORED]
    )
    near = cv2.dilate(contour, np.ones((2 * distance - 1, 2 * distance - 1), np.uint8))
    return np.where(near > 0, ids, np.uint8(IGNORED))


def _joint_histogram(first: ClassIds, second: ClassIds) -> Counts:
    """Pixels by their values in two maps: (256, 256)."""
    _require_maps(first, second)
    total = np.zeros((256, 256), np.int64)
    rows = max(1, _EXACT_IN_FLOAT32 // first.shape[1])
    for start in range(0, len(first), rows):
        strips = [first[start : start + rows], second[start : start + rows]]
        total += cv2.calcHist(strips, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
    return total


def _require_maps(labels: ClassIds, predictions: ClassIds) -> None:
    if labels.ndim != 2 or labels.shape != predictions.shape or not labels.dtype == predictions.dtype == np.uint8:
        raise ValueError(
            f"labels and predictions: expected (H, W) uint8 each, "
            f"got {labels.shape} {labels.dtype} and {predictions.shape} {predictions.dtype}"
        )
