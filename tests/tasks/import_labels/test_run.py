from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from artifacts import Artifact, Store
from prolab_model.bank import bank_from_properties, write_bank
from tasks import embed
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.import_labels import DESCRIPTIONS_STAGE, STAGE, ImportDescriptionsParams, ImportLabelsParams
from tasks.label_space import read_class_matrices, read_properties
from tasks.labels.described import read_described_space
from tasks.labels.export import export, to_bank
from tasks.progress import SilentProgress
from tests.label_spaces import MINILM, STREET, make_label_space


def import_labels(store: Store, file: Path, classes: tuple[str, ...] | None = None, **settings: object) -> Artifact:
    params = ImportDescriptionsParams(file=file, classes=classes)
    descriptions = run_stage(DESCRIPTIONS_STAGE, params, {}, store, SilentProgress()).artifact
    encoder = embed.EmbedParams(encoder=MINILM, **settings)
    embeddings = run_stage(embed.STAGE, encoder, {"descriptions": descriptions}, store, SilentProgress()).artifact
    inputs = {"embeddings": embeddings}
    return run_stage(STAGE, ImportLabelsParams(file=file), inputs, store, SilentProgress()).artifact


@pytest.fixture
def street(store: Store, tmp_path: Path) -> Artifact:
    return make_label_space(store, STREET, tmp_path)


def test_exported_properties_come_back_the_same(store: Store, street: Artifact, tmp_path: Path) -> None:
    space = read_described_space(street)
    export(space, tmp_path / "properties.json", "json", "minilm")
    artifact = import_labels(store, tmp_path / "properties.json", tuple(STREET))
    assert read_properties(artifact).names == space.properties.names
    assert "Named by properties.json." in artifact.file("report.md").read_text(encoding="utf-8")
    assert len(artifact.table("naming.parquet")) == 0
    np.testing.assert_allclose(read_properties(artifact).centres, space.properties.centres, atol=1e-6)
    (matrix,) = read_class_matrices(artifact)
    assert matrix.classes == tuple(STREET)
    np.testing.assert_array_equal(matrix.matrix, space.matrices[0].matrix)
    export(read_described_space(artifact), tmp_path / "again.json", "json", "minilm")
    again = json.loads((tmp_path / "again.json").read_text())
    first = json.loads((tmp_path / "properties.json").read_text())
    assert {name: sorted(members) for name, members in again.items()} == {
        name: sorted(members) for name, members in first.items()
    }


def test_exported_bank_comes_back_the_same(store: Store, street: Artifact, tmp_path: Path) -> None:
    space = read_described_space(street)
    export(space, tmp_path / "bank.pth", "bank", "minilm")
    artifact = import_labels(store, tmp_path / "bank.pth")
    again = read_described_space(artifact)
    assert again.properties.names == space.properties.names  # both are medoids
    np.testing.assert_array_equal(again.properties.centres, space.properties.centres)
    assert again.classes == space.classes
    assert [(item.owner, item.text, item.property_id) for item in again.descriptions] == [
        (item.owner, item.text, item.property_id) for item in space.descriptions
    ]


def test_a_bank_of_another_encoder_is_refused(store: Store, street: Artifact, tmp_path: Path) -> None:
    bank = to_bank(read_described_space(street))
    other = torch.nn.functional.normalize(torch.randn(12, 384, generator=torch.Generator().manual_seed(0)), dim=1)
    write_bank(tmp_path / "other.pth", type(bank)(other, bank.class_matrix, bank.descriptions))
    with pytest.raises(InputError, match="The bank was made with another encoder, or with other settings of it"):
        import_labels(store, tmp_path / "other.pth")
    write_bank(tmp_path / "narrow.pth", type(bank)(other[:, :300], bank.class_matrix, bank.descriptions))
    with pytest.raises(InputError, match="its centres are 300 wide, the encoder's vectors 384"):
        import_labels(store, tmp_path / "narrow.pth")
    write_bank(tmp_path / "silent.pth", type(bank)(bank.centres, bank.class_matrix))
    with pytest.raises(InputError, match="the bank has no descriptions"):
        import_labels(store, tmp_path / "silent.pth")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.json", None, "there is no such file"),
        ("labels.txt", "", "expected properties in FILE.json, or a bank in FILE.pth"),
        ("labels.json", "[]", "expected a JSON object of property name"),
        ("labels.json", '{"flat": ["road is flat"]}', 'expected members "class: description"'),
        ("labels.json", '{"flat": ["road: flat"], "even": ["road: flat"]}', "road: 'flat' is a member twice"),
        (
            "labels.json",
            '{"flat": ["sea: flat"]}',
            "it lacks bus, bush, car, road, sidewalk, tree, and has",
        ),
        ("labels.pth", "{}", "labels.pth: expected a file of torch.save"),
    ],
)
def test_wrong_files_are_refused(store: Store, tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(message)):
        import_labels(store, tmp_path / name, tuple(STREET))


@pytest.mark.slow
def test_released_properties_of_ade20k(store: Store, shared_data: Path, tmp_path: Path) -> None:
    """The figures are those that the specification measured on the released file (sections 1.4 and 1.6)."""
    descriptors = json.loads((shared_data / "descriptors/descriptors_ade20k_gpt3.5_cluster.json").read_text())
    file = shared_data / "properties/property_ade20k.json"
    artifact = import_labels(store, file, tuple(descriptors))
    (matrix,) = read_class_matrices(artifact)
    assert matrix.matrix.shape == (150, 256)
    counts = matrix.matrix.sum(axis=1)
    assert (counts.min(), counts.max(), round(counts.mean(), 2)) == (5, 13, 9.36)
    diagnostics = json.loads(artifact.file("diagnostics.json").read_text())
    assert diagnostics["identical_classes"] == diagnostics["subset_classes"] == []
    closest = diagnostics["closest_classes"][0]
    assert {closest["first"], closest["second"]} == {"toilet", "sink"}
    assert round(closest["cosine"], 3) == 0.707

    table = artifact.table("assignments.parquet")
    vectors = run_vectors(store, artifact)
    bank = bank_from_properties(
        json.loads(file.read_text()), tuple(descriptors), lambda texts: np.stack([vectors[text] for text in texts])
    )
    np.testing.assert_allclose(bank.centres.numpy(), read_properties(artifact).centres, atol=1e-6)
    np.testing.assert_array_equal(bank.class_matrix.numpy(), matrix.matrix)
    assert len(table) == 1478
    # The clusters were found with another encoder, and still most descriptions lie nearest to their own centre.
    described = torch.from_numpy(np.stack([vectors[text.lower()] for text in table["text"].to_pylist()]))
    nearest = torch.cdist(described, bank.centres).argmin(dim=1)
    assert (nearest.numpy() == table["property_id"].to_numpy()).mean() > 0.7


def run_vectors(store: Store, artifact: Artifact) -> dict[str, np.ndarray]:
    record = artifact.manifest.inputs["embeddings"]
    table = store.resolve(f"embeddings:{record.version}").table("embeddings.parquet")
    vectors = (np.array(vector, dtype=np.float32) for vector in table["vector"].to_pylist())
    return {text.lower(): vector for text, vector in zip(table["text"].to_pylist(), vectors, strict=True)}
