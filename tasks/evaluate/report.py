"""The two reports: `report.html` to open from disk, and `report.md` for the dashboard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts import Artifact
from prolab_model.checkpoint import ModelCard
from tasks.compare.bootstrap import Figures, interval
from tasks.compare.comparison import Difference, Differences
from tasks.dataset import Split
from tasks.evaluate import EvaluateParams
from tasks.evaluate.baseline import ConstantPrediction
from tasks.evaluate.examples import Example
from tasks.evaluate.measure import Measurement
from tasks.evaluate.pictures import jpeg, panels
from tasks.evaluate.unseen import seen_and_unseen
from tasks.page import data_uri, page_environment

LEARNING_CURVE = "learning_curve.png"

_WORST_PAIRS = 6
_PANELS = ("Photo", "Labels", "Prediction")
_NO_SETTINGS = {"split", "baseline", "device"}


@dataclass(frozen=True)
class Cost:
    """What the evaluation took.

    Attributes:
        seconds: wall time by part of the work.
        peak_memory_bytes: highest resident size while photos were predicted.
    """

    seconds: Mapping[str, float]
    peak_memory_bytes: int


@dataclass(frozen=True)
class Evaluation:
    """All that the reports tell of.

    Attributes:
        class_matrix: (N, K), which class has which property.
        figures: of all photos.
        drawn: the same of draws of photos.
        baseline, differences: the evaluation that this one is held against, if there is one.
    """

    params: EvaluateParams
    checkpoint: Artifact
    dataset: Artifact
    split: Split
    card: ModelCard
    class_matrix: npt.NDArray[np.bool_]
    measurement: Measurement
    figures: Figures
    drawn: Figures
    constant: ConstantPrediction
    baseline: Artifact | None
    differences: Differences | None
    examples: Sequence[Example]
    cost: Cost


def write_reports(folder: Path, evaluation: Evaluation) -> None:
    """Write `report.html` and `report.md`; the latter refers to pictures beside it."""
    environment = page_environment("tasks.evaluate")
    values = _values(evaluation)
    for name in ("report.html", "report.md"):
        (folder / name).write_text(environment.get_template(name).render(values), encoding="utf-8")


def _values(evaluation: Evaluation) -> dict[str, Any]:
    inputs = [evaluation.checkpoint, evaluation.dataset, evaluation.baseline]
    return {
        "split": evaluation.params.split,
        "settings": _settings(evaluation.params),
        "photos": len(evaluation.measurement.photos),
        "one_hot": evaluation.card.network["label_space"].get("kind") == "one_hot",
        "decorrelated": evaluation.card.network["label_space"].get("scores") == "decorrelated",
        "several_views": evaluation.params.flip or len(evaluation.params.scales) > 1,
        "headline": _headline(evaluation),
        "constant_class": evaluation.split.classes[evaluation.constant.class_id],
        "baseline": evaluation.baseline.manifest if evaluation.baseline else None,
        "classes": list(_class_rows(evaluation)),
        "seen_and_unseen": seen_and_unseen(evaluation.figures.iou[0], evaluation.split.classes, evaluation.card.unseen),
        "properties": list(_property_rows(evaluation)),
        "mean_average_precision": _mean(evaluation.measurement.properties.average_precision),
        "confusion": _shares(evaluation.measurement.confusion).tolist(),
        "worst_pairs": list(_worst_pairs(evaluation)),
        "examples": [_example(example, evaluation) for example in evaluation.examples],
        "learning_curve": _learning_curve(evaluation.checkpoint),
        "training": _training_rows(evaluation.checkpoint),
        "cost": _cost_rows(evaluation),
        "seconds": sum(evaluation.cost.seconds.values()),
        "peak_memory_bytes": evaluation.cost.peak_memory_bytes,
        "checkpoint": evaluation.checkpoint.manifest,
        "inputs": [artifact.manifest for artifact in inputs if artifact],
        "parameters": evaluation.params.model_dump(mode="json"),
    }


def _settings(params: EvaluateParams) -> dict[str, Any]:
    """What was set otherwise than by default and decides the figures."""
    return {
        name: value
        for name, value in params.model_dump(mode="json", exclude_defaults=True).items()
        if name not in _NO_SETTINGS
    }


def _headline(evaluation: Evaluation) -> list[dict[str, Any]]:
    constant = evaluation.constant.scores
    return [
        _headline_figure("mIoU", "mean IoU of the classes", evaluation, "mean_iou", constant.mean_iou),
        _headline_figure("mAcc", "mean accuracy of the classes", evaluation, "mean_accuracy", constant.mean_accuracy),
        _headline_figure(
            "aAcc", "share of all pixels that are right", evaluation, "pixel_accuracy", constant.pixel_accuracy
        ),
        _headline_figure("mBIoU", "mean IoU of the classes’ boundaries", evaluation, "mean_boundary_iou", None),
    ]


def _headline_figure(
    name: str, meaning: str, evaluation: Evaluation, figure: str, constant: float | None
) -> dict[str, Any]:
    """A card; `figure` is its attribute in `Figures` and `Differences`."""
    low, high = interval(getattr(evaluation.drawn, figure))
    difference: Difference | None = getattr(evaluation.differences, figure) if evaluation.differences else None
    return {
        "name": name,
        "meaning": meaning,
        "ours": float(getattr(evaluation.figures, figure)[0]),
        "low": float(low),
        "high": float(high),
        "constant": constant,
        "difference": difference,
    }


def _class_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    figures, confusion = evaluation.figures, evaluation.measurement.confusion
    low, high = interval(evaluation.drawn.iou)
    mistakes = _shares(confusion)
    np.fill_diagonal(mistakes, 0)
    share = confusion.sum(axis=1) / confusion.sum()
    for class_id, name in enumerate(evaluation.split.classes):
        taken_for = int(np.nan_to_num(mistakes[class_id]).argmax())
        yield {
            "name": name,
            "unseen": name in evaluation.card.unseen,
            "colour": _colour(evaluation, class_id),
            "iou": figures.iou[0, class_id],
            "low": low[class_id],
            "high": high[class_id],
            "accuracy": figures.accuracy[0, class_id],
            "boundary_iou": figures.boundary_iou[0, class_id],
            "share": share[class_id],
            "taken_for": evaluation.split.classes[taken_for] if mistakes[class_id, taken_for] > 0 else None,
            "taken_share": mistakes[class_id, taken_for],
            "difference": evaluation.differences.classes[class_id].iou if evaluation.differences else None,
        }


def _property_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    properties = evaluation.measurement.properties
    for property_id, name in enumerate(evaluation.card.properties):
        yield {
            "name": name,
            "classes": np.flatnonzero(evaluation.class_matrix[:, property_id]).tolist(),
            "average_precision": properties.average_precision[property_id],
            "prevalence": properties.prevalence[property_id],
            "precision": properties.precision[property_id],
            "recall": properties.recall[property_id],
        }


def _worst_pairs(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    confusion, classes = evaluation.measurement.confusion, evaluation.split.classes
    mistakes = confusion * ~np.eye(len(confusion), dtype=bool)
    shares = _shares(confusion)
    for cell in (-mistakes).ravel().argsort(kind="stable")[:_WORST_PAIRS]:
        label, prediction = divmod(int(cell), len(classes))
        if mistakes[label, prediction]:
            yield {
                "label": classes[label],
                "prediction": classes[prediction],
                "share_of_label": shares[label, prediction],
                "share_of_mistakes": mistakes[label, prediction] / mistakes.sum(),
            }


def _example(example: Example, evaluation: Evaluation) -> dict[str, Any]:
    captions = (*_PANELS, evaluation.card.properties[example.telling_property])
    pictures = [data_uri("jpeg", jpeg(picture)) for picture in panels(example, evaluation.split.palette)]
    return {
        "rank": example.rank,
        "name": example.scores.photo.name,
        "mean_iou": example.scores.mean_iou,
        "accuracy": example.scores.pixel_accuracy,
        "panels": list(zip(captions, pictures, strict=True)),
        "pixels": [
            {
                "x": pixel.x,
                "y": pixel.y,
                "right": pixel.ranking[0][0] == pixel.label,
                "label": evaluation.split.classes[pixel.label],
                "ranking": [(evaluation.split.classes[class_id], score) for class_id, score in pixel.ranking],
                "strongest": [
                    {
                        "name": evaluation.card.properties[property_id],
                        "strength": strength,
                        "owned": bool(evaluation.class_matrix[pixel.ranking[0][0], property_id]),
                    }
                    for property_id, strength in pixel.strongest
                ],
            }
            for pixel in example.pixels
        ],
    }


def _learning_curve(checkpoint: Artifact) -> str | None:
    """The picture of it; an imported checkpoint has none."""
    if LEARNING_CURVE not in checkpoint.manifest.files:
        return None
    return data_uri("png", checkpoint.file(LEARNING_CURVE).read_bytes())


def _training_rows(checkpoint: Artifact) -> list[dict[str, Any]]:
    """First and last value of each figure of the learning curve."""
    curve = checkpoint.table("metrics.parquet").to_pandas().sort_values("iteration", kind="stable")
    return [
        {"name": name, "first": points["value"].iloc[0], "last": points["value"].iloc[-1], "points": len(points)}
        for name, points in curve.groupby("name", sort=False)
    ]


def _cost_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    seconds, photos = evaluation.cost.seconds, len(evaluation.measurement.photos)
    total = sum(seconds.values())
    return [
        {"part": part, "seconds": value, "share": value / total, "milliseconds_per_photo": 1000 * value / photos}
        for part, value in seconds.items()
    ]


def _shares(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Each row over its sum; NaN in the rows of classes that do not occur."""
    with np.errstate(invalid="ignore"):
        return np.asarray(confusion / confusion.sum(axis=1, keepdims=True), np.float64)


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(np.nanmean(values))


def _colour(evaluation: Evaluation, class_id: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*evaluation.split.palette[class_id])
