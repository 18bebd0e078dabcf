"""Property figures against hand-computed ones and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tasks.evaluate.properties import BINS, PropertyHistogram, labels_at, strengths

TWO_CLASSES = np.array([[True, False, True], [False, True, True]])


def test_strength_is_relative_to_the_strongest_property_of_the_pixel() -> None:
    properties = np.array([[[0.2, 0.0]], [[0.1, 0.0]]], np.float32)
    np.testing.assert_allclose(strengths(properties), [[[1.0, 0.0]], [[0.5, 0.0]]])


def test_precision_and_recall_by_hand() -> None:
    # Six pixels; class 0 in the first three, class 1 in two, and one that is left out.
    labels = np.array([[0, 0, 0, 1, 1, 255]], np.uint8)
    first = [0.9, 0.5, 0.49, 0.8, 0.1, 1.0]
    histogram = PropertyHistogram(TWO_CLASSES)
    histogram.add(np.array([[first], [[0.0] * 6], [[1.0] * 6]], np.float32), labels)
    scores = histogram.scores()

    # The first property fires on three pixels, of which two are its own; it has three.
    assert scores.precision[0] == pytest.approx(2 / 3)
    assert scores.recall[0] == pytest.approx(2 / 3)
    # In order of strength: own, other, own, own, other.
    assert scores.average_precision[0] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    # The second never fires, the third always does and always rightly.
    assert np.isnan(scores.precision[1])
    assert scores.recall[1] == 0
    assert scores.average_precision[1] == pytest.approx(scores.prevalence[1]) == pytest.approx(2 / 5)
    assert (scores.precision[2], scores.recall[2], scores.average_precision[2]) == (1, 1, 1)
    assert scores.pixels.tolist() == [3, 2, 5]


def test_a_property_that_no_pixel_has_has_no_recall() -> None:
    histogram = PropertyHistogram(TWO_CLASSES)
    histogram.add(np.ones((3, 1, 2), np.float32), np.zeros((1, 2), np.uint8))
    scores = histogram.scores()
    assert np.isnan(scores.recall[1])
    assert np.isnan(scores.average_precision[1])
    assert scores.precision[1] == 0


def test_average_precision_is_scikit_learns_within_a_bin() -> None:
    generator = np.random.default_rng(0)
    histogram = PropertyHistogram(TWO_CLASSES)
    all_labels, all_strengths = [], []
    for _ in range(4):
        labels = generator.integers(2, size=(40, 50)).astype(np.uint8)
        owned = TWO_CLASSES[labels].transpose(2, 0, 1)
        found = (0.3 * owned + 0.7 * generator.random(owned.shape)).astype(np.float32)
        histogram.add(found, labels)
        all_labels.append(labels.ravel())
        all_strengths.append(found.reshape(3, -1))
    labels, found = np.concatenate(all_labels), np.concatenate(all_strengths, axis=1)
    scores = histogram.scores()
    for property_id in range(3):
        owned = TWO_CLASSES[labels, property_id]
        exact = average_precision_score(owned, found[property_id])
        binned = average_precision_score(owned, np.floor(found[property_id] * BINS))
        assert scores.average_precision[property_id] == pytest.approx(exact, abs=0.005)
        assert scores.average_precision[property_id] == pytest.approx(binned, abs=1e-9)


def test_labels_are_those_in_the_middle_of_the_larger_pixels() -> None:
    labels = np.arange(16, dtype=np.uint8)[None].repeat(4, axis=0)
    np.testing.assert_array_equal(labels_at(labels, (1, 4)), [[2, 6, 10, 14]])
