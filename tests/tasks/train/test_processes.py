"""Several processes that torchrun starts, on the CPU by gloo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from artifacts import Artifact, Store
from prolab_model.checkpoint import WEIGHTS
from tasks.errors import InputError
from tests.training import Killed, KillingProgress, curve_of, run

pytestmark = pytest.mark.slow

SETTINGS = {
    "batch_size": 4,
    "max_iters": 6,
    "log_every": 1,
    "save_every": 2,
    "validate_every": 3,
    "learning_rate": 1e-3,
}


@pytest.fixture(scope="module")
def two(
    tmp_path_factory: pytest.TempPathFactory, plain_model: Path, dataset: Artifact, label_space: Artifact
) -> Artifact:
    store = Store(tmp_path_factory.mktemp("two") / "store")
    return run(store, plain_model, dataset, label_space, processes=2, **SETTINGS)


def test_two_processes_do_what_one_does(
    tmp_path: Path, two: Artifact, plain_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    """Each takes half of the crops: losses, weights and batch norm's running figures are those of the whole batch."""
    one = run(Store(tmp_path / "store"), plain_model, dataset, label_space, **SETTINGS)
    np.testing.assert_allclose(curve_of(two, "loss"), curve_of(one, "loss"), rtol=1e-4)
    np.testing.assert_allclose(curve_of(two, "miou"), curve_of(one, "miou"), atol=0.02)
    first, second = (load_file(checkpoint.file(WEIGHTS)) for checkpoint in (one, two))
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-2, atol=2e-3, msg=name)


def test_killed_processes_go_on_to_the_same_weights(
    tmp_path: Path, two: Artifact, plain_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(Killed):
        run(store, plain_model, dataset, label_space, KillingProgress(4), processes=2, **SETTINGS)
    resumed = run(store, plain_model, dataset, label_space, processes=2, **SETTINGS)
    assert resumed.digest == two.digest


def test_what_a_process_finds_wrong_reaches_the_user(
    tmp_path: Path, plain_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    settings = {**SETTINGS, "learning_rate": 1e30, "clip_norm": None, "warmup": 0.0}
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at iteration \d+, whose crops are of .*\.png"):
        run(Store(tmp_path / "store"), plain_model, dataset, label_space, processes=2, **settings)
