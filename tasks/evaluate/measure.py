"""Predicts every photo of a split once, and keeps counts of fixed size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prolab_model.data import LabelRules
from prolab_model.metrics import Scores, boundary_areas, boundary_iou, confusion_matrix, scores
from prolab_model.predictor import Predictor
from tasks.compare.counts import PhotoCounts, count_photo
from tasks.errors import InputError
from tasks.evaluate.photos import Photo
from tasks.evaluate.properties import PropertyHistogram, PropertyScores, labels_at, strengths
from tasks.evaluate.stopwatch import Stopwatch
from tasks.progress import Progress


@dataclass(frozen=True)
class PhotoScores:
    """Figures of one photo, between 0 and 1; NaN where no pixel is labelled."""

    photo: Photo
    mean_iou: float
    pixel_accuracy: float


@dataclass(frozen=True)
class Measurement:
    """What was counted on a split.

    Attributes:
        confusion: pixels by label (rows) and prediction (columns), (N, N).
        boundary: pixels of the classes' boundaries in labels and predictions, in either (3, N).
        properties: figures of the K properties.
        photos: figures of each photo, in the order of the split.
        counts: pixels of each photo by class, likewise.
    """

    confusion: npt.NDArray[np.int64]
    boundary: npt.NDArray[np.int64]
    properties: PropertyScores
    photos: Sequence[PhotoScores]
    counts: Sequence[PhotoCounts]

    @property
    def scores(self) -> Scores:
        """Figures of the classes."""
        return scores(self.confusion)

    @property
    def boundary_iou(self) -> npt.NDArray[np.float64]:
        """Boundary IoU of each class (N,), between 0 and 1; NaN for one that does not occur."""
        return boundary_iou(self.boundary)


def measure(
    predictor: Predictor,
    photos: Sequence[Photo],
    rules: LabelRules,
    class_matrix: npt.NDArray[np.bool_],
    progress: Progress,
    stopwatch: Stopwatch,
) -> Measurement:
    """Predict every photo and count.

    Args:
        predictor: the network.
        photos: the photos of a split.
        rules: of their label maps.
        class_matrix: (N, K), which class has which property.
        progress: where the work reports.
        stopwatch: adds up the time of loading, network and metrics.

    Raises:
        InputError: a photo is not the one that was indexed, or no pixel of any photo is labelled.
    """
    classes = len(class_matrix)
    total, total_boundary = np.zeros((classes, classes), np.int64), np.zeros((3, classes), np.int64)
    histogram = PropertyHistogram(class_matrix)
    photo_scores, counts = [], []
    with progress.bar("evaluate", total=len(photos), unit="photos") as bar:
        for photo in photos:
            with stopwatch.part("loading"):
                image, labels = photo.read(rules)
            with stopwatch.part("network"):
                prediction = predictor.predict(image)
                properties = prediction.properties.cpu().numpy()
            with stopwatch.part("metrics"):
                confusion = confusion_matrix(labels, prediction.labels, classes)
                total += confusion
                strength = strengths(properties)
                histogram.add(strength, labels_at(labels, strength.shape[1:]))
                photo_scores.append(_photo_scores(photo, confusion))
                boundary = boundary_areas(labels, prediction.labels, classes)
                total_boundary += boundary
                counts.append(count_photo(confusion, boundary))
            bar.advance(mIoU=100 * scores(total).mean_iou if total.any() else "-")
    if not total.any():
        raise InputError(f"evaluate.split: none of the {len(photos)} photos has a labelled pixel")
    return Measurement(total, total_boundary, histogram.scores(), photo_scores, counts)


def _photo_scores(photo: Photo, confusion: npt.NDArray[np.int64]) -> PhotoScores:
    if not confusion.any():
        return PhotoScores(photo, np.nan, np.nan)
    figures = scores(confusion)
    return PhotoScores(photo, figures.mean_iou, figures.pixel_accuracy)
