"""Makes the `evaluation` artifact."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from artifacts import Artifact
from artifacts.memory import PeakMemory
from prolab_model.checkpoint import ModelCard, load_model, read_card
from prolab_model.segmentor import PropertySegmentor
from tasks.compare.bootstrap import figures, interval, resample
from tasks.compare.comparison import find_differences, require_measured_on
from tasks.compare.counts import TABLE as COUNTS
from tasks.compare.counts import Counts, counts_columns, dense_counts, read_counts
from tasks.compare.pictures import draw_differences
from tasks.dataset import Split, read_split
from tasks.errors import InputError
from tasks.evaluate import EvaluateParams
from tasks.evaluate.baseline import constant_prediction
from tasks.evaluate.examples import pick_examples
from tasks.evaluate.measure import Measurement, measure
from tasks.evaluate.photos import list_photos
from tasks.evaluate.pictures import draw_confusion, draw_overlays
from tasks.evaluate.predictor import make_predictor
from tasks.evaluate.report import LEARNING_CURVE, Cost, Evaluation, write_reports
from tasks.evaluate.stopwatch import Stopwatch
from tasks.evaluate.unseen import seen_and_unseen
from tasks.kinds import EVALUATION
from tasks.stage import StageContext


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Predict a split, write tables, pictures and reports.

    Raises:
        InputError: the split does not exist, its files are not those that were indexed, the checkpoint knows other
            classes than the data set, or the baseline was measured on something else.
    """
    params: EvaluateParams = context.params
    checkpoint, dataset, baseline = (context.inputs.get(name) for name in ("checkpoint", "dataset", "baseline"))
    assert checkpoint is not None and dataset is not None
    split = read_split(dataset, params.split)
    baseline_counts = None if baseline is None else _read_baseline(baseline, dataset, params.split)
    stopwatch = Stopwatch()
    with stopwatch.part("opening the checkpoint"):
        segmentor, card = _load(checkpoint, split.classes)
        predictor = make_predictor(segmentor, card, params)
    photos = list_photos(dataset, params.split, split)
    class_matrix = segmentor.label_space.class_matrix.bool().cpu().numpy()

    with PeakMemory() as memory:
        measurement = measure(predictor, photos, split.rules, class_matrix, context.progress, stopwatch)
    with stopwatch.part("examples"):
        examples = pick_examples(predictor, measurement.photos, split.rules, class_matrix)
    columns = counts_columns(measurement.counts)
    counts = dense_counts(columns, len(photos), len(split.classes))
    with stopwatch.part("intervals"):
        (drawn,) = resample([counts])
        differences = None if baseline_counts is None else find_differences(baseline_counts, counts, split.classes)
    evaluation = Evaluation(
        params=params,
        checkpoint=checkpoint,
        dataset=dataset,
        baseline=baseline,
        split=split,
        card=card,
        class_matrix=class_matrix,
        measurement=measurement,
        figures=figures(counts),
        drawn=drawn,
        constant=constant_prediction(read_split(dataset, "train").class_pixels, measurement.confusion),
        differences=differences,
        examples=examples,
        # The stopwatch goes on: what is drawn for the report is in its seconds, too.
        cost=Cost(stopwatch.seconds, memory.bytes),
    )
    _write_tables(context.output, split, card, measurement, columns)
    with stopwatch.part("pictures"):
        _draw(context.output, evaluation)
    write_reports(context.output, evaluation)
    return _summary(evaluation)


def _read_baseline(baseline: Artifact, dataset: Artifact, split: str) -> Counts:
    """Its counts, read before the photos are predicted, since it may be refused."""
    require_measured_on(baseline.manifest, dataset.digest, split, "this evaluation")
    return read_counts(baseline)


def _draw(folder: Path, evaluation: Evaluation) -> None:
    classes = evaluation.split.classes
    draw_overlays(folder / "overlays.jpg", evaluation.examples, evaluation.split, evaluation.card.properties)
    draw_confusion(folder / "confusion.png", evaluation.measurement.confusion, classes)
    if evaluation.differences is not None:
        draw_differences(folder / "differences.png", evaluation.differences.classes)
    if LEARNING_CURVE in evaluation.checkpoint.manifest.files:
        shutil.copyfile(evaluation.checkpoint.file(LEARNING_CURVE), folder / LEARNING_CURVE)


def _summary(evaluation: Evaluation) -> dict[str, JsonValue]:
    scores, constant = evaluation.measurement.scores, evaluation.constant.scores
    low, high = interval(evaluation.drawn.mean_iou)
    kinds = seen_and_unseen(scores.iou, evaluation.split.classes, evaluation.card.unseen)
    of_kinds = {} if kinds is None else {"seen": kinds.seen, "unseen": kinds.unseen, "harmonic": kinds.harmonic}
    seconds = {f"seconds_{part}": round(evaluation.cost.seconds[part], 3) for part in ("loading", "network", "metrics")}
    return {
        "miou": _percent(scores.mean_iou),
        "miou_low": _percent(float(low)),
        "miou_high": _percent(float(high)),
        **{f"miou_{kind}": _percent(value) for kind, value in of_kinds.items()},
        "macc": _percent(scores.mean_accuracy),
        "aacc": _percent(scores.pixel_accuracy),
        "boundary_miou": _percent(float(np.nanmean(evaluation.measurement.boundary_iou))),
        "constant_miou": _percent(constant.mean_iou),
        "constant_aacc": _percent(constant.pixel_accuracy),
        "images": len(evaluation.measurement.photos),
        **seconds,
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


def _write_tables(
    folder: Path, split: Split, card: ModelCard, measurement: Measurement, counts: Mapping[str, Counts]
) -> None:
    scores, properties, confusion = measurement.scores, measurement.properties, measurement.confusion
    classes = range(len(split.classes))
    columns: dict[str, dict[str, Any]] = {
        "per_class.parquet": {
            "class_id": classes,
            "name": split.classes,
            "iou": scores.iou,
            "accuracy": scores.accuracy,
            "boundary_iou": measurement.boundary_iou,
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
        COUNTS: dict(counts),
    }
    for name, values in columns.items():
        pq.write_table(pa.table(values, schema=EVALUATION.tables[name]), folder / name)


def _percent(share: float) -> float:
    return round(100 * share, 2)
