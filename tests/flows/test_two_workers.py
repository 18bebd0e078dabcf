"""Two workers with a store each, which share artifacts through a bucket; new descriptions start the pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.events.worker import EventsWorker
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from processes import Prolab
from tiny import stages
from tiny.experiment import TinyExperiment

import flows.experiment
from artifacts import Store
from flows.deployments import Options, make_deployments, register
from flows.pipeline import prolab_pipeline
from flows.stages import stage_flow
from flows.work_pools import Pools, make_pool

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PATIENCE = 900.0  # seconds; on a machine with nothing else to do it takes some twenty in all


@dataclass(frozen=True)
class Runs:
    """The runs of a deployment, of which the server knows."""

    client: SyncPrefectClient
    deployment: UUID

    def all(self) -> list[FlowRun]:
        return self.client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[self.deployment]))
        )

    def here(self, flow: Any, **parameters: Any) -> Any:
        """Run it in this process, and return what came of it."""
        run = self.client.create_flow_run_from_deployment(self.deployment, parameters=parameters)
        return run_flow(flow, flow_run=run, parameters=run.parameters)

    def task_states(self, run: FlowRun) -> dict[str, str | None]:
        tasks = self.client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
        return {task.name: task.state_name for task in tasks}


def test_new_descriptions_of_one_worker_start_the_pipeline_on_another(
    tmp_path: Path,
    s3: str,
    prolab: Prolab,
    prefect_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flows.experiment, "Experiment", TinyExperiment)
    monkeypatch.setenv("PROLAB_REMOTE", s3)
    keys = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "PROLAB_", "NO_PROXY"))}
    environment = prolab.environment | prefect_environment | keys
    experiment = prolab.folder / "experiment.yaml"
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    with (
        temporary_settings({PREFECT_API_URL: prefect_environment["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
    ):
        before = prolab_pipeline(experiment, store=there.root)
        describe = Runs(client, deploy(client, experiment, "describe", here))
        pipeline = Runs(client, deploy(client, experiment, "prolab-pipeline", there))
        with worker("here", environment, tmp_path), worker("there", environment, tmp_path):
            prefect(environment, "deployment", "run", "describe/tiny", "-p", 'overrides=["describe.provider.model=c"]')
            wait_until(lambda: any(run.state and run.state.is_final() for run in pipeline.all()))

        (run,) = pipeline.all()
        made = here.resolve("descriptions")
        assert run.parameters["pins"] == {"describe": made.version}
        assert run.state_name == "Completed", run.state
        # The tasks' states reach the server a little later than the run's.
        expected = {"index": "Cached", "describe": "Cached", "cluster": "Completed", "train": "Completed"}
        wait_until(lambda: pipeline.task_states(run) == expected)
        assert {manifest.kind for manifest in here.list()} == {"descriptions"}
        assert there.resolve(made.reference).digest == made.digest

        # A hit starts nothing, and neither did what the pipeline published.
        flow = stage_flow("describe", stages.DESCRIBE)
        hit, other = (describe.here(flow, overrides=[f"describe.provider.model={name}"]) for name in "cd")
        EventsWorker.drain_all()
        wait_until(lambda: len(pipeline.all()) > 1)
        assert [outcome.state for outcome in (*hit, *other)] == ["Cached", "Built"]
        assert {run.parameters["pins"]["describe"] for run in pipeline.all()} == {
            made.version,
            other[0].artifact.version,
        }
        assert len(pipeline.all()) == 2

        back = prolab_pipeline(experiment, store=there.root, pins={"describe": before[1].artifact.version})
        assert [outcome.state for outcome in back] == ["Cached", "Pinned", "Cached", "Cached"]
        assert [outcome.artifact for outcome in back] == [outcome.artifact for outcome in before]
        APILogWorker.drain_all()
        EventsWorker.drain_all()


def deploy(client: SyncPrefectClient, experiment: Path, flow: str, store: Store) -> UUID:
    """Deploy a flow of the tiny experiment to the pool that is called as the store, and return the deployment."""
    pool = store.root.name
    make_pool(client, pool)
    (deployment,) = (
        made for made in make_deployments([experiment], Options(store.root, chain=True)) if made.flow_name == flow
    )
    assert deployment.entrypoint is not None
    deployment.entrypoint = f"tiny.deployed.{deployment.entrypoint.rpartition('.')[2]}"
    # The form of the real stages knows nothing of the tiny ones' parameters, which are those of the file.
    deployment.parameters = {name: deployment.parameters[name] for name in ("experiment", "store", "timeout")}
    register([deployment], Pools(gpu=pool, cpu=pool))
    return client.read_deployment_by_name(deployment.full_name).id


@contextmanager
def worker(pool: str, environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process", "--pool", pool]
    # They would share the file in which a worker keeps its name.
    settings = {"PREFECT_HOME": str(folder / f"{pool}-home"), "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with (folder / f"{pool}.log").open("w") as log:
        process = subprocess.Popen(command, env={**environment, **settings}, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def prefect(environment: Mapping[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "prefect", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"not in {PATIENCE:.0f} s"
        time.sleep(0.2)
