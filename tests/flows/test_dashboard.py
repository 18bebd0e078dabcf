"""`prolab ui`, and deployments that its worker runs: real server, real worker, real stages."""

import dataclasses
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings
from processes import Prolab

from artifacts import Store
from flows.crashes import NAME

pytestmark = pytest.mark.slow

KEY = "sk-that-nobody-may-see"
"""What stands in the worker's environment, and nowhere else."""


def test_dashboard_runs_deployments_and_leaves_nothing_behind(real_prolab: Prolab) -> None:
    prolab = dataclasses.replace(real_prolab, environment=real_prolab.environment | {"OPENAI_API_KEY": KEY})
    port = _free_port()
    with (prolab.folder / "ui.log").open("w") as log:
        command = [*prolab.command, "ui", "experiment.yaml", "--port", str(port), "--no-open"]
        running = subprocess.Popen(
            command, cwd=prolab.folder, env=prolab.environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            line = running.stdout.readline()
            assert line == f"dashboard: http://127.0.0.1:{port} (Ctrl-C stops it)\n", (
                prolab.folder / "ui.log"
            ).read_text()
            started = psutil.Process(running.pid).children(recursive=True)
            with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
                _run_what_is_right_and_what_is_wrong(Store(prolab.folder / "store"))
                with get_client(sync_client=True) as client:
                    assert [found.enabled for found in client.read_automations_by_name(NAME)] == [True]
            assert _addresses(started, port) == {"127.0.0.1"}
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(timeout=60)

    assert running.returncode == 130
    assert len(started) >= 2
    assert [process for process in started if process.is_running()] == []
    _nowhere(KEY, prolab.folder)


def _run_what_is_right_and_what_is_wrong(store: Store) -> None:
    described = _run("describe/squares", overrides=["describe.min_descriptions=2"])
    assert described.state_name == "Completed"
    assert store.resolve("descriptions").manifest.parameters["min_descriptions"] == 2

    with pytest.raises(PrefectHTTPStatusError) as refusal:
        _run("cluster/squares", cluster={"propertys": 6})
    assert "propertys" in refusal.value.response.text


def _run(deployment: str, **parameters: Any) -> FlowRun:
    return run_deployment(deployment, parameters=parameters, timeout=240, poll_interval=0.5)


def _addresses(processes: list[psutil.Process], port: int) -> set[str]:
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }


def _nowhere(text: str, folder: Path) -> None:
    """The text is in no file: neither in the server's database nor in a log or artifact."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any(file.suffix == ".db" for file in files)
    assert [file for file in files if text.encode() in file.read_bytes()] == []


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_taken_port(real_prolab: Prolab) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        done = real_prolab("ui", "--no-open", "--port", str(listener.getsockname()[1]))

    assert done.returncode == 2
    assert "taken" in done.stderr
