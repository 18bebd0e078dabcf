"""What training needs besides the data set: a label space, and the config of a small network."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from artifacts import Artifact, Recipe, Store
from tasks.kinds import LABEL_SPACE
from tests.conftest import REPOSITORY
from tests.training import run

CLASS_MATRIX = ((1, 1, 0, 0), (0, 1, 1, 0), (0, 0, 1, 1))


@pytest.fixture(scope="session")
def label_space(store: Store, dataset: Artifact) -> Artifact:
    names = dataset.table("classes.parquet")["name"].to_pylist()
    return store.build(
        Recipe("cluster", LABEL_SPACE, "test", {}, {}), partial(_write_label_space, names=names)
    ).artifact


def _write_label_space(folder: Path, names: list[str]) -> dict[str, int]:
    def write(name: str, columns: dict[str, list[object]]) -> None:
        pq.write_table(pa.table(columns, schema=LABEL_SPACE.tables[name]), folder / name)

    pairs = [
        {"dataset": "", "class_id": class_id, "class_name": names[class_id], "property_id": property_id}
        for class_id, row in enumerate(CLASS_MATRIX)
        for property_id, owned in enumerate(row)
        if owned
    ]
    centres = np.random.default_rng(0).normal(size=(4, 32)).astype(np.float32)
    properties = {"property_id": [0, 1, 2, 3], "name": ["green", "flat", "red", "wet"], "size": [1, 2, 2, 1]}
    write("properties.parquet", {**properties, "centre": list(centres)})
    write("class_properties.parquet", {name: [pair[name] for pair in pairs] for name in pairs[0]})
    phrases = {"position": list(range(6)), "text": ["phrase"] * 6, "distance": [0.0] * 6}
    write("assignments.parquet", {**{name: [pair[name] for pair in pairs] for name in pairs[0]}, **phrases})
    write("naming.parquet", {name: [] for name in LABEL_SPACE.tables["naming.parquet"].names})
    for name in LABEL_SPACE.files:
        (folder / name).write_text("{}", encoding="utf-8")
    return {"properties": 4}


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config that inherits the base model's, as a user's would."""
    path = tmp_path_factory.mktemp("configs") / "small.py"
    path.write_text(
        f"""_base_ = {str(REPOSITORY / "configs/models/vit_adapter_demo.py")!r}
model = dict(
    backbone=dict(dim=48, conv_inplanes=8, drop_path=0.1),
    decode_head=dict(in_channels=[48] * 4, channels=16),
    auxiliary_head=dict(in_channels=48, channels=16),
)
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="session")
def checkpoint(store: Store, small_model: Path, dataset: Artifact, label_space: Artifact) -> Artifact:
    return run(store, small_model, dataset, label_space)


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    """The small network, in which nothing is random."""
    path = tmp_path_factory.mktemp("configs") / "plain.py"
    path.write_text(
        f"""_base_ = {str(small_model)!r}
model = dict(
    backbone=dict(drop_path=0.0), decode_head=dict(dropout_ratio=0.0), auxiliary_head=dict(dropout_ratio=0.0)
)
""",
        encoding="utf-8",
    )
    return path
