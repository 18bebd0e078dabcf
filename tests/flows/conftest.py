"""Runs the `prolab` command in processes of its own, with the tiny pipeline, and a real Prefect server."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import Prolab

from tests.squares import write_experiment

REPOSITORY = Path(__file__).parents[2]
TINY = Path(__file__).parent / "tiny"

EXPERIMENT = """\
name: tiny
dataset:
  names: [first.jpg, second.jpg]
describe:
  provider: {type: llm, model: a}
"""


@pytest.fixture
def prolab(tmp_path: Path) -> Prolab:
    shutil.copytree(TINY, tmp_path / "code" / "tiny", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    environment = _environment(tmp_path)
    python_path = [str(tmp_path / "code"), str(REPOSITORY), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, python_path))
    return Prolab(tmp_path, environment)


@pytest.fixture
def real_prolab(tmp_path: Path) -> Prolab:
    """The command itself, with the real stages, on a data set of coloured squares."""
    return _real_prolab(tmp_path)


@pytest.fixture(scope="module")
def shared_prolab(tmp_path_factory: pytest.TempPathFactory) -> Prolab:
    """The same in a folder that the tests of a module share: what one has run is in the store for the next."""
    return _real_prolab(tmp_path_factory.mktemp("squares"))


def _real_prolab(folder: Path) -> Prolab:
    write_experiment(folder)
    return Prolab(folder, _environment(folder), (str(Path(sys.executable).with_name("prolab")),))


def _environment(folder: Path) -> dict[str, str]:
    """What this process has, without what would point it at a server or a store."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PROLAB_"))}
    return inherited | {"PREFECT_HOME": str(folder / "prefect")}


@pytest.fixture(scope="session")
def prefect_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment variables of a Prefect server that runs as long as the tests."""
    with _prefect_server(tmp_path_factory.mktemp("prefect")) as (settings, _):
        yield settings


@pytest.fixture
def mortal_server(tmp_path: Path) -> Iterator[tuple[dict[str, str], subprocess.Popen[bytes]]]:
    """Environment variables of a Prefect server of the test's own, and its process."""
    home = tmp_path / "server"
    home.mkdir()
    with _prefect_server(home) as running:
        yield running


@contextmanager
def _prefect_server(home: Path) -> Iterator[tuple[dict[str, str], subprocess.Popen[bytes]]]:
    port = _free_port()
    settings = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_healthy(server, settings["PREFECT_API_URL"], home / "server.log")
        yield settings, server
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=120)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_healthy(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    pytest.fail(f"the Prefect server did not come up:\n{log.read_text()}")
