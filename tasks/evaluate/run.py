"""Makes the `evaluation` artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import JsonValue

from artifacts import Artifact
from prolab_model.checkpoint import ModelCard, load_model, read_card
from prolab_model.predictor import Predictor
from prolab_model.segmentor import PropertySegmentor
from tasks.dataset import Split, read_split
from tasks.device import choose_device
from tasks.errors import InputError
from tasks.evaluate import EvaluateParams
from tasks.evaluate.baseline import constant_prediction
from tasks.evaluate.examples import pick_examples
from tasks.evaluate.measure import Measurement, measure
from tasks.evaluate.photos import list_photos
from tasks.evaluate.pictures import draw_overlays
from tasks.evaluate.report import Evaluation, write_reports
from tasks.kinds import EVALUATION
from tasks.stage import StageContext


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Predict a split, write tables, pictures and reports.

    Raises:
        InputError: the split does not exist, its files are not those that were indexed, or the checkpoint
            knows other classes than the data set.
    """
    params: EvaluateParams = context.params
    checkpoint, dataset = context.inputs["checkpoint"], context.inputs["dataset"]
    split = read_split(dataset, params.split)
    segmentor, card = _load(checkpoint, split.classes)
    photos = list_photos(dataset, params.split, split)
    class_matrix = segmentor.label_space.class_matrix.bool().numpy()
    predictor = _predictor(segmentor, card, params)

    measurement = measure(predictor, photos, split.rules, class_matrix, context.progress)
    examples = pick_examples(predictor, measurement.photos, split.rules, class_matrix)
    constant = constant_prediction(read_split(dataset, "train").class_pixels, measurement.confusion)
    evaluation = Evaluation(params, checkpoint, dataset, split, card, class_matrix, measurement, constant, examples)

    _write_tables(context.output, split, card, measurement)
    draw_overlays(context.output / "overlays.png", examples, split, card.properties)
    write_reports(context.output, evaluation)
    scores = measurement.scores
    return {
        "miou": _percent(scores.mean_iou),
        "macc": _percent(scores.mean_accuracy),
        "aacc": _percent(scores.pixel_accuracy),
        "constant_miou": _percent(constant.scores.mean_iou),
        "constant_aacc": _percent(constant.scores.pixel_accuracy),
        "images": len(photos),
    }


def _load(checkpoint: Artifact, classes: Sequence[str]) -> tuple[PropertySegmentor, ModelCard]:
    """The network that predicts these classes; one that was trained on several data sets may know others, too.

    Raises:
        InputError: it knows no data set of these classes.
    """
    card = read_card(checkpoint.path)
    if not card.datasets:
        _require_same_classes(card.classes, classes)
        return load_model(checkpoint.path)
    for dataset in card.datasets:
        if card.classes[card.rows(dataset)] == classes:
            return load_model(checkpoint.path, dataset)
    raise InputError(
        f"the checkpoint was trained on {', '.join(card.datasets)}, none of which has the data set's classes: "
        f"{', '.join(classes)}"
    )


def _require_same_classes(known: Sequence[str], classes: Sequence[str]) -> None:
    if known == classes:
        return
    unknown = [name for name in classes if name not in known]
    missing = [name for name in known if name not in classes]
    raise InputError(
        f"the checkpoint was trained on other classes than the data set has:"
        f" it has {', '.join(known)}; the data set has {', '.join(classes)};"
        f" only in the checkpoint: {', '.join(missing) or 'none'};"
        f" only in the data set: {', '.join(unknown) or 'none'}"
        f"{'' if unknown or missing else '; their order differs'}"
    )


def _predictor(segmentor: PropertySegmentor, card: ModelCard, params: EvaluateParams) -> Predictor:
    device = choose_device(params.device, "evaluate.device")
    autocast = torch.bfloat16 if params.precision == "bfloat16" else None
    return Predictor(segmentor, card.test_scale, card.base_size, device, autocast)


def _write_tables(folder: Path, split: Split, card: ModelCard, measurement: Measurement) -> None:
    scores, properties, confusion = measurement.scores, measurement.properties, measurement.confusion
    classes = range(len(split.classes))
    columns: dict[str, dict[str, Any]] = {
        "per_class.parquet": {
            "class_id": classes,
            "name": split.classes,
            "iou": scores.iou,
            "accuracy": scores.accuracy,
            "pixels": confusion.sum(axis=1),
        },
        "per_property.parquet": {
            "property_id": range(len(card.properties)),
            "name": card.properties,
            "precision": properties.precision,
            "recall": properties.recall,
            "average_precision": properties.average_precision,
            "pixels": properties.pixels,
        },
        "confusion.parquet": {
            "label": [label for label in classes for _ in classes],
            "prediction": [prediction for _ in classes for prediction in classes],
            "pixels": confusion.ravel(),
        },
        "per_image.parquet": {
            "image": [scores.photo.name for scores in measurement.photos],
            "miou": [scores.mean_iou for scores in measurement.photos],
            "accuracy": [scores.pixel_accuracy for scores in measurement.photos],
        },
    }
    for name, values in columns.items():
        pq.write_table(pa.table(values, schema=EVALUATION.tables[name]), folder / name)


def _percent(share: float) -> float:
    return round(100 * share, 2)
