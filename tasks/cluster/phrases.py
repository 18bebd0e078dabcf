"""What is clustered: the phrases that describe the classes of one data set or several."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artifacts import Artifact
from tasks.cluster import STAGE
from tasks.errors import InputError


@dataclass(frozen=True)
class Phrases:
    """M descriptions of N classes.

    Attributes:
        table: class_id, class_name, position and text of each (M rows); ids count through all data sets.
        vectors: (M, D).
        classes: names of the N classes.
        datasets: data set of each class (N); empty names where there is a single one.
    """

    table: pa.Table
    vectors: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    datasets: tuple[str, ...]

    @cached_property
    def texts(self) -> list[str]:
        """The descriptions (M)."""
        texts: list[str] = self.table["text"].to_pylist()
        return texts

    @cached_property
    def class_ids(self) -> npt.NDArray[np.int32]:
        """Class of each description (M,)."""
        class_ids: npt.NDArray[np.int32] = self.table["class_id"].to_numpy()
        return class_ids

    @cached_property
    def labels(self) -> list[str]:
        """Names of the classes that no two have, also where data sets have classes of the same name (N)."""
        return [
            f"{name} ({dataset})" if dataset else name
            for name, dataset in zip(self.classes, self.datasets, strict=True)
        ]

    def rows(self, class_id: int) -> npt.NDArray[np.intp]:
        """Where the descriptions of a class are."""
        return np.flatnonzero(self.class_ids == class_id)


def read_phrases(inputs: Mapping[str, Artifact]) -> Phrases:
    """Put the embeddings of all data sets below each other.

    Raises:
        InputError: they are of different encoders, or two data sets have the same classes.
    """
    require_one_encoder(inputs)
    tables, vectors = [], []
    datasets_of: dict[tuple[str, ...], str] = {}
    classes: list[str] = []
    datasets: list[str] = []
    for name, artifact in inputs.items():
        embeddings = artifact.table("embeddings.parquet")
        dataset = "" if inputs.keys() == STAGE.inputs.keys() else name
        own = tuple(dict.fromkeys(embeddings["class_name"].to_pylist()))
        if own in datasets_of:
            # A network finds its class matrix by the data set's classes.
            raise InputError(
                f"{datasets_of[own]} and {dataset} have the same classes: give one of them, and train on both"
            )
        datasets_of[own] = dataset
        vectors.append(vector_matrix(embeddings["vector"]))
        table = embeddings.select(["class_id", "class_name", "position", "text"])
        tables.append(table.set_column(0, table.field("class_id"), _shifted(table["class_id"], len(classes))))
        classes += own
        datasets += [dataset] * len(own)
    return Phrases(pa.concat_tables(tables), np.concatenate(vectors), tuple(classes), tuple(datasets))


def require_one_encoder(inputs: Mapping[str, Artifact]) -> None:
    """Check that embeddings, by name, can be compared.

    Raises:
        InputError: they are of different encoders, or of one with different settings.
    """
    encoders: dict[str, str] = {}
    for name, artifact in inputs.items():
        identity = json.loads(artifact.file("encoder.json").read_text(encoding="utf-8"))
        # The same model may lie in folders of different names.
        identity.pop("name", None)
        encoders[name] = json.dumps(identity, sort_keys=True)
    if len(set(encoders.values())) > 1:
        listing = "; ".join(f"{name}: {identity}" for name, identity in encoders.items())
        raise InputError(f"expected embeddings by one encoder with the same settings: {listing}")


def vector_matrix(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """A column of equally long vectors as an array (M, D)."""
    flat: npt.NDArray[np.float32] = pc.list_flatten(column).to_numpy()
    return flat.reshape(len(column), -1)


def _shifted(class_ids: pa.ChunkedArray, offset: int) -> pa.ChunkedArray:
    return pc.add(class_ids, pa.scalar(offset, pa.int32()))
