"""The stage extend_labels: nearest centres for the phrases of new classes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue
from scipy.spatial.distance import cdist

from artifacts import Artifact
from tasks.cluster.naming import Naming
from tasks.cluster.phrases import Phrases, read_phrases, require_one_encoder, vector_matrix
from tasks.cluster.properties import Clusters
from tasks.cluster.report import Origin
from tasks.cluster.write import write_label_space
from tasks.errors import InputError
from tasks.extend_labels import ExtendParams
from tasks.label_space import read_properties
from tasks.stage import StageContext

log = logging.getLogger(__name__)

# Of the label space's own descriptions. By MiniLM, on the four released lists, the radius (.85-.92) covers 64 to 81 %
# of the descriptions of classes left out of the clustering, and one in 32 sentences on other matters.
_COVERED_SHARE = 0.99


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Give every phrase of the new classes the property of its nearest centre, and write the larger label space.

    Beside the tables of its kind it has `coverage.parquet`: the new phrases with their nearest properties.

    Raises:
        InputError: a class is there already, or no property covers any of its phrases; another encoder.
    """
    params: ExtendParams = context.params
    source = context.inputs["label_space"]
    new = read_phrases({"embeddings": context.inputs["embeddings"]})
    sources = [artifact for name, artifact in context.inputs.items() if name not in ("label_space", "embeddings")]
    require_one_encoder({artifact.reference: artifact for artifact in (*sources, context.inputs["embeddings"])})
    properties = read_properties(source)
    old, own = _read_source(source, sources, properties.centres)
    _require_new_classes(old, new, params.dataset, source)

    radius = float(np.quantile(own.distances, _COVERED_SHARE)) if params.radius is None else params.radius
    distances = cdist(new.vectors, properties.centres)  # (M, K)
    nearest, distance = distances.argmin(axis=1), distances.min(axis=1).astype(np.float32)
    covered = distance <= radius
    _warn_or_refuse(new, distance, covered, properties.names, nearest, radius)
    coverage = pa.table(
        {
            **new.table.to_pydict(),
            "property_id": nearest,
            "property": [properties.names[number] for number in nearest],
            "distance": distance,
            "covered": covered,
        }
    )
    pq.write_table(coverage, context.output / "coverage.parquet")
    phrases = _joined(old, new, covered, params.dataset)
    clusters = Clusters(
        centres=properties.centres,
        members=np.concatenate([own.members, nearest[covered]]),
        distances=np.concatenate([own.distances, distance[covered]]),
    )
    origin = Origin(f"extension of {source.reference}", context.inputs, {**params.identity(), "radius": radius})
    naming = Naming(properties.names, f"{source.reference}, which this one extends")
    summary = write_label_space(context.output, phrases, clusters, naming, origin)
    return {
        **summary,
        "new_classes": len(new.classes),
        "new_phrases": len(new.texts),
        "covered_phrases": int(covered.sum()),
        "radius": round(radius, 4),
    }


def _read_source(
    source: Artifact, embeddings: Sequence[Artifact], centres: npt.NDArray[np.float32]
) -> tuple[Phrases, Clusters]:
    """The phrases that the label space was made of, with their vectors and properties."""
    vector_of = {
        (name, text): vector
        for artifact in embeddings
        for table in [artifact.table("embeddings.parquet")]
        for name, text, vector in zip(
            table["class_name"].to_pylist(), table["text"].to_pylist(), vector_matrix(table["vector"]), strict=True
        )
    }
    rows = source.table("assignments.parquet")
    names, texts = rows["class_name"].to_pylist(), rows["text"].to_pylist()
    classes = dict(zip(rows["class_id"].to_pylist(), zip(names, rows["dataset"].to_pylist(), strict=True), strict=True))
    phrases = Phrases(
        table=rows.select(["class_id", "class_name", "position", "text"]),
        vectors=np.stack([vector_of[key] for key in zip(names, texts, strict=True)]),
        classes=tuple(classes[class_id][0] for class_id in sorted(classes)),
        datasets=tuple(classes[class_id][1] for class_id in sorted(classes)),
    )
    members = rows["property_id"].to_numpy().astype(np.intp)
    return phrases, Clusters(centres, members, rows["distance"].to_numpy())


def _require_new_classes(old: Phrases, new: Phrases, dataset: str, source: Artifact) -> None:
    datasets = set(old.datasets)
    if "" in datasets and dataset:
        raise InputError(f"{source.reference} is of a single data set, so that none can be named; got {dataset!r}")
    if "" not in datasets and not dataset:
        raise InputError(
            f"{source.reference} is of several data sets, {', '.join(sorted(datasets))}: name the one that the classes "
            "join, or a new one"
        )
    there = {name.strip() for name, of in zip(old.classes, old.datasets, strict=True) if of == dataset}
    repeated = [name for name in new.classes if name.strip() in there]
    if repeated:
        raise InputError(f"{source.reference} has these classes already: {', '.join(map(repr, repeated))}")


def _warn_or_refuse(
    new: Phrases,
    distance: npt.NDArray[np.float32],
    covered: npt.NDArray[np.bool_],
    names: Sequence[str],
    nearest: npt.NDArray[np.intp],
    radius: float,
) -> None:
    for row in np.flatnonzero(~covered):
        log.warning(
            "no property covers %r of %s: the nearest is %r, at a distance of %.2f (radius %.2f)",
            new.texts[row],
            new.classes[new.class_ids[row]],
            names[nearest[row]],
            distance[row],
            radius,
        )
    without = [class_id for class_id in range(len(new.classes)) if not covered[new.rows(class_id)].any()]
    if without:
        listing = "; ".join(
            f"{new.classes[class_id]!r}, nearest phrase at {distance[new.rows(class_id)].min():.2f}"
            for class_id in without
        )
        raise InputError(
            f"no property covers any phrase of {listing}; the radius is {radius:.2f}. Describe them otherwise, set a "
            "larger radius, or make a label space that knows them"
        )


def _joined(old: Phrases, new: Phrases, covered: npt.NDArray[np.bool_], dataset: str) -> Phrases:
    """The phrases of old and new classes; ids of new classes follow those of the old ones."""
    table = new.table.filter(pa.array(covered))
    class_ids = pa.array(new.class_ids[covered] + np.int32(len(old.classes)), pa.int32())
    table = table.set_column(0, table.field("class_id"), class_ids).cast(old.table.schema)
    return Phrases(
        table=pa.concat_tables([old.table, table]),
        vectors=np.concatenate([old.vectors, new.vectors[covered]]),
        classes=(*old.classes, *new.classes),
        datasets=(*old.datasets, *[dataset] * len(new.classes)),
    )
