"""Which photos and pixels the report shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.evaluate.examples import best_median_worst, telling_pixels, telling_property
from tasks.evaluate.measure import PhotoScores
from tasks.evaluate.photos import Photo


def photos(*figures: float) -> list[PhotoScores]:
    return [PhotoScores(Photo(str(figure), Path(), "", Path(), ""), figure, figure) for figure in figures]


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ((0.5,), [("Best", 0.5)]),
        ((0.2, 0.5, np.nan), [("Best", 0.5), ("Worst", 0.2)]),
        (
            (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
            [("Best", 0.8), ("Best", 0.7), ("Median", 0.5), ("Median", 0.4), ("Worst", 0.2), ("Worst", 0.1)],
        ),
    ],
)
def test_best_median_and_worst(figures: tuple[float, ...], expected: list[tuple[str, float]]) -> None:
    assert [(rank, photo.mean_iou) for rank, photo in best_median_worst(photos(*figures))] == expected


def test_the_telling_property_follows_the_labels() -> None:
    labels = np.array([[0, 0, 1, 1, 255]], np.uint8)
    class_matrix = np.array([[True, True, False, True], [True, False, True, True]])
    strength = np.array([[1, 1, 1, 1, 1], [0.9, 0.2, 0.8, 0.1, 1], [0.1, 0.2, 0.8, 0.9, 0], [0, 0, 1, 1, 1]])
    assert telling_property(strength[:, None].astype(np.float32), labels, class_matrix) == 2


def test_pixels_lie_in_the_middle_of_large_regions_and_of_the_largest_mistake() -> None:
    labels = np.zeros((21, 41), np.uint8)
    labels[:, 20:] = 1
    predicted = labels.copy()
    predicted[0:5, 0:5] = 1
    assert set(telling_pixels(labels, predicted)) >= {(2, 2)}
    rows = list(telling_pixels(labels, predicted))
    assert [int(labels[row, column]) for row, column in rows] == [1, 0, 0]
    assert rows[-1] == (2, 2)
