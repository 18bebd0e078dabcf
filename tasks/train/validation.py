"""Measures the network while it is trained, and keeps the best of its weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import distributed

from artifacts import Artifact
from prolab_model.data import Sample, read_labels, read_photo
from prolab_model.metrics import confusion_matrix, scores
from prolab_model.openmmlab import Hook, IterBasedRunner, get_dist_info
from prolab_model.predictor import Predictor
from prolab_model.segmentor import PropertySegmentor
from prolab_model.whole_files import written_whole
from tasks.dataset import read_split
from tasks.kinds import DATASET
from tasks.train import TrainParams
from tasks.train.board import Example, Examples
from tasks.train.curve import CurveHook
from tasks.train.network import AUTOCAST
from tasks.train.training_set import TrainingSet

log = logging.getLogger(__name__)

_SHOWN = 4  # photos of each data set


@dataclass(frozen=True)
class ValidationSet:
    """Photos of one data set to measure on.

    Attributes:
        samples: the photos.
        classes: where its classes are among the network's.
        palette: (red, green, blue) of each class.
        base_size: (long, short) sides that photos are fitted into.
    """

    samples: tuple[Sample, ...]
    classes: slice
    palette: tuple[tuple[int, int, int], ...]
    base_size: tuple[int, int] | None


def read_validation_sets(
    inputs: Mapping[str, Artifact], training_set: TrainingSet, params: TrainParams
) -> list[ValidationSet]:
    """The split `val` of every data set, or as many of its photos as are wanted, at equal distances.

    Raises:
        InputError: a data set has no split `val`.
    """
    sets = []
    for name, artifact in inputs.items():
        if artifact.kind != DATASET.name:
            continue
        split = read_split(artifact, "val")
        known = training_set.datasets.get(name)
        first = known.first_class if known else 0
        count = min(params.validate_photos or len(split.samples), len(split.samples))
        chosen = np.linspace(0, len(split.samples) - 1, count).round().astype(int)
        sets.append(
            ValidationSet(
                samples=tuple(split.samples[number] for number in chosen),
                classes=slice(first, first + len(split.classes)),
                palette=split.palette,
                base_size=params.base_size_of(name),
            )
        )
    return sets


class Best:
    """The best weights so far, in a file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.iteration, self.miou = 0, -1.0

    def offer(self, iteration: int, miou: float, segmentor: PropertySegmentor) -> None:
        """Keep the weights if they are better than all before."""
        if miou <= self.miou:
            return
        self.iteration, self.miou = iteration, miou
        if get_dist_info()[0]:
            return
        with written_whole(self.path) as file:
            save_file({name: value.contiguous() for name, value in segmentor.state_dict().items()}, file)

    def load_into(self, segmentor: PropertySegmentor) -> None:
        """Give a network the best weights."""
        segmentor.load_state_dict(load_file(self.path))

    def state(self) -> dict[str, float]:
        """What `restore` needs to go on."""
        return {"iteration": self.iteration, "miou": self.miou}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.iteration, self.miou = state["iteration"], state["miou"]


class ValidationHook(Hook):
    """Adds the mIoU to the learning curve every `validate_every` iterations and at the end, and shows examples.

    Of several data sets it is the mean of theirs.
    """

    def __init__(
        self,
        sets: Sequence[ValidationSet],
        params: TrainParams,
        curve: CurveHook,
        best: Best,
        shown: Sequence[Examples],
    ) -> None:
        assert params.validate_every is not None
        self.sets = sets
        self.params = params
        self.interval = params.validate_every
        self.curve = curve
        self.best = best
        self.shown = shown

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Measure when it is time."""
        iteration: int = runner.iter + 1
        if iteration % self.interval and iteration != runner.max_iters:
            return
        segmentor = runner.model.trained
        examples: list[list[Example]] = [[] for _ in self.sets]
        miou = float(np.mean([self._measure(segmentor, *each) for each in zip(self.sets, examples, strict=True)]))
        log.info("iteration %d: mIoU %.2f", iteration, 100 * miou)
        self.curve.points.append((iteration, "miou", miou))
        self.best.offer(iteration, miou, segmentor)
        for shown in self.shown:
            shown.add_examples(iteration, examples)

    def _measure(self, segmentor: PropertySegmentor, photos: ValidationSet, examples: list[Example]) -> float:
        """The mIoU over all processes; the first of this process's photos become examples."""
        classes = photos.classes.stop - photos.classes.start
        rank, processes = get_dist_info()
        predictor = self._predictor(segmentor, photos)
        total = np.zeros((classes, classes), np.int64)
        for sample in photos.samples[rank::processes]:
            image, labels = _read_photo(sample.image), read_labels(sample.label, sample.rules)
            prediction = predictor.labels(image)
            total += confusion_matrix(labels, prediction, classes)
            if len(examples) < _SHOWN:
                examples.append(Example(image, labels, prediction, photos.palette))
        counts = torch.from_numpy(total).to(segmentor.class_weights.device)
        if processes > 1:
            distributed.all_reduce(counts)
        return scores(counts.cpu().numpy()).mean_iou if counts.any() else 0.0

    def _predictor(self, segmentor: PropertySegmentor, photos: ValidationSet) -> Predictor:
        return Predictor(
            segmentor.predicting(photos.classes),
            self.params.test_scale,
            photos.base_size,
            str(segmentor.class_weights.device),
            AUTOCAST[self.params.precision],
        )


def _read_photo(path: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(read_photo(path), cv2.COLOR_BGR2RGB), np.uint8)
