"""Times the metrics of label maps against mmsegmentation's, and boundary IoU against a loop over classes.

Maps of 1024 x 2048 pixels, 150 classes in wavy regions, on one thread, in one process; times are the processor's. The
loop does for each class that occurs what the definition of boundary IoU says: erode its two masks, and compare what is
left out.
Run: python -m tests.benchmarks.metrics
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from prolab_model import openmmlab  # noqa: F401  # makes mmseg importable without mmcv's compiled operators
from prolab_model.dataset_config import IGNORED
from prolab_model.metrics import BOUNDARY_SHARE, boundary_areas, boundary_iou, confusion_matrix, scores
from tests.benchmarks.original_order import forget_peak, peak

# isort: split
from mmseg.core.evaluation.metrics import intersect_and_union, pre_eval_to_metrics

HEIGHT, WIDTH, CLASSES = 1024, 2048, 150
ClassIds = npt.NDArray[np.uint8]
Figures = npt.NDArray[np.float64]
Maps = Sequence[tuple[ClassIds, ClassIds]]


def draw(generator: np.random.Generator) -> tuple[ClassIds, ClassIds]:
    """Labels, of which a tenth is ignored, and a prediction that is wrong along borders and in some regions."""
    ids = generator.integers(0, CLASSES, (6, 12), dtype=np.uint8)
    labels, predictions = (_wavy(ids, generator.random(2)) for _ in range(2))
    predictions[:, : WIDTH // 10] = generator.integers(0, CLASSES, dtype=np.uint8)
    labels[-HEIGHT // 10 :] = IGNORED
    return labels, predictions


def _wavy(ids: ClassIds, phases: npt.NDArray[np.float64]) -> ClassIds:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    moved_rows = rows / HEIGHT * len(ids) + 0.3 * np.sin(columns / 90 + phases[0]) + 0.05 * np.sin(columns / 7)
    moved_columns = columns / WIDTH * ids.shape[1] + 0.3 * np.sin(rows / 90 + phases[1]) + 0.05 * np.sin(rows / 7)
    nearest = (moved_rows.astype(int).clip(0, len(ids) - 1), moved_columns.astype(int).clip(0, ids.shape[1] - 1))
    return np.asarray(ids[nearest], np.uint8)


def mmsegmentation(maps: Maps) -> Figures:
    """IoU of the classes by mmsegmentation's streamed evaluation."""
    areas = [intersect_and_union(predictions, labels, CLASSES, IGNORED) for labels, predictions in maps]
    return np.asarray(pre_eval_to_metrics(areas)["IoU"], np.float64)


def confusion(maps: Maps) -> Figures:
    """IoU of the classes by confusion matrices."""
    total = np.zeros((CLASSES, CLASSES), np.int64)
    for labels, predictions in maps:
        total += confusion_matrix(labels, predictions, CLASSES)
    return scores(total).iou


def boundary(maps: Maps) -> Figures:
    """Boundary IoU of the classes, all at once."""
    total = np.zeros((3, CLASSES), np.int64)
    for labels, predictions in maps:
        total += boundary_areas(labels, predictions, CLASSES)
    return boundary_iou(total)


def boundary_class_by_class(maps: Maps) -> Figures:
    """Boundary IoU of the classes by erosions of every mask."""
    total = np.zeros((3, CLASSES), np.int64)
    for labels, predictions in maps:
        labelled_predictions = np.where(labels == IGNORED, IGNORED, predictions).astype(np.uint8)
        for class_id in np.setdiff1d(np.union1d(labels, labelled_predictions), IGNORED):
            masks = [(ids == class_id).astype(np.uint8) for ids in (labels, labelled_predictions)]
            labelled, predicted = (mask - _eroded(mask) for mask in masks)
            total[:, class_id] += [np.count_nonzero(each) for each in (labelled & predicted, labelled, predicted)]
    return boundary_iou(total)


def _eroded(mask: ClassIds) -> ClassIds:
    steps = max(1, round(BOUNDARY_SHARE * np.hypot(*mask.shape)))
    padded = np.pad(mask, 1)
    return np.asarray(cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)[1:-1, 1:-1], np.uint8)


def measure(figures: Callable[[Maps], Figures], maps: Maps, repeats: int) -> tuple[float, float, Figures]:
    """Milliseconds of processor time a map in the fastest of some runs, MiB beyond those held before, the figures."""
    figures(maps[:1])
    forget_peak()
    before, seconds = peak(), []
    for _ in range(repeats):
        start = time.process_time()
        found = figures(maps)
        seconds.append(time.process_time() - start)
    return 1000 * min(seconds) / len(maps), 1024 * (peak() - before), found


def main() -> None:
    """Print time and memory of both sides with few maps and with many, and whether the figures are the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, nargs=2, default=(5, 20))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    maps = [draw(generator) for _ in range(max(arguments.maps))]
    print(f"{'':36} maps  ms a map  ratio  MiB")
    for name, theirs, ours in (("mIoU", mmsegmentation, confusion), ("boundary", boundary_class_by_class, boundary)):
        for count in arguments.maps:
            slow, slow_memory, expected = measure(theirs, maps[:count], arguments.repeats)
            fast, fast_memory, found = measure(ours, maps[:count], arguments.repeats)
            same = np.allclose(found, expected, rtol=1e-6, equal_nan=True)
            print(
                f"{name + ', ' + theirs.__name__.replace('_', ' '):36} {count:4} {slow:9.1f} {1:6} {slow_memory:4.0f}"
            )
            print(
                f"{name + ', ours':36} {count:4} {fast:9.1f} {slow / fast:6.1f} {fast_memory:4.0f}  "
                f"{'same figures' if same else 'OTHER FIGURES'}"
            )


if __name__ == "__main__":
    main()
