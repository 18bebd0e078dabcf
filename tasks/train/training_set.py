"""What the network is trained on: the photos of one data set or several, and their classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from artifacts import Artifact
from prolab_model.checkpoint import KnownDataset
from prolab_model.data import Sample
from tasks.dataset import Split, read_split
from tasks.errors import InputError
from tasks.kinds import DATASET
from tasks.label_space import select_class_matrix
from tasks.train import TrainParams


@dataclass(frozen=True)
class TrainingSet:
    """Photos with the N classes in their labels.

    Attributes:
        samples: the photos of all data sets.
        classes: names of the N classes, those of one data set after those of another.
        palette: (red, green, blue) of each class.
        class_pixels: labelled pixels of each class (N,).
        datasets: which of the classes are whose; empty for a single data set. Two of the same classes, as Cityscapes
            and BDD100K, share them.
    """

    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    class_pixels: npt.NDArray[np.int64]
    datasets: Mapping[str, KnownDataset]

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The classes of each data set, once where several have the same ones."""
        ranges = dict.fromkeys((known.first_class, known.classes) for known in self.datasets.values())
        return tuple(self.classes[first : first + count] for first, count in ranges or [(0, len(self.classes))])


def read_training_set(inputs: Mapping[str, Artifact], params: TrainParams) -> TrainingSet:
    """The training photos of all data sets among a stage's inputs, each with its base size.

    Raises:
        InputError: a data set has no split "train", or a base size is that of none.
    """
    splits = {name: read_split(artifact, "train") for name, artifact in inputs.items() if artifact.kind == DATASET.name}
    if unknown := [name for name in params.base_sizes if name not in splits]:
        raise InputError(f"train.base_sizes: {', '.join(unknown)}: expected data sets among {', '.join(splits)}")
    if len(splits) == 1:
        (split,) = splits.values()
        samples = tuple(replace(sample, base_size=params.base_size) for sample in split.samples)
        return TrainingSet(samples, split.classes, split.palette, split.class_pixels, {})
    firsts = _first_classes(splits)
    joined: list[Sample] = []
    class_pixels = np.zeros(sum(map(len, firsts)), dtype=np.int64)
    palette: dict[tuple[str, ...], tuple[tuple[int, int, int], ...]] = {}
    for name, split in splits.items():
        first, base_size = firsts[split.classes], params.base_size_of(name)
        joined += [replace(sample, base_size=base_size, first_class=first) for sample in split.samples]
        class_pixels[first : first + len(split.classes)] += split.class_pixels
        palette.setdefault(split.classes, split.palette)
    return TrainingSet(
        samples=tuple(joined),
        classes=tuple(name for classes in firsts for name in classes),
        palette=tuple(colour for colours in palette.values() for colour in colours),
        class_pixels=class_pixels,
        datasets={
            name: KnownDataset(
                first_class=firsts[split.classes], classes=len(split.classes), base_size=params.base_size_of(name)
            )
            for name, split in splits.items()
        },
    )


def _first_classes(splits: Mapping[str, Split]) -> dict[tuple[str, ...], int]:
    """Id of the first class of every list of classes."""
    firsts: dict[tuple[str, ...], int] = {}
    for split in splits.values():
        firsts.setdefault(split.classes, sum(map(len, firsts)))
    return firsts


def read_class_matrix(label_space: Artifact, training_set: TrainingSet) -> npt.NDArray[np.bool_]:
    """Which of the N classes has which of the K properties (N, K).

    Raises:
        InputError: the label space describes other classes.
    """
    return np.concatenate([select_class_matrix(label_space, classes).matrix for classes in training_set.groups])
