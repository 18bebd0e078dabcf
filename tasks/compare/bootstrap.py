"""How far figures would scatter with other photos: the bootstrap over photos (Efron 1979), percentile intervals.

Photos are drawn with replacement, as many as there are, and every figure is computed anew from the pixels of those
that were drawn: a mean IoU is that of a whole set of photos, and no mean over photos. Figures depend on sums over
photos alone, so that all draws together are one product of matrices.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.compare.counts import Counts

RESAMPLES = 2000
CONFIDENCE = 0.95

_SEED = 0
_CELLS_AT_ONCE = 1_000_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """Figures between 0 and 1 of R sets of photos; NaN where there is nothing to divide by.

    Attributes:
        iou, accuracy, boundary_iou: of each class (R, N).
        mean_iou, mean_accuracy, mean_boundary_iou: their means over the classes that are not NaN (R,).
        pixel_accuracy: share of all labelled pixels that are right (R,).
    """

    iou: Floats
    accuracy: Floats
    boundary_iou: Floats
    mean_iou: Floats
    mean_accuracy: Floats
    mean_boundary_iou: Floats
    pixel_accuracy: Floats


def figures(counts: Counts) -> Figures:
    """Figures of all photos (M, 6, N) together: R is 1."""
    return _figures(counts.sum(axis=0, keepdims=True).astype(np.float64))


def resample(models: Sequence[Counts], resamples: int = RESAMPLES) -> list[Figures]:
    """Figures of each model's photos (M, 6, N) on R draws of photos; every draw is the same for all models."""
    pixels = np.stack(models, axis=1).astype(np.float64)  # (M, models, 6, N)
    flat = pixels.reshape(len(pixels), -1)
    # Of whole numbers float64 makes exact sums, in whatever order they are taken: the same on every machine.
    sums = np.concatenate([draws @ flat for draws in _draw(len(pixels), resamples)])
    return [_figures(part) for part in sums.reshape(-1, *pixels.shape[1:]).swapaxes(0, 1)]


def interval(values: Floats) -> tuple[Floats, Floats]:
    """Bounds between which 95 % of the draws (R, ...) lie; draws without a value are left out."""
    tail = 50 * (1 - CONFIDENCE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a figure that has no value in any draw
        low, high = np.nanpercentile(values, [tail, 100 - tail], axis=0)
    return low, high


def _draw(images: int, resamples: int) -> Iterator[Floats]:
    """How often each photo was drawn, some draws at a time (r, M)."""
    generator = np.random.default_rng(_SEED)
    at_once = max(1, _CELLS_AT_ONCE // images)
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        drawn = generator.integers(images, size=(rows, images)) + images * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)


def _figures(sums: Floats) -> Figures:
    """Figures from sums over photos (R, 6, N)."""
    intersection, labelled, predicted, both_boundaries, label_boundary, predicted_boundary = sums.swapaxes(0, 1)
    with np.errstate(invalid="ignore"):
        iou = intersection / (labelled + predicted - intersection)
        accuracy = intersection / labelled
        boundary_iou = both_boundaries / (label_boundary + predicted_boundary - both_boundaries)
        pixel_accuracy = intersection.sum(axis=1) / labelled.sum(axis=1)
    return Figures(
        iou, accuracy, boundary_iou, _mean(iou), _mean(accuracy), _mean(boundary_iou), pixel_accuracy=pixel_accuracy
    )


def _mean(values: Floats) -> Floats:
    """Mean over the classes that have a value."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(values, axis=1) / np.isfinite(values).sum(axis=1))
