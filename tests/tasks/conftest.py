"""A store, and the data set of coloured squares in it, for the stages that read one."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts import Artifact, Store
from tasks import index
from tasks.execution import run_stage
from tasks.progress import SilentProgress
from tests.squares import draw_squares


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("tasks") / "store")


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("squares")
    draw_squares(root)
    return root


@pytest.fixture(scope="session")
def dataset(store: Store, data_root: Path) -> Artifact:
    params = index.IndexParams(config=data_root / "squares.py", root=data_root)
    return run_stage(index.STAGE, params, {}, store, SilentProgress()).artifact
