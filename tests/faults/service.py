"""A Prefect server and a worker, which can be killed and started again."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.states import Cancelling, State

from flows.dashboard import SETTINGS
from flows.prefect_api import trouble_with
from tests.faults.laboratory import SECONDS_TO_RUN, Round, wait_until
from tests.flows.processes import Prolab

_SETTINGS = SETTINGS | {"PREFECT_WORKER_QUERY_SECONDS": "1"}


class Service:
    """A server with the experiment's deployments, and a worker.

    Attributes:
        prolab: the command in the folder with the logs, in an environment that points it at the server.
        client: of the server.
    """

    def __init__(self, prolab: Prolab) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self._port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/api"
        self.prolab = dataclasses.replace(
            prolab, environment=prolab.environment | _SETTINGS | {"PREFECT_API_URL": self.url}
        )
        self.client = SyncPrefectClient(api=self.url)
        self.server = self._start_server()
        self.wait_for_server()
        # One that does not find a server waits longer and longer.
        self.worker = self._start_worker()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *error: object) -> None:
        for process in (self.worker, self.server):
            kill(process)

    def deploy(self, experiment: Prolab) -> None:
        """Register the deployments of the experiment in a folder."""
        deployer = dataclasses.replace(experiment, environment=experiment.environment | self.prolab.environment)
        deploy = deployer.start("deploy", "experiment.yaml")
        _, log = deploy.communicate(timeout=SECONDS_TO_RUN)
        assert deploy.returncode == 0, log

    def stop_server(self, sent: signal.Signals) -> None:
        """End the server by a signal."""
        self.server.send_signal(sent)
        self.server.wait(60)
        kill(self.server)

    def restart_server(self) -> None:
        """Start the server again, and wait until it answers."""
        self.server = self._start_server()
        self.wait_for_server()

    def restart_worker(self, **environment: str) -> None:
        """Start a worker in place of the one there was, with more in its environment if wanted."""
        kill(self.worker)
        self.worker = self._start_worker(**environment)

    def wait_for_server(self) -> None:
        """Wait until the server answers."""
        wait_until(lambda: trouble_with(self.url) is None, lambda: "the server does not answer")

    def _start_server(self) -> subprocess.Popen[bytes]:
        return self._start("server", "start", "--host", "127.0.0.1", "--port", str(self._port))

    def _start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        return self._start("worker", "start", "--type", "process", "--pool", "cpu", **environment)

    def _start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.prolab.folder / f"{arguments[0]}.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                env=self.prolab.environment | environment,
                cwd=self.prolab.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, round: Round, stage: str, timeout: float | None = None) -> UUID:
        """Have the worker run a stage on the round's store."""
        deployment = self.client.read_deployment_by_name(f"{stage}/scenes")
        made = self.client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"store": str(round.store), "timeout": timeout},
            job_variables={"env": {"PROLAB_FAULTS": str(round.folder)}},
        )
        return made.id

    @property
    def database(self) -> Path:
        """The server's SQLite file."""
        return self.prolab.folder / "prefect" / "prefect.db"

    def state(self, run: UUID) -> State[Any]:
        """The present state of a run."""
        state = self.client.read_flow_run(run).state
        assert state is not None
        return state

    def cancel(self, run: UUID) -> None:
        """What the dashboard's button does."""
        self.client.set_flow_run_state(run, Cancelling())

    def end_of(self, run: UUID, seconds: float = SECONDS_TO_RUN) -> State[Any]:
        """The state in which a run ends."""
        wait_until(lambda: self.state(run).is_final(), lambda: f"the run is {self.state(run)!r}", seconds)
        return self.state(run)

    def task_states(self, run: UUID) -> dict[str, str | None]:
        """The name of the state of each task run."""
        only = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
        return {task.name: task.state_name for task in self.client.read_task_runs(flow_run_filter=only)}

    def log(self, run: UUID) -> str:
        """What the dashboard shows as the run's log."""
        only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
        return "\n".join(line.message for line in self.client.read_logs(log_filter=only, limit=200))


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process by force, and all that it started: also what it left behind, which is in its session."""
    below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for member in (*psutil.process_iter(), *below):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if member in below or os.getsid(member.pid) == process.pid:
                member.kill()
    process.wait()
