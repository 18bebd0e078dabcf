"""The stage cluster on vectors that a test makes up, and on real descriptions."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from artifacts import Artifact, Recipe, Store
from tasks.cluster import STAGE, ClusterParams
from tasks.execution import StageResult, run_stage
from tasks.kinds import EMBEDDINGS
from tasks.progress import SilentProgress

Embedded = Mapping[str, Sequence[tuple[str, Sequence[float]]]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def embed(store: Store) -> Callable[..., Artifact]:
    """Makes up embeddings: `embed({class: [(text, vector), ...]}, encoder="mine")`."""

    def run(embedded: Embedded, encoder: str = "made up") -> Artifact:
        rows = [
            (class_id, name, position, text, vector)
            for class_id, (name, items) in enumerate(embedded.items())
            for position, (text, vector) in enumerate(items)
        ]
        names = EMBEDDINGS.tables["embeddings.parquet"].names
        vectors = np.array([row[-1] for row in rows], dtype=np.float32)

        def write(folder: Path) -> dict[str, Any]:
            columns = dict(zip(names, zip(*rows, strict=True), strict=True))
            schema = EMBEDDINGS.tables["embeddings.parquet"]
            schema = schema.set(4, pa.field("vector", pa.list_(pa.float32(), vectors.shape[1]), nullable=False))
            pq.write_table(pa.table(columns, schema=schema), folder / "embeddings.parquet")
            for name in EMBEDDINGS.files:
                (folder / name).write_text(json.dumps({"model": encoder}))
            return {}

        parameters = {"rows": [[*row[:-1], list(row[-1])] for row in rows], "encoder": encoder}
        return store.build(
            Recipe(stage="made_up", kind=EMBEDDINGS, code="1", parameters=parameters, inputs={}), write
        ).artifact

    return run


@pytest.fixture
def run_cluster(store: Store, embed: Callable[..., Artifact]) -> Callable[..., StageResult]:
    """Clusters {class: [(text, vector), ...]}: `run_cluster(embedded, properties=3)`."""

    def run(embedded: Embedded, *, force: bool = False, **settings: Any) -> StageResult:
        inputs = {"embeddings": embed(embedded)}
        return run_stage(STAGE, ClusterParams(**settings), inputs, store, SilentProgress(), force=force)

    return run
