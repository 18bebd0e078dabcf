from __future__ import annotations

import numpy as np
import pytest
from mmseg.core.evaluation.metrics import eval_metrics

from prolab_model.dataset_config import IGNORED
from prolab_model.metrics import confusion_matrix, scores


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


def test_figures_are_mmsegmentations() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 7, (4, 20, 30), dtype=np.uint8)
    labels[:, :3] = IGNORED
    labels[labels == 5] = 4  # a class that is predicted and does not occur
    predictions = generator.integers(0, 6, (4, 20, 30), dtype=np.uint8)
    total = sum(confusion_matrix(label, prediction, 7) for label, prediction in zip(labels, predictions, strict=True))
    ours = scores(np.asarray(total))
    theirs = eval_metrics(list(predictions), list(labels), 7, IGNORED)
    np.testing.assert_allclose(ours.iou, theirs["IoU"], rtol=1e-6)
    np.testing.assert_allclose(ours.accuracy, theirs["Acc"], rtol=1e-6)
    assert ours.pixel_accuracy == pytest.approx(float(theirs["aAcc"]), rel=1e-6)
