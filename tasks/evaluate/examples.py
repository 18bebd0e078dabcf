"""The photos that the report shows: the best, the middling and the worst, with some of their pixels explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from prolab_model.data import LabelRules
from prolab_model.dataset_config import IGNORED
from prolab_model.predictor import Prediction, Predictor
from tasks.evaluate.measure import PhotoScores
from tasks.evaluate.properties import Floats, labels_at, strengths

_PER_RANK = 2
_REGIONS = 3
_STRONGEST = 5
_WEAKEST_SHOWN = 0.05
_SMALLEST_REGION = 0.002


@dataclass(frozen=True)
class PixelExplanation:
    """Why one pixel was given its class.

    Attributes:
        x, y: place in the photo, from 0 to 1.
        label: class id.
        ranking: class ids from the highest score, and their scores.
        strongest: property ids from the highest strength, and their strengths.
    """

    x: float
    y: float
    label: int
    ranking: Sequence[tuple[int, float]]
    strongest: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Example:
    """One photo with everything the report shows of it.

    Attributes:
        rank: "Best", "Median" or "Worst".
        image: (H, W, 3) RGB.
        labels, prediction: class ids (H, W).
        telling_property: id of the property whose map follows the labels most closely.
        telling_strength: its strength (h, w).
        pixels: one in each of the largest regions, and one in the largest mistake.
    """

    rank: str
    scores: PhotoScores
    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    prediction: npt.NDArray[np.uint8]
    telling_property: int
    telling_strength: Floats
    pixels: Sequence[PixelExplanation]


def pick_examples(
    predictor: Predictor, photos: Sequence[PhotoScores], rules: LabelRules, class_matrix: npt.NDArray[np.bool_]
) -> list[Example]:
    """Predict a few photos again, so that the predictions of the whole split need not be kept."""
    examples = []
    for rank, chosen in best_median_worst(photos):
        image, labels = chosen.photo.read(rules)
        prediction = predictor.predict(image)
        strength = strengths(prediction.properties.cpu().numpy())
        small_labels = labels_at(labels, strength.shape[1:])
        telling = telling_property(strength, small_labels, class_matrix)
        examples.append(
            Example(
                rank=rank,
                scores=chosen,
                image=image,
                labels=labels,
                prediction=prediction.labels,
                telling_property=telling,
                telling_strength=strength[telling],
                pixels=_explain_pixels(prediction, strength, small_labels),
            )
        )
    return examples


def best_median_worst(photos: Sequence[PhotoScores]) -> Iterator[tuple[str, PhotoScores]]:
    """Two photos of each rank, by mean IoU; fewer where there are not enough that have labels."""
    ranked = sorted((photo for photo in photos if not np.isnan(photo.mean_iou)), key=lambda photo: -photo.mean_iou)
    count = min(_PER_RANK, max(1, len(ranked) // 3))
    best, others = ranked[:count], ranked[count:]
    worst, others = others[-count:], others[:-count]
    middle = (len(others) - count) // 2
    for rank, chosen in (("Best", best), ("Median", others[middle : middle + count]), ("Worst", worst)):
        for photo in chosen:
            yield rank, photo


def telling_property(strength: Floats, labels: npt.NDArray[np.uint8], class_matrix: npt.NDArray[np.bool_]) -> int:
    """The property whose strength (K, h, w) correlates most with whether a pixel's class has it."""
    labelled = labels != IGNORED
    found = strength[:, labelled].astype(np.float64)  # (K, P)
    owned = class_matrix[labels[labelled]].T.astype(np.float64)  # (K, P)
    found -= found.mean(axis=1, keepdims=True)
    owned -= owned.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(owned, axis=1)
    # A property that all or none of the pixels have correlates with nothing.
    return int(((found * owned).sum(axis=1) / np.maximum(lengths, 1e-12)).argmax())


def _explain_pixels(prediction: Prediction, strength: Floats, labels: npt.NDArray[np.uint8]) -> list[PixelExplanation]:
    scores = prediction.scores.float().cpu().numpy()  # (N, h, w)
    explanations = []
    for row, column in telling_pixels(labels, scores.argmax(axis=0).astype(np.uint8)):
        class_scores, properties = scores[:, row, column], strength[:, row, column]
        height, width = labels.shape
        explanations.append(
            PixelExplanation(
                x=(column + 0.5) / width,
                y=(row + 0.5) / height,
                label=int(labels[row, column]),
                ranking=[(int(index), float(class_scores[index])) for index in (-class_scores).argsort()[:2]],
                strongest=[
                    (int(index), float(properties[index]))
                    for index in (-properties).argsort()[:_STRONGEST]
                    if properties[index] >= _WEAKEST_SHOWN
                ],
            )
        )
    return explanations


def telling_pixels(labels: npt.NDArray[np.uint8], predicted: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Row and column in the middle of the largest regions that are right, and of the largest that is wrong."""
    right = labels == predicted
    wrong = ~right & (labels != IGNORED)
    regions = _largest_regions(labels, right)[:_REGIONS] + _largest_regions(labels, wrong)[:1]
    for region in regions:
        # The pixel farthest from the region's edge; a border stands in for the world outside.
        distance = cv2.distanceTransform(np.pad(region, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        row, column = np.unravel_index(distance.argmax(), distance.shape)
        yield int(row), int(column)


def _largest_regions(labels: npt.NDArray[np.uint8], where: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.uint8]]:
    """Masks (h, w) of the classes with most pixels in `where`, largest first; specks are left out."""
    values, pixels = np.unique(labels[where], return_counts=True)
    order = [index for index in (-pixels).argsort() if pixels[index] >= _SMALLEST_REGION * labels.size]
    return [((labels == values[index]) & where).astype(np.uint8) for index in order]
