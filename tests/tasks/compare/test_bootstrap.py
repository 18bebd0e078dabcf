"""The bootstrap against a plain loop over photos, and on made-up models whose difference is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from prolab_model.metrics import boundary_areas, boundary_iou, confusion_matrix, scores
from tasks.compare.bootstrap import figures, interval, resample
from tasks.compare.comparison import find_differences, verdict
from tasks.compare.counts import Counts, count_photo, counts_columns, dense_counts

CLASSES = ("sky", "road", "car", "absent")

Maps = npt.NDArray[np.uint8]


def photos(count: int, mistakes: float, seed: int, side: int = 12) -> tuple[list[Maps], list[Maps]]:
    """Label maps, and predictions of which a share is wrong."""
    generator = np.random.default_rng(seed)
    labels, predictions = [], []
    for _ in range(count):
        label = np.sort(generator.integers(3, size=(side, side)), axis=1).astype(np.uint8)
        wrong = generator.random(label.shape) < generator.uniform(0, 2 * mistakes)
        predictions.append(np.where(wrong, generator.integers(3, size=label.shape), label).astype(np.uint8))
        label[0] = 255
        labels.append(label)
    labels[0][:] = 255
    return labels, predictions


def count(labels: list[Maps], predictions: list[Maps]) -> Counts:
    """What the stage keeps of them, through the table's columns."""
    classes = len(CLASSES)
    counted = [
        count_photo(confusion_matrix(*maps, classes), boundary_areas(*maps, classes))
        for maps in zip(labels, predictions, strict=True)
    ]
    return dense_counts(counts_columns(counted), len(labels), classes)


def test_figures_are_those_of_the_whole_set() -> None:
    labels, predictions = photos(5, 0.2, seed=0)
    pairs = list(zip(labels, predictions, strict=True))
    expected = scores(sum(confusion_matrix(*maps, 4) for maps in pairs))
    boundaries = boundary_iou(sum(boundary_areas(*maps, 4) for maps in pairs))
    found = figures(count(labels, predictions))
    np.testing.assert_allclose(found.iou[0], expected.iou)
    np.testing.assert_allclose(found.accuracy[0], expected.accuracy)
    np.testing.assert_allclose(found.boundary_iou[0], boundaries)
    assert found.mean_iou[0] == pytest.approx(expected.mean_iou)
    assert found.mean_accuracy[0] == pytest.approx(expected.mean_accuracy)
    assert found.mean_boundary_iou[0] == pytest.approx(np.nanmean(boundaries))
    assert found.pixel_accuracy[0] == pytest.approx(expected.pixel_accuracy)


def test_resampling_is_a_loop_over_drawn_photos() -> None:
    labels, first = photos(7, 0.2, seed=1)
    _, second = photos(7, 0.3, seed=1)
    drawn_first, drawn_second = resample([count(labels, first), count(labels, second)], resamples=40)
    generator = np.random.default_rng(0)
    for row, chosen in enumerate(generator.integers(7, size=(40, 7))):
        for predictions, drawn in ((first, drawn_first), (second, drawn_second)):
            confusion = np.zeros((4, 4), np.int64)
            for photo in chosen:
                confusion += confusion_matrix(labels[photo], predictions[photo], 4)
            expected = scores(confusion)
            np.testing.assert_allclose(drawn.iou[row], expected.iou)
            assert drawn.mean_iou[row] == pytest.approx(expected.mean_iou)
            assert drawn.pixel_accuracy[row] == pytest.approx(expected.pixel_accuracy)


def test_a_draw_does_not_depend_on_how_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = count(*photos(6, 0.2, seed=2))
    (at_once,) = resample([counts], resamples=50)
    monkeypatch.setattr("tasks.compare.bootstrap._CELLS_AT_ONCE", 20)
    (in_parts,) = resample([counts], resamples=50)
    np.testing.assert_array_equal(at_once.iou, in_parts.iou)


def test_the_same_model_twice_is_not_distinguishable() -> None:
    counts = count(*photos(6, 0.2, seed=3))
    differences = find_differences(counts, counts, CLASSES, resamples=200)
    same = differences.mean_iou
    assert (same.value, same.low, same.high, same.ahead) == (0, 0, 0, 0)
    assert not same.distinguishable
    assert "same mIoU" in verdict(differences)
    assert "not distinguishable" in verdict(differences)
    absent = differences.classes[3]
    assert np.isnan(absent.iou.value)
    assert np.isnan(absent.iou.low)
    assert not absent.iou.distinguishable
    assert [item.iou.photos for item in differences.classes] == [5, 5, 5, 0]


def test_a_better_model_is_distinguishable_and_its_mirror_image_is_worse() -> None:
    labels, poor = photos(30, 0.4, seed=4)
    _, good = photos(30, 0.1, seed=4)
    gain = find_differences(count(labels, poor), count(labels, good), CLASSES, resamples=400)
    loss = find_differences(count(labels, good), count(labels, poor), CLASSES, resamples=400)
    assert 0 < gain.mean_iou.low < gain.mean_iou.value < gain.mean_iou.high
    assert gain.mean_iou.ahead == 1
    assert (loss.mean_iou.low, loss.mean_iou.high) == (-gain.mean_iou.high, -gain.mean_iou.low)
    assert "This gain is distinguishable from chance" in verdict(gain)
    assert "This loss is distinguishable from chance" in verdict(loss)
    assert all(item.iou.distinguishable for item in gain.classes[:3])


@pytest.mark.parametrize(("photos_of_class", "distinguishable"), [(1, False), (5, False), (6, True)])
def test_a_class_of_few_photos_is_not_distinguishable(photos_of_class: int, distinguishable: bool) -> None:
    """Every photo speaks for B, and so does every draw that has the class."""
    a = np.zeros((20, 6, 1), np.int64)
    a[:photos_of_class] = [[10], [100], [100], [1], [10], [10]]
    b = a.copy()
    b[:, 0] *= 8
    (item,) = find_differences(a, b, ("rare",), resamples=200).classes
    assert item.iou.low > 0
    assert item.iou.distinguishable == distinguishable


def test_two_models_of_the_same_quality_are_not_distinguishable() -> None:
    labels, first = photos(30, 0.2, seed=5)
    generator = np.random.default_rng(6)
    order = generator.permutation(len(labels))
    # Both make the same mistakes, each on other photos.
    second = [np.where(first[other] != labels[other], first[other], labels[own]) for own, other in enumerate(order)]
    differences = find_differences(count(labels, first), count(labels, second), CLASSES, resamples=400)
    assert differences.mean_iou.low < 0 < differences.mean_iou.high
    assert "is not distinguishable from chance" in verdict(differences)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """200 samples of 40 photos out of 20,000, whose figure is known."""
    generator = np.random.default_rng(7)
    labelled = generator.integers(0, 200, size=(20_000, 3))
    right = generator.binomial(labelled, generator.beta(8, 2, size=(20_000, 1)))
    predicted = right + np.roll(labelled - right, 1, axis=1)
    everything = np.stack([right, labelled, predicted, right, labelled, predicted], axis=1)
    truth = figures(everything).mean_iou[0]
    covered = 0
    for _ in range(200):
        (drawn,) = resample([everything[generator.choice(20_000, size=40, replace=False)]], resamples=200)
        low, high = interval(drawn.mean_iou)
        covered += bool(low <= truth <= high)
    assert 0.88 <= covered / 200 <= 0.99
