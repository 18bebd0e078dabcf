"""`prefect.yaml`, as a real Prefect server takes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.work_pools import CPU_POOL, GPU_POOL, make_pool

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def test_prefect_deploys_the_shipped_experiments(prefect_environment: dict[str, str]) -> None:
    with (
        temporary_settings({PREFECT_API_URL: prefect_environment["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
    ):
        for pool in (CPU_POOL, GPU_POOL):
            make_pool(client, pool)

        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        environment = os.environ | prefect_environment
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)

        assert done.returncode == 0, done.stdout + done.stderr
        stages = {"index": CPU_POOL, "describe": CPU_POOL, "embed": CPU_POOL, "cluster": CPU_POOL}
        pools = stages | {"train": GPU_POOL, "evaluate": GPU_POOL, "prolab-pipeline": CPU_POOL}
        for experiment in ("demo", "camvid"):
            for flow, pool in pools.items():
                deployment = client.read_deployment_by_name(f"{flow}/{experiment}")
                assert deployment.work_pool_name == pool
                assert (REPOSITORY / deployment.parameters["experiment"]).is_file()
        assert client.read_deployment_by_name("promote/store").work_pool_name == CPU_POOL
