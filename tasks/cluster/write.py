"""Writes a label space: tables, checks, pictures and reports, whoever made it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from tasks.cluster.checks import checks
from tasks.cluster.choice import Choice
from tasks.cluster.diagnostics import diagnose
from tasks.cluster.layout import lay_out
from tasks.cluster.naming import Naming
from tasks.cluster.phrases import Phrases
from tasks.cluster.pictures import draw_pictures
from tasks.cluster.properties import Clusters, class_matrix
from tasks.cluster.report import NamedSpace, Origin, write_reports
from tasks.kinds import LABEL_SPACE

log = logging.getLogger(__name__)


def write_label_space(
    folder: Path,
    phrases: Phrases,
    clusters: Clusters,
    naming: Naming,
    origin: Origin,
    stability: float | None = None,
    choice: Choice | None = None,
) -> dict[str, JsonValue]:
    """Check the properties, write the label space into the folder, and return its headline figures."""
    names = naming.names
    matrix = class_matrix(phrases.class_ids, clusters)
    diagnostics = diagnose(matrix, phrases, clusters, names, stability, choice)
    found = checks(diagnostics)
    warnings = [finding for check in found if check.warns for finding in check.findings]
    for warning in warnings:
        log.warning("label space: %s", warning)

    tables = {
        "properties.parquet": _property_table(clusters, names),
        "assignments.parquet": _assignment_table(phrases, clusters),
        "class_properties.parquet": _class_property_table(matrix, phrases),
        "naming.parquet": pa.Table.from_pylist(list(naming.responses), LABEL_SPACE.tables["naming.parquet"]),
    }
    for name, table in tables.items():
        pq.write_table(table, folder / name)
    (folder / "diagnostics.json").write_text(diagnostics.model_dump_json(indent=2), encoding="utf-8")
    layout = lay_out(matrix, phrases)
    draw_pictures(folder, matrix, phrases.labels, names, clusters.members, layout, choice)
    write_reports(folder, NamedSpace(origin, phrases, clusters, naming, matrix, diagnostics, found, layout))
    return {
        "properties": len(names),
        "classes": len(phrases.classes),
        "properties_per_class": round(float(matrix.sum(axis=1).mean()), 2),
        "properties_of_one_class": len(diagnostics.properties_of_one_class),
        "identical_classes": sum(len(group) for group in diagnostics.identical_classes),
        "warnings": len(warnings),
        "stability": None if diagnostics.stability is None else round(diagnostics.stability, 4),
        "inertia": round(clusters.inertia, 4),
        **naming.figures,
    }


def _property_table(clusters: Clusters, names: Sequence[str]) -> pa.Table:
    count, width = clusters.centres.shape
    centre = pa.FixedSizeListArray.from_arrays(pa.array(clusters.centres.ravel()), width)
    schema = LABEL_SPACE.tables["properties.parquet"]
    schema = schema.set(schema.get_field_index("centre"), pa.field("centre", centre.type, nullable=False))
    columns = {"property_id": range(count), "name": names, "size": clusters.sizes, "centre": centre}
    return pa.table(columns, schema=schema)


def _assignment_table(phrases: Phrases, clusters: Clusters) -> pa.Table:
    columns = {
        "dataset": [phrases.datasets[class_id] for class_id in phrases.class_ids],
        **phrases.table.to_pydict(),
        "property_id": clusters.members,
        "distance": clusters.distances,
    }
    return pa.table(columns, schema=LABEL_SPACE.tables["assignments.parquet"])


def _class_property_table(matrix: npt.NDArray[np.bool_], phrases: Phrases) -> pa.Table:
    class_ids, property_ids = np.argwhere(matrix).T.tolist()
    columns = {
        "dataset": [phrases.datasets[class_id] for class_id in class_ids],
        "class_id": class_ids,
        "class_name": [phrases.classes[class_id] for class_id in class_ids],
        "property_id": property_ids,
    }
    return pa.table(columns, schema=LABEL_SPACE.tables["class_properties.parquet"])
