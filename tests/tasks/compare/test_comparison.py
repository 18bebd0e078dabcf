"""Two real evaluations side by side, and the page on them."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import pytest

from artifacts import Artifact, Store
from tasks import evaluate, index
from tasks.compare.comparison import compare
from tasks.compare.report import write_comparison
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.progress import SilentProgress
from tests.checkpoints import make_checkpoint
from tests.squares import CLASSES, draw_squares


def measure(store: Store, checkpoint: Artifact, dataset: Artifact, split: str = "val") -> Artifact:
    inputs = {"checkpoint": checkpoint, "dataset": dataset}
    return run_stage(evaluate.STAGE, evaluate.EvaluateParams(split=split), inputs, store, SilentProgress()).artifact


@pytest.fixture(scope="module")
def properties(store: Store, dataset: Artifact) -> Artifact:
    return measure(store, make_checkpoint(store), dataset)


@pytest.fixture(scope="module")
def one_hot(store: Store, dataset: Artifact) -> Artifact:
    return measure(store, make_checkpoint(store, one_hot=True), dataset)


def test_a_property_model_against_a_one_hot_model(properties: Artifact, one_hot: Artifact) -> None:
    comparison = compare(one_hot, properties)
    differences = comparison.differences
    assert round(100 * differences.mean_iou.a, 2) == one_hot.manifest.summary["miou"]
    assert round(100 * differences.mean_iou.b, 2) == properties.manifest.summary["miou"]
    assert differences.mean_iou.low <= differences.mean_iou.value <= differences.mean_iou.high
    assert [item.name for item in differences.classes] == list(CLASSES)
    assert [photo.name for photo in comparison.photos if photo.name.endswith("2.png")] == [], "it has no label"
    assert len(comparison.photos) == 2


def test_the_page_is_self_contained_and_escapes_names(properties: Artifact, one_hot: Artifact, tmp_path: Path) -> None:
    page = tmp_path / "comparison.html"
    write_comparison(page, compare(one_hot, properties), ())
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "a|b &lt;script&gt;" in text
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "from chance" in text
    assert cv2.imread(str(tmp_path / "comparison.png")) is not None


def test_the_page_on_an_evaluation_and_itself(properties: Artifact, tmp_path: Path) -> None:
    write_comparison(tmp_path / "same.html", compare(properties, properties), ())
    assert "No photo changed." in (tmp_path / "same.html").read_text(encoding="utf-8")


def test_another_split_is_refused(store: Store, dataset: Artifact, properties: Artifact) -> None:
    other = measure(store, make_checkpoint(store), dataset, split="train")
    with pytest.raises(InputError, match=f"{other.reference} .* the same split, got 'train' and 'val'"):
        compare(other, properties)


def test_other_photos_are_refused(store: Store, properties: Artifact, tmp_path: Path) -> None:
    config = draw_squares(tmp_path)
    (tmp_path / "images/train/1.png").unlink()
    (tmp_path / "labels/train/1.png").unlink()
    params = index.IndexParams(config=config, root=tmp_path)
    fewer = run_stage(index.STAGE, params, {}, store, SilentProgress()).artifact
    other = measure(store, make_checkpoint(store), fewer)
    with pytest.raises(InputError, match="expected the same photos, labels and classes"):
        compare(properties, other)
