from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from artifacts import Artifact
from prolab_model.bank import read_bank
from tasks.errors import InputError
from tasks.labels.described import read_described_space
from tasks.labels.export import export
from tests.label_spaces import STREET


def test_bank_holds_centres_classes_and_descriptions(street: Artifact, tmp_path: Path) -> None:
    space = read_described_space(street)
    export(space, tmp_path / "bank.pth", "bank", "minilm")
    bank = read_bank(tmp_path / "bank.pth", "minilm_gpt3.5_cluster_12_embeddings_and_labels")
    np.testing.assert_array_equal(bank.centres.numpy(), space.properties.centres)
    np.testing.assert_array_equal(bank.class_matrix.numpy(), space.matrices[0].matrix)
    assert bank.descriptions == {name: tuple(texts) for name, texts in STREET.items()}


def test_json_lists_every_member_of_every_property(street: Artifact, tmp_path: Path) -> None:
    space = read_described_space(street)
    export(space, tmp_path / "properties.json", "json", "minilm")
    properties = json.loads((tmp_path / "properties.json").read_text(encoding="utf-8"))
    assert tuple(properties) == space.properties.names
    listed = sorted(member for members in properties.values() for member in members)
    assert listed == sorted(f"{name}: {text}" for name, texts in STREET.items() for text in texts)


def test_csv_has_a_row_for_each_member(joint: Artifact, tmp_path: Path) -> None:
    space = read_described_space(joint)
    export(space, tmp_path / "labels.csv", "csv", "minilm")
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["dataset"], row["class"], row["description"]) for row in rows] == [
        (item.owner.dataset, item.owner.name, item.text) for item in space.descriptions
    ]
    assert all(row["property"] == space.properties.names[int(row["property_id"])] for row in rows)


def test_one_data_set_of_several(joint: Artifact, tmp_path: Path) -> None:
    space = read_described_space(joint)
    with pytest.raises(InputError, match="name one of roads, plants"):
        export(space, tmp_path / "bank.pth", "bank", "minilm")
    assert not list(tmp_path.iterdir())
    export(space, tmp_path / "bank.pth", "bank", "minilm", "plants")
    bank = read_bank(tmp_path / "bank.pth")
    assert bank.classes == ("tree", "bush")
    assert bank.class_matrix.shape == (2, 9)
    export(space, tmp_path / "plants.json", "json", "minilm", "plants")
    properties = json.loads((tmp_path / "plants.json").read_text(encoding="utf-8"))
    assert len(properties) < 9
    assert sum(map(len, properties.values())) == 8
