"""Reads a `dataset` artifact: the photos of a split, and what their labels mean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifacts import Artifact
from prolab_model.data import LabelRules, Sample
from tasks.errors import InputError


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Attributes:
        samples: its photos, in the order of the index.
        rules: how values in label files become class ids.
        classes: names of the N classes.
        palette: (red, green, blue) of each class.
        class_pixels: labelled pixels of each class in the split (N,).
    """

    samples: tuple[Sample, ...]
    rules: LabelRules
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    class_pixels: npt.NDArray[np.int64]


def read_split(dataset: Artifact, split: str) -> Split:
    """The photos of one split, with absolute paths.

    Raises:
        InputError: when the data set has no such split; names those it has.
    """
    root = Path(json.loads(dataset.file("location.json").read_text(encoding="utf-8"))["root"])
    rules = json.loads(dataset.file("rules.json").read_text(encoding="utf-8"))
    table = dataset.table("samples.parquet").to_pandas()
    counts = dataset.table("label_counts.parquet").to_pandas()
    classes = dataset.table("classes.parquet").to_pandas().sort_values("class_id")
    rows = table[table["split"] == split]
    if rows.empty:
        raise InputError(f"split {split!r}: the data set has the splits {', '.join(sorted(table['split'].unique()))}")

    counts = counts[counts["sample"].isin(rows.index)]
    classes_of_sample = counts.groupby("sample")["class_id"].agg(frozenset)
    class_pixels = np.zeros(len(classes), dtype=np.int64)
    np.add.at(class_pixels, counts["class_id"].to_numpy(), counts["pixels"].to_numpy())
    label_rules = LabelRules(rules["ignore_index"], rules["reduce_zero_label"])
    return Split(
        samples=tuple(
            Sample(root / row.image, root / row.label, classes_of_sample.get(row.Index, frozenset()), label_rules)
            for row in rows.itertuples()
        ),
        rules=label_rules,
        classes=tuple(classes["name"]),
        palette=tuple(zip(classes["red"].tolist(), classes["green"].tolist(), classes["blue"].tolist(), strict=True)),
        class_pixels=class_pixels,
    )
