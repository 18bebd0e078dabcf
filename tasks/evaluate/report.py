"""The two reports: `report.html` to open from disk, and `report.md` for the dashboard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts import Artifact
from prolab_model.checkpoint import ModelCard
from tasks.dataset import Split
from tasks.evaluate import EvaluateParams
from tasks.evaluate.baseline import ConstantPrediction
from tasks.evaluate.examples import Example
from tasks.evaluate.measure import Measurement
from tasks.evaluate.pictures import jpeg, panels
from tasks.page import data_uri, page_environment

_WORST_PAIRS = 6
_PANELS = ("Photo", "Labels", "Prediction")


@dataclass(frozen=True)
class Evaluation:
    """All that the reports tell of; `class_matrix` is (N, K)."""

    params: EvaluateParams
    checkpoint: Artifact
    dataset: Artifact
    split: Split
    card: ModelCard
    class_matrix: npt.NDArray[np.bool_]
    measurement: Measurement
    constant: ConstantPrediction
    examples: Sequence[Example]


def write_reports(folder: Path, evaluation: Evaluation) -> None:
    """Write `report.html` and `report.md`; the latter refers to `overlays.png` beside it."""
    environment = page_environment("tasks.evaluate")
    environment.filters |= {"percent": _percent, "points": _points}
    values = _values(evaluation)
    for name in ("report.html", "report.md"):
        (folder / name).write_text(environment.get_template(name).render(values), encoding="utf-8")


def _values(evaluation: Evaluation) -> dict[str, Any]:
    scores, constant = evaluation.measurement.scores, evaluation.constant.scores
    return {
        "split": evaluation.params.split,
        "photos": len(evaluation.measurement.photos),
        "headline": [
            _figure("mIoU", "mean IoU of the classes", scores.mean_iou, constant.mean_iou),
            _figure("mAcc", "mean accuracy of the classes", scores.mean_accuracy, constant.mean_accuracy),
            _figure("aAcc", "share of all pixels that are right", scores.pixel_accuracy, constant.pixel_accuracy),
        ],
        "constant_class": evaluation.split.classes[evaluation.constant.class_id],
        "classes": list(_class_rows(evaluation)),
        "properties": list(_property_rows(evaluation)),
        "mean_average_precision": _mean(evaluation.measurement.properties.average_precision),
        "confusion": _shares(evaluation.measurement.confusion).tolist(),
        "worst_pairs": list(_worst_pairs(evaluation)),
        "examples": [_example(example, evaluation) for example in evaluation.examples],
        "learning_curve": _learning_curve(evaluation.checkpoint),
        "training": _training_rows(evaluation.checkpoint),
        "checkpoint": evaluation.checkpoint.manifest,
        "inputs": [evaluation.checkpoint.manifest, evaluation.dataset.manifest],
        "parameters": evaluation.params.model_dump(mode="json"),
    }


def _figure(name: str, meaning: str, ours: float, constant: float) -> dict[str, Any]:
    return {"name": name, "meaning": meaning, "ours": ours, "constant": constant}


def _class_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    scores, confusion = evaluation.measurement.scores, evaluation.measurement.confusion
    mistakes = _shares(confusion)
    np.fill_diagonal(mistakes, 0)
    share = confusion.sum(axis=1) / confusion.sum()
    for class_id, name in enumerate(evaluation.split.classes):
        taken_for = int(np.nan_to_num(mistakes[class_id]).argmax())
        yield {
            "name": name,
            "colour": _colour(evaluation, class_id),
            "iou": scores.iou[class_id],
            "accuracy": scores.accuracy[class_id],
            "share": share[class_id],
            "taken_for": evaluation.split.classes[taken_for] if mistakes[class_id, taken_for] > 0 else None,
            "taken_share": mistakes[class_id, taken_for],
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
    if "learning_curve.png" not in checkpoint.manifest.files:
        return None
    return data_uri("png", checkpoint.file("learning_curve.png").read_bytes())


def _training_rows(checkpoint: Artifact) -> list[dict[str, Any]]:
    """First and last value of each figure of the learning curve."""
    curve = checkpoint.table("metrics.parquet").to_pandas().sort_values("iteration", kind="stable")
    return [
        {"name": name, "first": points["value"].iloc[0], "last": points["value"].iloc[-1], "points": len(points)}
        for name, points in curve.groupby("name", sort=False)
    ]


def _shares(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Each row over its sum; NaN in the rows of classes that do not occur."""
    with np.errstate(invalid="ignore"):
        return np.asarray(confusion / confusion.sum(axis=1, keepdims=True), np.float64)


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(np.nanmean(values))


def _colour(evaluation: Evaluation, class_id: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*evaluation.split.palette[class_id])


def _percent(share: float, digits: int = 1) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.{digits}f}"


def _points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "−")
