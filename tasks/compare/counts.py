"""Pixels of every photo by class: all that is needed to have the figures of any selection of photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts import Artifact
from tasks.errors import InputError

TABLE = "per_image_counts.parquet"

_AREAS = ("intersection", "label_pixels", "predicted_pixels")
AREAS = (*_AREAS, *(f"boundary_{name}" for name in _AREAS))
"""What is counted of a class in a photo: pixels that labels and prediction have in common, those of either, and the
same of the class's boundary (see `prolab_model.metrics.boundary_areas`)."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PhotoCounts:
    """Pixels of one photo, for the C classes that occur in its labels or its prediction.

    Attributes:
        class_ids: (C,).
        areas: (6, C), in the order of `AREAS`.
    """

    class_ids: Counts
    areas: Counts


def count_photo(confusion: Counts, boundary: Counts) -> PhotoCounts:
    """The counts of a photo from its confusion matrix, labels by rows (N, N), and its boundaries' areas (3, N)."""
    areas = np.stack([confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0), *boundary])
    occurring = np.flatnonzero(areas.any(axis=0))
    return PhotoCounts(occurring, areas[:, occurring])


def counts_columns(photos: Sequence[PhotoCounts]) -> dict[str, Counts]:
    """The columns of the table `per_image_counts.parquet`; `image` is a row of `per_image.parquet`."""
    areas = np.concatenate([photo.areas for photo in photos], axis=1)
    return {
        "image": np.repeat(np.arange(len(photos)), [len(photo.class_ids) for photo in photos]),
        "class_id": np.concatenate([photo.class_ids for photo in photos]),
        **dict(zip(AREAS, areas, strict=True)),
    }


def dense_counts(columns: Mapping[str, npt.NDArray[Any]], images: int, classes: int) -> Counts:
    """The columns of that table for M images and N classes: (M, 6, N), 0 where it has no row."""
    dense = np.zeros((images, len(AREAS), classes), np.int64)
    for number, name in enumerate(AREAS):
        dense[columns["image"], number, columns["class_id"]] = columns[name]
    return dense


def read_counts(evaluation: Artifact) -> Counts:
    """The counts that an evaluation kept (M, 6, N).

    Raises:
        InputError: it was made before evaluations kept them.
    """
    if TABLE not in evaluation.manifest.files:
        raise InputError(f"{evaluation.reference} has no counts of single photos: evaluate its checkpoint again")
    table = evaluation.table(TABLE)
    images, classes = (len(evaluation.table(name)) for name in ("per_image.parquet", "per_class.parquet"))
    return dense_counts({name: table[name].to_numpy() for name in table.column_names}, images, classes)
