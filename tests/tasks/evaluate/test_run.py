"""The stage on a small real network and data set."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from artifacts import Artifact, Store
from prolab_model.checkpoint import load_model
from prolab_model.metrics import boundary_areas, boundary_iou, confusion_matrix, scores
from prolab_model.predictor import Predictor
from tasks import evaluate
from tasks.compare.bootstrap import figures
from tasks.compare.comparison import compare
from tasks.compare.counts import read_counts
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.progress import SilentProgress
from tests.checkpoints import make_checkpoint
from tests.squares import CLASSES

Publish = Callable[[tuple[str, ...]], Artifact]


def run(store: Store, checkpoint: Artifact, dataset: Artifact, **params: Any) -> Artifact:
    inputs = {"checkpoint": checkpoint, "dataset": dataset}
    return run_stage(evaluate.STAGE, evaluate.EvaluateParams(**params), inputs, store, SilentProgress()).artifact


@pytest.fixture(scope="module")
def evaluation(store: Store, checkpoint: Artifact, dataset: Artifact) -> Artifact:
    return run(store, checkpoint, dataset)


def counts(predictor: Predictor, data_root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Confusion matrix and areas of boundaries of the photos that have labels."""
    confusion, boundary = np.zeros((3, 3), np.int64), np.zeros((3, 3), np.int64)
    for number in range(2):
        image = cv2.imread(str(data_root / f"images/val/{number}.png"))[..., ::-1]
        labels = cv2.imread(str(data_root / f"labels/val/{number}.png"), cv2.IMREAD_UNCHANGED)
        prediction = predictor.predict(np.ascontiguousarray(image)).labels
        confusion += confusion_matrix(labels, prediction, 3)
        boundary += boundary_areas(labels, prediction, 3)
    return confusion, boundary


def test_the_figures_are_those_of_the_predictions(evaluation: Artifact, checkpoint: Artifact, data_root: Path) -> None:
    segmentor, _ = load_model(checkpoint.path)
    total, boundary = counts(Predictor(segmentor), data_root)
    assert evaluation.table("confusion.parquet")["pixels"].to_pylist() == total.ravel().tolist()
    expected = scores(total)
    per_class = evaluation.table("per_class.parquet")
    np.testing.assert_allclose(per_class["iou"].to_numpy(), expected.iou)
    np.testing.assert_allclose(per_class["boundary_iou"].to_numpy(), boundary_iou(boundary))
    assert evaluation.manifest.summary["boundary_miou"] == round(100 * float(np.nanmean(boundary_iou(boundary))), 2)
    assert evaluation.manifest.summary["miou"] == round(100 * expected.mean_iou, 2)
    assert evaluation.manifest.summary["macc"] == round(100 * expected.mean_accuracy, 2)
    assert evaluation.manifest.summary["aacc"] == round(100 * expected.pixel_accuracy, 2)
    assert evaluation.manifest.summary["images"] == 3


def test_several_scales_and_flip_are_averaged(
    store: Store, checkpoint: Artifact, dataset: Artifact, data_root: Path
) -> None:
    params = {"scales": (0.75, 1.25), "flip": True}
    segmentor, _ = load_model(checkpoint.path)
    total, _ = counts(Predictor(segmentor, **params), data_root)
    other = run(store, checkpoint, dataset, **params)
    assert other.table("confusion.parquet")["pixels"].to_pylist() == total.ravel().tolist()


@pytest.mark.parametrize("scales", [(), (0.0,), (float("inf"),)])
def test_scales_that_are_none_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="scales"):
        evaluate.EvaluateParams(scales=scales)


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
    assert "(overlays.jpg)" in markdown


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


def test_the_counts_of_single_photos_add_up_to_the_figures(evaluation: Artifact) -> None:
    counts = read_counts(evaluation)
    assert counts.shape == (3, 6, 3)
    assert not counts[2].any(), "the last photo has no label"
    found = figures(counts)
    np.testing.assert_allclose(found.iou[0], evaluation.table("per_class.parquet")["iou"].to_numpy())
    np.testing.assert_allclose(found.boundary_iou[0], evaluation.table("per_class.parquet")["boundary_iou"].to_numpy())
    summary = evaluation.manifest.summary
    assert summary["miou_low"] <= summary["miou"] <= summary["miou_high"]


def test_the_report_says_where_the_time_went_and_shows_its_pictures_in_the_dashboard(evaluation: Artifact) -> None:
    report = evaluation.file("report.html").read_text(encoding="utf-8")
    for part in ("loading", "network", "metrics", "pictures"):
        assert f'<th scope="row">{part}</th>' in report
    assert "GB of memory" in report
    markdown = evaluation.file("report.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\((\S+)\)", markdown)
    assert pictures == ["overlays.jpg", "confusion.png", "learning_curve.png"]
    assert all(cv2.imread(str(evaluation.file(name))) is not None for name in pictures)


def test_classes_that_it_was_not_trained_on_are_told_apart(
    store: Store, dataset: Artifact, evaluation: Artifact
) -> None:
    evaluated = run(store, make_checkpoint(store, unseen=(CLASSES[2],)), dataset)

    rows = evaluated.table("per_class.parquet").to_pandas()
    seen, unseen = rows["iou"][:2].mean(), rows["iou"][2]
    summary = evaluated.manifest.summary
    assert summary["miou_seen"] == pytest.approx(100 * seen, abs=0.01)
    assert summary["miou_unseen"] == pytest.approx(100 * unseen, abs=0.01)
    assert summary["miou_harmonic"] == pytest.approx(100 * 2 * seen * unseen / (seen + unseen), abs=0.01)
    assert evaluated.file("report.html").read_text(encoding="utf-8").count('class="muted">not trained on') == 1
    assert f"| {CLASSES[2]} (not trained on) |" in evaluated.file("report.md").read_text(encoding="utf-8")
    assert "miou_seen" not in evaluation.manifest.summary
    assert "not trained on" not in evaluation.file("report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("one_hot", [False, True])
def test_a_baseline_stands_beside_the_figures(
    store: Store, dataset: Artifact, evaluation: Artifact, one_hot: bool
) -> None:
    checkpoint = make_checkpoint(store, seed=1, one_hot=one_hot)
    inputs = {"checkpoint": checkpoint, "dataset": dataset, "baseline": evaluation}
    params = evaluate.EvaluateParams(baseline=evaluation.version)
    made = run_stage(evaluate.BASELINE_STAGE, params, inputs, store, SilentProgress()).artifact
    difference = compare(evaluation, made).differences.mean_iou
    assert round(100 * difference.b, 2) == made.manifest.summary["miou"]
    for name in ("report.html", "report.md"):
        report = made.file(name).read_text(encoding="utf-8")
        assert evaluation.reference in report
        assert f"{100 * difference.low:+.1f}".replace("-", "−") in report
        assert "distinguishable" in report
        assert ("one-hot" in report) == (one_hot and name == "report.html")
    assert "(differences.png)" in made.file("report.md").read_text(encoding="utf-8")


def test_a_baseline_on_another_split_is_refused(store: Store, checkpoint: Artifact, dataset: Artifact) -> None:
    other = run(store, checkpoint, dataset, split="train")
    inputs = {"checkpoint": checkpoint, "dataset": dataset, "baseline": other}
    params = evaluate.EvaluateParams(baseline=other.version)
    with pytest.raises(InputError, match=rf"{other.reference} and this evaluation .* the same split, got 'train' and"):
        run_stage(evaluate.BASELINE_STAGE, params, inputs, store, SilentProgress())
