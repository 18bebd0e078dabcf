"""The stage on a small real network and data set."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from artifacts import Artifact, Store
from prolab_model.checkpoint import load_model
from prolab_model.metrics import confusion_matrix, scores
from prolab_model.predictor import Predictor
from tasks import evaluate
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.progress import SilentProgress

Publish = Callable[[tuple[str, ...]], Artifact]


def run(store: Store, checkpoint: Artifact, dataset: Artifact, **params: str) -> Artifact:
    inputs = {"checkpoint": checkpoint, "dataset": dataset}
    return run_stage(evaluate.STAGE, evaluate.EvaluateParams(**params), inputs, store, SilentProgress()).artifact


@pytest.fixture(scope="module")
def evaluation(store: Store, checkpoint: Artifact, dataset: Artifact) -> Artifact:
    return run(store, checkpoint, dataset)


def test_the_figures_are_those_of_the_predictions(evaluation: Artifact, checkpoint: Artifact, data_root: Path) -> None:
    segmentor, _ = load_model(checkpoint.path)
    predictor = Predictor(segmentor)
    total = np.zeros((3, 3), np.int64)
    for number in range(2):
        image = cv2.imread(str(data_root / f"images/val/{number}.png"))[..., ::-1]
        labels = cv2.imread(str(data_root / f"labels/val/{number}.png"), cv2.IMREAD_UNCHANGED)
        total += confusion_matrix(labels, predictor.predict(np.ascontiguousarray(image)).labels, 3)

    assert evaluation.table("confusion.parquet")["pixels"].to_pylist() == total.ravel().tolist()
    expected = scores(total)
    np.testing.assert_allclose(evaluation.table("per_class.parquet")["iou"].to_numpy(), expected.iou)
    assert evaluation.manifest.summary["miou"] == round(100 * expected.mean_iou, 2)
    assert evaluation.manifest.summary["macc"] == round(100 * expected.mean_accuracy, 2)
    assert evaluation.manifest.summary["aacc"] == round(100 * expected.pixel_accuracy, 2)
    assert evaluation.manifest.summary["images"] == 3


def test_the_constant_prediction_is_the_commonest_class_of_train(evaluation: Artifact) -> None:
    labelled = 2 * 96 * (128 - 4)
    others = 2 * 30 * 50 + 30 * (128 - 50) + 30 * (128 - 60)
    share = (labelled - others) / labelled
    assert evaluation.manifest.summary["constant_aacc"] == round(100 * share, 2)
    assert evaluation.manifest.summary["constant_miou"] == round(100 * share / 3, 2)


def test_a_photo_without_labels_has_no_figures_and_no_influence(evaluation: Artifact) -> None:
    per_image = evaluation.table("per_image.parquet").to_pandas().set_index("image")
    assert per_image.index.tolist() == ["images/val/0.png", "images/val/1.png", "images/val/2.png"]
    assert per_image["miou"].isna().tolist() == [False, False, True]


def test_properties_are_named_and_counted(evaluation: Artifact) -> None:
    rows = evaluation.table("per_property.parquet").to_pandas()
    assert rows["name"].tolist() == ["green & flat", "red", "blue", "wet"]
    assert rows["average_precision"].between(0, 1).all()
    # "blue" and "wet" belong to the same class.
    assert rows["pixels"][2] == rows["pixels"][3] > 0


def test_the_report_is_self_contained_and_escapes_names(evaluation: Artifact) -> None:
    report = evaluation.file("report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in report
    assert "a|b &lt;script&gt;" in report
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", report)
    markdown = evaluation.file("report.md").read_text(encoding="utf-8")
    assert "| a\\|b &lt;script&gt;alert(1)&lt;/script&gt; |" in markdown
    assert "(overlays.png)" in markdown


def test_precision_is_part_of_the_key_and_the_device_is_not(
    store: Store, checkpoint: Artifact, dataset: Artifact, evaluation: Artifact
) -> None:
    other = run(store, checkpoint, dataset, precision="bfloat16")
    assert other.manifest.key != evaluation.manifest.key
    assert run(store, checkpoint, dataset, device="cpu").version == evaluation.version


def test_an_unknown_split_is_named(store: Store, checkpoint: Artifact, dataset: Artifact) -> None:
    with pytest.raises(InputError, match=r"'test'.*train, val"):
        run(store, checkpoint, dataset, split="test")


def test_other_classes_are_refused(store: Store, publish_checkpoint: Publish, dataset: Artifact) -> None:
    other = publish_checkpoint(("meadow", "barn", "pond"))
    with pytest.raises(InputError, match="only in the checkpoint: barn"):
        run(store, other, dataset)


def test_classes_in_another_order_are_refused(store: Store, publish_checkpoint: Publish, dataset: Artifact) -> None:
    classes = tuple(dataset.table("classes.parquet")["name"].to_pylist())
    with pytest.raises(InputError, match="their order differs"):
        run(store, publish_checkpoint(classes[::-1]), dataset)
