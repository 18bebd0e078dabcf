"""Segmentation metrics from a confusion matrix, as mmsegmentation computes them (spec 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from prolab_model.dataset_config import IGNORED
from prolab_model.openmmlab import total_area_to_metrics


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


def confusion_matrix(
    labels: npt.NDArray[np.uint8], predictions: npt.NDArray[np.integer], classes: int
) -> npt.NDArray[np.int64]:
    """Pixels by label (rows) and prediction (columns), (N, N); `IGNORED` pixels do not count."""
    counted = labels != IGNORED
    cells = labels[counted].astype(np.int64) * classes + predictions[counted]
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def scores(confusion: npt.NDArray[np.int64]) -> Scores:
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
