"""The stage cluster: vectors in, a checked and named label space out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from tasks.cluster import ClusterParams
from tasks.cluster.diagnostics import Diagnostics, diagnose
from tasks.cluster.picture import draw_class_properties
from tasks.cluster.properties import Clusters, class_matrix, cluster, medoid_names
from tasks.cluster.report import report
from tasks.errors import InputError
from tasks.kinds import LABEL_SPACE
from tasks.stage import StageContext

_PICTURE = "class_properties.png"


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Cluster the descriptions, name and check the properties, and write the label space."""
    params: ClusterParams = context.params
    embeddings = context.inputs["embeddings"].table("embeddings.parquet")
    vectors = _matrix(embeddings["vector"])
    texts = embeddings["text"].to_pylist()
    class_ids = embeddings["class_id"].to_numpy()
    class_names = embeddings["class_name"].to_pylist()
    classes = list(dict.fromkeys(class_names))

    clusters = cluster(vectors, params.properties, params.seed)
    properties = medoid_names(clusters, texts)
    matrix = class_matrix(class_ids, clusters)
    sizes = np.bincount(clusters.members).tolist()
    diagnostics = diagnose(matrix, classes, properties, sizes, clusters.inertia)
    if diagnostics.identical_classes and not params.allow_identical:
        raise InputError(_identical_message(diagnostics, params))

    tables = {
        "properties.parquet": _property_table(clusters, properties, sizes),
        "assignments.parquet": _assignment_table(embeddings, clusters),
        "class_properties.parquet": _class_property_table(matrix, classes),
    }
    for name, table in tables.items():
        pq.write_table(table, context.output / name)
    (context.output / "diagnostics.json").write_text(diagnostics.model_dump_json(indent=2), encoding="utf-8")
    draw_class_properties(context.output / _PICTURE, matrix, classes, properties)
    text = report(diagnostics, properties, _members(clusters, class_names, texts), _PICTURE)
    (context.output / "report.md").write_text(text, encoding="utf-8")
    return {
        "properties": len(properties),
        "classes": len(classes),
        "properties_per_class": round(float(matrix.sum(axis=1).mean()), 2),
        "properties_of_one_class": len(diagnostics.properties_of_one_class),
        "identical_classes": sum(len(group) for group in diagnostics.identical_classes),
        "inertia": round(clusters.inertia, 4),
    }


def _matrix(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """A column of equally long vectors as an array (M, D)."""
    flat: npt.NDArray[np.float32] = pa.compute.list_flatten(column).to_numpy()
    return flat.reshape(len(column), -1)


def _property_table(clusters: Clusters, names: Sequence[str], sizes: Sequence[int]) -> pa.Table:
    count, width = clusters.centres.shape
    centre = pa.FixedSizeListArray.from_arrays(pa.array(clusters.centres.ravel()), width)
    schema = LABEL_SPACE.tables["properties.parquet"]
    schema = schema.set(schema.get_field_index("centre"), pa.field("centre", centre.type, nullable=False))
    return pa.table({"property_id": range(count), "name": names, "size": sizes, "centre": centre}, schema=schema)


def _assignment_table(embeddings: pa.Table, clusters: Clusters) -> pa.Table:
    columns = embeddings.drop_columns("vector").to_pydict()
    return pa.table(
        {**columns, "property_id": clusters.members, "distance": clusters.distances},
        schema=LABEL_SPACE.tables["assignments.parquet"],
    )


def _class_property_table(matrix: npt.NDArray[np.bool_], classes: Sequence[str]) -> pa.Table:
    class_ids, property_ids = np.argwhere(matrix).T.tolist()
    return pa.table(
        {
            "class_id": class_ids,
            "class_name": [classes[class_id] for class_id in class_ids],
            "property_id": property_ids,
        },
        schema=LABEL_SPACE.tables["class_properties.parquet"],
    )


def _members(clusters: Clusters, class_names: Sequence[str], texts: Sequence[str]) -> list[list[str]]:
    members: list[list[str]] = [[] for _ in clusters.centres]
    for property_id, class_name, text in zip(clusters.members, class_names, texts, strict=True):
        members[property_id].append(f"{class_name}: {text}")
    return members


def _identical_message(diagnostics: Diagnostics, params: ClusterParams) -> str:
    groups = "; ".join(" = ".join(map(repr, group)) for group in diagnostics.identical_classes)
    return (
        f"With cluster.properties = {params.properties} and cluster.seed = {params.seed} no property tells these "
        f"classes apart: {groups}. Raise cluster.properties, describe the classes by more distinct phrases, "
        "or set cluster.allow_identical: true to train on them as they are"
    )
