"""Reads a `label_space` artifact: properties, and which class of which data set has which of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from artifacts import Artifact
from tasks.errors import InputError


@dataclass(frozen=True)
class Properties:
    """K named properties.

    Attributes:
        names: K.
        centres: (K, D), not normalised.
    """

    names: tuple[str, ...]
    centres: npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClassMatrix:
    """Which of the N classes of a data set has which of K properties.

    Attributes:
        dataset: name of the data set; empty where the label space is that of a single one.
        classes: N names, in the order of their ids.
        matrix: (N, K).
    """

    dataset: str
    classes: tuple[str, ...]
    matrix: npt.NDArray[np.bool_]


def read_properties(label_space: Artifact) -> Properties:
    """The properties, in the order of their ids."""
    table = label_space.table("properties.parquet").sort_by("property_id")
    return Properties(
        names=tuple(table["name"].to_pylist()),
        centres=np.array(table["centre"].to_pylist(), dtype=np.float32),
    )


def read_class_matrices(label_space: Artifact) -> list[ClassMatrix]:
    """The class matrix of each data set that the label space was made for."""
    count = len(label_space.table("properties.parquet"))
    table = label_space.table("class_properties.parquet").to_pandas()
    matrices: list[ClassMatrix] = []
    for dataset, pairs in table.groupby("dataset", sort=False):
        ids, rows = np.unique(pairs["class_id"], return_inverse=True)
        matrix = np.zeros((len(ids), count), dtype=bool)
        matrix[rows, pairs["property_id"]] = True
        classes = pairs.drop_duplicates("class_id").sort_values("class_id")["class_name"]
        matrices.append(ClassMatrix(str(dataset), tuple(classes), matrix))
    return matrices


def select_class_matrix(label_space: Artifact, classes: Sequence[str]) -> ClassMatrix:
    """The class matrix of the data set that has just these classes; no two of a label space have the same ones.

    Raises:
        InputError: the label space was made for other classes.
    """
    matrices = read_class_matrices(label_space)
    for matrix in matrices:
        if matrix.classes == tuple(classes):
            return matrix
    described = "; ".join(f"{item.dataset}: " * bool(item.dataset) + ", ".join(item.classes) for item in matrices)
    raise InputError(
        f"{label_space.reference} does not describe the data set's classes. Expected: {', '.join(classes)}. "
        f"It describes {described}"
    )
