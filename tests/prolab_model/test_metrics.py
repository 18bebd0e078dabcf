from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from prolab_model import openmmlab  # noqa: F401  # makes mmseg importable without mmcv's compiled operators
from prolab_model.data import LabelRules, read_labels
from prolab_model.dataset_config import IGNORED
from prolab_model.metrics import boundary_areas, boundary_iou, confusion_matrix, scores

# isort: split
from mmseg.core.evaluation.metrics import eval_metrics, intersect_and_union, pre_eval_to_metrics

ClassIds = npt.NDArray[np.uint8]


def regions(seed: int, shape: tuple[int, int], classes: int, sites: int = 25) -> ClassIds:
    """Class ids (H, W) in the regions nearest to random sites."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(0, classes, sites, dtype=np.uint8)
    rows, columns = generator.random((2, sites)) * np.array(shape)[:, None]
    row, column = np.ogrid[: shape[0], : shape[1]]
    nearest = ((row[..., None] - rows) ** 2 + (column[..., None] - columns) ** 2).argmin(axis=-1)
    return np.asarray(ids[nearest], np.uint8)


def assert_figures_are_mmsegmentations(labels: list[ClassIds], predictions: list[ClassIds], classes: int) -> None:
    total = sum(confusion_matrix(*maps, classes) for maps in zip(labels, predictions, strict=True))
    ours = scores(np.asarray(total))
    for theirs in (
        eval_metrics([each.astype(np.int64) for each in predictions], labels, classes, IGNORED),
        pre_eval_to_metrics(
            [
                intersect_and_union(prediction, label, classes, IGNORED)
                for label, prediction in zip(labels, predictions, strict=True)
            ]
        ),
    ):
        np.testing.assert_allclose(ours.iou, theirs["IoU"], rtol=1e-6)
        np.testing.assert_allclose(ours.accuracy, theirs["Acc"], rtol=1e-6)
        assert ours.pixel_accuracy == pytest.approx(float(theirs["aAcc"]), rel=1e-6)
        # What mmsegmentation's data sets make of them.
        assert round(100 * ours.mean_iou, 2) == round(100 * float(np.nanmean(theirs["IoU"])), 2)
        assert round(100 * ours.mean_accuracy, 2) == round(100 * float(np.nanmean(theirs["Acc"])), 2)


def test_figures_by_hand() -> None:
    labels = np.array([[0, 0, 1, IGNORED]], dtype=np.uint8)
    predictions = np.array([[0, 1, 1, 0]], dtype=np.uint8)
    confusion = confusion_matrix(labels, predictions, classes=3)
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    figures = scores(confusion)
    np.testing.assert_allclose(figures.iou, [0.5, 0.5, np.nan])
    np.testing.assert_allclose(figures.accuracy, [0.5, 1.0, np.nan])
    assert figures.mean_iou == pytest.approx(0.5)
    assert figures.mean_accuracy == pytest.approx(0.75)
    assert figures.pixel_accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize("classes", [7, 150, 255])
def test_figures_are_mmsegmentations(classes: int) -> None:
    """With ignored pixels, an image without labels, and classes that lack predictions, labels, or both."""
    generator = np.random.default_rng(0)
    labels = list(generator.integers(0, classes, (4, 40, 30), dtype=np.uint8))
    predictions = list(generator.integers(0, classes, (4, 40, 30), dtype=np.uint8))
    for label, prediction in zip(labels, predictions, strict=True):
        prediction[20:] = label[20:]
        prediction[prediction == 4] = 3
        prediction[prediction == 6] = 0
        label[label == 5] = 4
        label[label == 6] = 0
        label[:3] = IGNORED
    labels[3][:] = IGNORED
    assert_figures_are_mmsegmentations(labels, predictions, classes)


def test_figures_of_real_maps_are_mmsegmentations(shared_data: Path) -> None:
    """Neighbouring frames of a film, one as the prediction of the other."""
    paths = sorted((shared_data / "camvid/labels/val").glob("*.png"))[:6]
    labels = [read_labels(path, LabelRules(ignore_index=11, reduce_zero_label=False)) for path in paths]
    predictions = [np.where(each == IGNORED, np.uint8(0), each) for each in labels[1:]]
    assert_figures_are_mmsegmentations(labels[:-1], predictions, 11)


def test_counts_beyond_float32_are_exact() -> None:
    labels = np.zeros((2**13, 2**11 + 1), np.uint8)
    assert confusion_matrix(labels, labels, 1).item() == labels.size


@pytest.mark.parametrize(("label", "prediction"), [(3, 0), (0, 3), (0, IGNORED)])
def test_ids_that_are_no_classes_are_refused(label: int, prediction: int) -> None:
    labels, predictions = (np.full((2, 2), id_, np.uint8) for id_ in (label, prediction))
    with pytest.raises(ValueError, match=f"3 classes, but labels up to {label} and predictions up to {prediction}"):
        confusion_matrix(labels, predictions, 3)


@pytest.mark.parametrize(
    "predictions", [np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.int64)], ids=["other shape", "other type"]
)
def test_what_are_no_maps_of_one_size_is_refused(predictions: npt.NDArray[np.uint8]) -> None:
    for count in (confusion_matrix, boundary_areas):
        with pytest.raises(ValueError, match=r"expected \(H, W\) uint8 each"):
            count(np.zeros((2, 2), np.uint8), predictions, 3)


def test_boundary_iou_by_hand() -> None:
    """A square whose prediction is shifted by one pixel; the distance is one pixel."""
    labels, predictions = np.zeros((2, 30, 30), np.uint8)
    labels[10:14, 10:14] = predictions[10:14, 11:15] = 1
    labels[20:, 20:] = IGNORED
    areas = boundary_areas(labels, predictions, 3)
    # Of the two rings of 12 pixels, three lie on each other at the top and at the bottom.
    assert areas[:, 1].tolist() == [6, 12, 12]
    # The image's border, what lies along the ignored corner and not on that border, and the ring around the square.
    assert areas[1, 0] == (4 * 29 - 19) + (21 - 2) + 20
    np.testing.assert_allclose(boundary_iou(areas)[1:], [6 / 18, np.nan])


def boundary(mask: npt.NDArray[np.bool_], distance: int) -> npt.NDArray[np.bool_]:
    """Pixels of a mask with a pixel outside of it, or the image's border, in the square around them."""
    outside = np.pad(~mask, distance, constant_values=True)
    squares = np.lib.stride_tricks.sliding_window_view(outside, (2 * distance + 1, 2 * distance + 1))
    return np.asarray(mask & squares.any(axis=(2, 3)))


