"""Several machines that train together: here two at 127.0.0.1, each with a store of its own."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from artifacts import Artifact, Store
from prolab_model.checkpoint import WEIGHTS
from tasks import train
from tasks.errors import InputError
from tasks.execution import assist_stage
from tasks.train import TrainParams
from tasks.train.processes import count_processes
from tests.training import SETTINGS, Killed, KillingProgress, run

MEETING = {"nodes": 2, "rendezvous": "127.0.0.1:29400"}


def params(**changed: Any) -> TrainParams:
    return TrainParams.model_validate({"model": "model.py", **SETTINGS, **changed})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nodes": 2}, "nodes: more than one need a rendezvous, HOST:PORT of the first"),
        ({**MEETING, "node_rank": 2}, "node_rank: 2: expected a number below nodes, which is 2"),
        ({**MEETING, "rendezvous": "first"}, "rendezvous\n.*match pattern"),
    ],
)
def test_machines_that_cannot_meet(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params(**settings)


def test_how_machines_share_a_step_is_no_part_of_the_key() -> None:
    assert params(**MEETING, node_rank=1).identity() == params().identity()


def test_a_batch_is_shared_by_the_processes_of_all_machines() -> None:
    assert count_processes(params(**MEETING, processes=2, batch_size=8)) == 2
    with pytest.raises(InputError, match=r"6 crops cannot be shared by 4 processes in 1 parts \(train.nodes, "):
        count_processes(params(**MEETING, processes=2, batch_size=6))


@pytest.mark.slow
def test_two_machines_go_on_from_the_state_of_the_first(
    tmp_path: Path, plain_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    settings = {"batch_size": 4, "max_iters": 6, "save_every": 2, "learning_rate": 1e-3, "log_every": 1}
    first, other = Store(tmp_path / "first"), Store(tmp_path / "other")
    one = run(Store(tmp_path / "one"), plain_model, dataset, label_space, **settings)
    with pytest.raises(Killed):
        run(first, plain_model, dataset, label_space, KillingProgress(4), **settings)

    settings |= {"processes": 1, "nodes": 2, "rendezvous": f"127.0.0.1:{free_port()}"}
    helping = TrainParams.model_validate({"model": plain_model, **SETTINGS, **settings, "node_rank": 1})
    inputs = {"dataset": dataset, "label_space": label_space}
    with ThreadPoolExecutor(1) as pool:
        share = pool.submit(assist_stage, train.STAGE, helping, inputs, other)
        checkpoint = run(first, plain_model, dataset, label_space, **settings)
        share.result()

    assert checkpoint.manifest.key == one.manifest.key
    assert other.list() == []
    weights, expected = (load_file(artifact.file(WEIGHTS)) for artifact in (checkpoint, one))
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-2, atol=2e-3, msg=name)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
