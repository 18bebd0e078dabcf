from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from artifacts import Artifact, Store
from tasks.errors import InputError
from tasks.execution import StageResult, run_stage
from tasks.extend_labels import ExtendParams, extend_stage, source_names
from tasks.label_space import read_class_matrices, read_properties
from tasks.labels.encoder import find_embeddings
from tasks.progress import SilentProgress
from tests.label_spaces import STREET, Descriptors, make_embeddings, make_joint_label_space, make_label_space

NEW: Descriptors = {
    "truck": ["Large rubber wheels", "Painted metal body", "Glass windshield"],
    "hedge": ["Green leaves", "Dense and low", "The treaty was signed in May"],
}
TREATY: Descriptors = {"treaty": ["Signed in May", "Ratified by both sides", "Kept in an archive"]}


def classes_of(label_space: Artifact) -> dict[str, tuple[str, ...]]:
    return {matrix.dataset: matrix.classes for matrix in read_class_matrices(label_space)}


@pytest.fixture
def extend(store: Store, tmp_path: Path) -> Callable[..., StageResult]:
    """Extends a label space: `extend(label_space, NEW, radius=1.0)`."""

    def run(source: Artifact, descriptors: Descriptors, **settings: Any) -> StageResult:
        embeddings = make_embeddings(store, descriptors, tmp_path)
        sources = find_embeddings(store, source)
        inputs = {"label_space": source, "embeddings": embeddings}
        inputs |= zip(source_names(len(sources)), sources, strict=True)
        return run_stage(extend_stage(len(sources)), ExtendParams(**settings), inputs, store, SilentProgress())

    return run


@pytest.fixture
def street(store: Store, tmp_path: Path) -> Artifact:
    return make_label_space(store, STREET, tmp_path)


def test_new_classes_get_the_nearest_properties_and_nothing_else_changes(
    street: Artifact, extend: Callable[..., StageResult], caplog: pytest.LogCaptureFixture, store: Store, tmp_path: Path
) -> None:
    caplog.set_level(logging.WARNING)
    artifact = extend(street, NEW).artifact
    (before,), (after,) = read_class_matrices(street), read_class_matrices(artifact)
    assert after.classes == (*STREET, *NEW)
    np.testing.assert_array_equal(after.matrix[: len(STREET)], before.matrix)
    properties = read_properties(street)
    assert read_properties(artifact).names == properties.names
    np.testing.assert_array_equal(read_properties(artifact).centres, properties.centres)

    table = make_embeddings(store, NEW, tmp_path).table("embeddings.parquet")
    distances = cdist(np.array(table["vector"].to_pylist()), properties.centres)
    coverage = artifact.table("coverage.parquet").to_pylist()
    assert [row["property_id"] for row in coverage] == distances.argmin(axis=1).tolist()
    np.testing.assert_allclose([row["distance"] for row in coverage], distances.min(axis=1), atol=1e-6)
    assert [row["text"] for row in coverage if not row["covered"]] == ["The treaty was signed in May"]
    assert "no property covers 'The treaty was signed in May' of hedge: the nearest is" in caplog.text
    truck = {row["property_id"] for row in coverage if row["class_name"] == "truck"}
    assert set(after.matrix[6].nonzero()[0].tolist()) == truck
    assigned = artifact.table("assignments.parquet").to_pylist()
    assert len(assigned) == 24 + 5
    assert {row["class_id"] for row in assigned if row["class_name"] == "hedge"} == {7}


def test_default_radius_and_lineage(street: Artifact, extend: Callable[..., StageResult], store: Store) -> None:
    artifact = extend(street, NEW).artifact
    own = street.table("assignments.parquet")["distance"].to_numpy()
    assert artifact.manifest.summary["radius"] == pytest.approx(np.quantile(own, 0.99), abs=1e-4)
    lineage = store.lineage(artifact)
    assert lineage.inputs["label_space"].version == street.version
    assert street.table("properties.parquet")["size"].to_numpy().sum() == 24


def test_an_extended_label_space_is_extended_again(street: Artifact, extend: Callable[..., StageResult]) -> None:
    once = extend(street, NEW).artifact
    twice = extend(once, {"van": ["Glossy painted metal", "Rubber wheels", "Glass windows"]}).artifact
    (matrix,) = read_class_matrices(twice)
    assert matrix.classes == (*STREET, *NEW, "van")


def test_classes_join_one_of_several_data_sets_or_are_a_new_one(
    store: Store, extend: Callable[..., StageResult], tmp_path: Path
) -> None:
    datasets = {
        "roads": {name: STREET[name] for name in ("road", "sidewalk")},
        "plants": {name: STREET[name] for name in ("tree", "bush")},
    }
    joint = make_joint_label_space(store, datasets, tmp_path, 8)
    hedge = {"hedge": NEW["hedge"]}
    joined = extend(joint, hedge, dataset="roads").artifact
    assert classes_of(joined) == {"roads": ("road", "sidewalk", "hedge"), "plants": ("tree", "bush")}
    apart = extend(joint, hedge, dataset="new").artifact
    assert classes_of(apart) == {"roads": ("road", "sidewalk"), "plants": ("tree", "bush"), "new": ("hedge",)}
    with pytest.raises(InputError, match="of several data sets, plants, roads: name the one"):
        extend(joint, hedge)


@pytest.mark.parametrize(
    ("descriptors", "settings", "message"),
    [
        ({"road ": NEW["truck"]}, {}, "has these classes already: 'road '"),
        (TREATY, {"radius": 0.5}, "no property covers any phrase of 'treaty', nearest phrase at"),
        (NEW, {"dataset": "roads"}, "is of a single data set, so that none can be named; got 'roads'"),
    ],
)
def test_what_cannot_be_put_in_is_refused(
    street: Artifact,
    extend: Callable[..., StageResult],
    descriptors: Descriptors,
    settings: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        extend(street, descriptors, **settings)


def test_vectors_of_another_kind_are_refused(street: Artifact, store: Store, tmp_path: Path) -> None:
    embeddings = make_embeddings(store, NEW, tmp_path, template="It has {text}")
    (source,) = find_embeddings(store, street)
    inputs = {"label_space": street, "embeddings": embeddings, "source_embeddings_1": source}
    with pytest.raises(InputError, match="expected embeddings by one encoder with the same settings"):
        run_stage(extend_stage(1), ExtendParams(), inputs, store, SilentProgress())


def test_report_names_the_source(street: Artifact, extend: Callable[..., StageResult]) -> None:
    artifact = extend(street, NEW).artifact
    page = artifact.file("report.html").read_text(encoding="utf-8")
    assert f"extension of {street.reference}" in page
    assert f"Named by {street.reference}, which this one extends." in page
    assert len(artifact.table("naming.parquet")) == 0
    assert json.loads(artifact.file("diagnostics.json").read_text())["properties_per_class"]["truck"] >= 1