@pytest.mark.parametrize(
    ("shape", "distance"), [((24, 32), 1), ((60, 80), 2), ((75, 100), 2), ((100, 151), 4), ((1, 1), 1), ((3, 200), 4)]
)
def test_boundary_areas_are_those_of_the_definition(shape: tuple[int, int], distance: int) -> None:
    labels, predictions = regions(0, shape, 5), regions(1, shape, 5)
    predictions[shape[0] // 3 :] = np.roll(labels, 1, axis=1)[shape[0] // 3 :]
    labels[regions(2, shape, 4) == 0] = IGNORED
    areas = boundary_areas(labels, predictions, 6)
    for class_id in range(6):
        labelled = boundary(labels == class_id, distance)
        predicted = boundary((predictions == class_id) & (labels != IGNORED), distance)
        assert areas[:, class_id].tolist() == [(labelled & predicted).sum(), labelled.sum(), predicted.sum()]


def test_boundary_is_a_mask_less_its_erosions() -> None:
    """The definition of the authors' code: a step of erosion for each pixel of distance, nothing around the image."""
    labels = regions(0, (300, 400), 3, sites=6)
    areas = boundary_areas(labels, labels, 3)[1]
    assert 0 < areas.sum() < labels.size
    for class_id, area in enumerate(areas):
        mask = (labels == class_id).astype(np.uint8)
        padded = np.pad(mask, 1)
        eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=10)[1:-1, 1:-1]
        assert area == (mask - eroded).sum()


def test_boundary_iou_is_of_sums() -> None:
    pairs = [(regions(seed, (50, 60), 4), regions(seed + 10, (50, 60), 4)) for seed in range(3)]
    total = sum(boundary_areas(*pair, 4) for pair in pairs)
    both, labelled, predicted = np.asarray(total)
    np.testing.assert_allclose(boundary_iou(np.asarray(total)), both / (labelled + predicted - both))
