"""The stage cluster: vectors in, a checked and named label space out."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from tasks.cluster import Algorithm, ClusterParams
from tasks.cluster.choice import choose, stability
from tasks.cluster.diagnostics import identical_classes, telling_phrases
from tasks.cluster.naming import name_properties
from tasks.cluster.phrases import Phrases, read_phrases
from tasks.cluster.properties import class_matrix, cluster
from tasks.cluster.report import Origin
from tasks.cluster.write import write_label_space
from tasks.errors import InputError
from tasks.stage import StageContext

_SPOKEN: Mapping[Algorithm, str] = {
    "kmeans": "k-means",
    "mini_batch_kmeans": "mini-batch k-means",
    "spherical_kmeans": "spherical k-means",
    "agglomerative": "agglomerative clustering",
}


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Cluster the descriptions, check and name the properties, and write the label space.

    Raises:
        InputError: the descriptions are too few, or no property tells some classes apart.
    """
    params: ClusterParams = context.params
    phrases = read_phrases(context.inputs)
    count, choice = choose(phrases, params, context.progress)
    clusters = cluster(phrases.vectors, count, params.algorithm, params.seed)
    if not params.allow_identical:
        _require_different_classes(class_matrix(phrases.class_ids, clusters), phrases)
    naming = name_properties(clusters, phrases.texts, params, context.cache, context.progress)
    origin = Origin(_SPOKEN[params.algorithm], context.inputs, params.identity())
    return write_label_space(
        context.output, phrases, clusters, naming, origin, stability(phrases.vectors, clusters, params), choice
    )


def _require_different_classes(matrix: npt.NDArray[np.bool_], phrases: Phrases) -> None:
    groups = identical_classes(matrix, phrases)
    if not groups:
        return
    lines = [f"With {matrix.shape[1]} properties no property tells these classes apart:"]
    for group in groups:
        lines.append("- " + " = ".join(repr(phrases.labels[class_id]) for class_id in group) + ". What could:")
        for class_id in group:
            others = [other for other in group if other != class_id]
            lines.append(f"  {phrases.labels[class_id]}: {'; '.join(telling_phrases(phrases, class_id, others))}")
    contrast = json.dumps([[phrases.classes[class_id] for class_id in group] for group in groups], ensure_ascii=False)
    lines.append(
        "Ways out: more properties (raise cluster.properties); phrases that tell just these classes apart "
        f"(describe.contrast: {contrast}, with describe.contrast_prompt and, where a file describes them, the language "
        "model to ask as describe.contrast_provider); or cluster.allow_identical: true, to train on them as they are"
    )
    raise InputError("\n".join(lines))
