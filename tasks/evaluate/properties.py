"""How well each property is recognised, from histograms whose size does not depend on the data set's.

Where loss and class scores are cosines, as in the paper, classes are told apart by the direction of a
pixel's property vector, not by its length. A property's *strength* is therefore its value over the largest one
of the same pixel, and a property fires where its strength is at least one half.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from prolab_model.dataset_config import IGNORED

BINS = 256
# The bin that begins at one half, counted from the strongest.
_LAST_FIRING_BIN = BINS // 2 - 1

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class PropertyScores:
    """Figures between 0 and 1 for each property (K,); NaN where there is nothing to divide by.

    Attributes:
        precision: share of the pixels where the property fires whose class has it.
        recall: share of the pixels whose class has the property where it fires.
        average_precision: area below precision over recall for all thresholds on the strength.
        prevalence: share of the labelled pixels whose class has the property, which is the average
            precision of a blind guess.
        pixels: number of pixels whose class has the property, at the resolution of the property maps.
    """

    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    average_precision: npt.NDArray[np.float64]
    prevalence: npt.NDArray[np.float64]
    pixels: npt.NDArray[np.int64]


def strengths(properties: Floats) -> Floats:
    """Property vectors (K, h, w) over the largest value of each pixel: between 0 and 1."""
    largest = properties.max(axis=0).clip(min=np.finfo(properties.dtype).tiny)
    return np.asarray(properties / largest)


def labels_at(labels: npt.NDArray[np.uint8], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Class ids (H, W) at the resolution of property maps, `shape` (h, w): those of the nearest pixels."""
    height, width = shape
    return np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


class PropertyHistogram:
    """Pixels by property, by whether their class has it, and by strength.

    Args:
        class_matrix: (N, K), which class has which property.
    """

    def __init__(self, class_matrix: npt.NDArray[np.bool_]) -> None:
        self.owners = np.zeros((class_matrix.shape[1], IGNORED + 1), np.uint8)  # whether a label has the property
        self.owners[:, : len(class_matrix)] = class_matrix.T
        self.pixels = np.zeros((class_matrix.shape[1], 2, BINS), np.int64)

    def add(self, strengths: Floats, labels: npt.NDArray[np.uint8]) -> None:
        """Count the pixels of one photo: strengths (K, h, w), class ids (h, w)."""
        labelled = (labels != IGNORED).astype(np.uint8)
        # Property by property, so that what is made on the way stays in the caches.
        for counts, strength, owned_by in zip(self.pixels, strengths, self.owners, strict=True):
            bins = (strength * BINS).clip(max=BINS - 1).astype(np.uint8)
            channels = [owned_by[labels], bins]
            counts += cv2.calcHist(channels, [0, 1], labelled, [2, BINS], [0, 2, 0, BINS]).astype(np.int64)

    def scores(self) -> PropertyScores:
        """Precision, recall and average precision; equal strengths, here those of one bin, count as tied."""
        false, true = self.pixels[:, 0], self.pixels[:, 1]  # (K, BINS)
        owned = true.sum(axis=1)
        fired_true = _from_strongest(true)
        fired = fired_true + _from_strongest(false)
        with np.errstate(invalid="ignore"):
            precision = fired_true / fired
            recall = fired_true / owned[:, None]
            prevalence = owned / self.pixels.sum(axis=(1, 2))
        # A threshold at which nothing fires adds no recall.
        gain = np.diff(recall, axis=1, prepend=0)
        return PropertyScores(
            precision=precision[:, _LAST_FIRING_BIN],
            recall=recall[:, _LAST_FIRING_BIN],
            average_precision=(gain * np.where(fired > 0, precision, 0)).sum(axis=1),
            prevalence=prevalence,
            pixels=owned,
        )


def _from_strongest(pixels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pixels (K, BINS) with at least the strength of a bin, the strongest bin first."""
    return pixels[:, ::-1].cumsum(axis=1)
