"""Where deployments run: the work pools of a Prefect server, and how many networks train at once."""

from __future__ import annotations

from dataclasses import dataclass

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound

from flows.stages import evaluate, train
from flows.validation import suggest
from tasks.errors import InputError
from tasks.train import STAGE as TRAIN

CPU_POOL = "cpu"
GPU_POOL = "gpu"

_TRAINING_LIMIT = f"tag:{TRAIN.name}"  # Prefect's name for the limit on tasks with the tag


@dataclass(frozen=True)
class Pools:
    """Names of the pools: of training and evaluation, and of everything else."""

    gpu: str
    cpu: str

    def of(self, flow: str | None) -> str:
        """The pool of a flow's deployments."""
        return self.gpu if flow in (train.name, evaluate.name) else self.cpu


def choose_pools(client: SyncPrefectClient, pool: str | None, gpu_pool: str | None) -> Pools:
    """Where deployments are to run.

    Args:
        client: of the server.
        pool: that of the other flows: `cpu` if not given, which is made if it is not there.
        gpu_pool: that of training and evaluation: if not given `gpu` where there is such a pool, else `pool`.

    Raises:
        InputError: there is no such pool.
    """
    pools = [known.name for known in client.read_work_pools()]
    for name in filter(None, (pool, gpu_pool)):
        if name not in pools:
            raise InputError(
                f"work pool {name}: the server has none of that name{suggest(name, pools)}. "
                f"To make one: prefect work-pool create --type process {name}"
            )
    if pool is None:
        pool = CPU_POOL
        make_pool(client, pool)
    return Pools(gpu=gpu_pool or (GPU_POOL if GPU_POOL in pools else pool), cpu=pool)


def make_pool(client: SyncPrefectClient, name: str) -> None:
    """Make a pool of processes on its workers' machines, if there is none of the name."""
    if name not in [pool.name for pool in client.read_work_pools()]:
        client.create_work_pool(WorkPoolCreate(name=name, type="process"))


def limit_training(client: SyncPrefectClient, trainings: int | None) -> int:
    """Limit how many networks train at once, in whatever pool or experiment; returns the limit.

    Args:
        client: of the server.
        trainings: the limit; if not given it stays as it is, and is at first one for each GPU of this machine.
    """
    if trainings is None:
        try:
            return client.read_global_concurrency_limit_by_name(_TRAINING_LIMIT).limit
        except ObjectNotFound:
            trainings = max(1, gpus())
    client.upsert_global_concurrency_limit_by_name(_TRAINING_LIMIT, trainings)
    return trainings


def gpus() -> int:
    """How many GPUs this machine has that PyTorch can use."""
    import torch

    return torch.cuda.device_count()
