"""The command lines and health checks of images and services, run here as they stand; only hosts and ports differ."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest

from tests.docker.recipes import health_check, image_command, image_environment, image_health_check, services

pytestmark = pytest.mark.slow

SERVICES = services({"POSTGRES_PASSWORD": "of this test"})
PATIENCE = 240.0  # seconds


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


class Addresses:
    """Where on this machine the hosts and ports of the services are."""

    def __init__(self) -> None:
        self._ports = {port: free_port() for port in ("5432", "4200", "8080")}
        self._words = self._ports | {"0.0.0.0": "127.0.0.1", "postgres": "127.0.0.1"}

    def here(self, text: str) -> str:
        text = self._words.get(text, text)
        return re.sub(
            r"\b(?:server|127\.0\.0\.1):(\d+)", lambda match: f"127.0.0.1:{self._ports.get(match[1], match[1])}", text
        )


@dataclass(frozen=True)
class Container:
    """What a container does, as a process of this machine.

    Attributes:
        command: what it runs.
        check: tells by its exit code whether it is well.
        environment: of both.
        log: where its output goes.
        user: who it is, if not who runs the tests.
        stop: the signal that ends it.
    """

    command: list[str]
    check: list[str]
    environment: dict[str, str]
    log: Path
    user: str | None = None
    stop: signal.Signals = signal.SIGTERM

    def is_well(self) -> bool:
        return subprocess.run(self.check, env=self.environment, capture_output=True, timeout=60).returncode == 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Started and well; ended by one signal to the one process, as containers are."""
        with self.log.open("w") as log:
            process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, user=self.user, cwd="/"
            )
        try:
            wait_until(lambda: process.poll() is not None or self.is_well(), self.log.name)
            assert process.poll() is None, self.log.read_text()
            yield
        finally:
            process.send_signal(self.stop)
            try:
                process.wait(timeout=PATIENCE)
            finally:
                process.kill()


def wait_until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"{what}: not in {PATIENCE:.0f} s"
        time.sleep(0.2)


def container(image: str, service: dict[str, Any], addresses: Addresses, folder: Path) -> Container:
    """A service's container of one of our images."""
    command = service.get("command") or image_command(image)
    check = health_check(service) if "healthcheck" in service else image_health_check(image)
    given = image_environment(image) | {name: value for name, value in service["environment"].items() if value}
    environment = {name: addresses.here(value) for name, value in given.items() if name.startswith(("PREFECT_", "DO_"))}
    folder.mkdir()
    return Container(
        [addresses.here(word) for word in command],
        [addresses.here(word) for word in check],
        outside()
        | environment
        | {
            "PREFECT_HOME": str(folder),
            "PROLAB_STORE": str(folder / "store"),
            "PREFECT_WORKER_WEBSERVER_PORT": addresses.here("8080"),
        },
        folder / "log",
    )


def outside() -> dict[str, str]:
    """The variables of this process, with the programs of its environment first and without what is ProLab's."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PROLAB_", "PG"))
    }
    return inherited | {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}


@contextmanager
def database(addresses: Addresses) -> Iterator[Container]:
    """A PostgreSQL of this machine as the official image sets one up from the service's variables."""
    service = SERVICES["postgres"]
    names = service["environment"]
    programs = shutil.which("postgres")
    if programs is None:
        pytest.skip("no PostgreSQL server here: its postgres and initdb have to be on the path")
    user = "postgres" if os.geteuid() == 0 else None  # which refuses to run as root
    if user and user not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres here")
    environment = outside() | {"PGPORT": addresses.here("5432"), "PGPASSWORD": names["POSTGRES_PASSWORD"]}
    with TemporaryDirectory() as folder:
        password = Path(folder) / "password"
        password.write_text(names["POSTGRES_PASSWORD"])
        if user:
            shutil.chown(folder, user)
            shutil.chown(password, user)
        data = f"{folder}/data"
        initdb = [
            "initdb",
            "--auth=scram-sha-256",
            f"--username={names['POSTGRES_USER']}",
            f"--pwfile={password}",
            data,
        ]
        subprocess.run(initdb, env=environment, user=user, cwd="/", check=True, capture_output=True)
        server = Container(
            [programs, "-D", data, "-h", "127.0.0.1", "-k", folder],
            health_check(service),
            environment,
            Path(folder) / "log",
            user,
            signal.SIGINT,  # the image's stop signal: clients are sent away
        )
        with server.running():
            createdb = ["createdb", "--host=127.0.0.1", f"--username={names['POSTGRES_USER']}", names["POSTGRES_DB"]]
            subprocess.run(createdb, env=environment, check=True, capture_output=True)
            yield server


@pytest.fixture(scope="module")
def addresses() -> Addresses:
    return Addresses()


@pytest.fixture(scope="module")
def worker(addresses: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The worker of the image for CPUs, with a server and a database."""
    folder = tmp_path_factory.mktemp("docker")
    server = container("cpu", SERVICES["server"], addresses, folder / "server")
    worker = container("cpu", SERVICES["cpu-worker"], addresses, folder / "worker")
    assert not server.is_well() and not worker.is_well(), "health checks that never fail"
    with ExitStack() as running:
        running.enter_context(database(addresses))
        running.enter_context(server.running())
        running.enter_context(worker.running())
        yield worker


def pools(addresses: Addresses) -> dict[str, str]:
    """Types of the work pools by name, as they stand in the database."""
    names = SERVICES["server"]["environment"]
    login = {
        name: addresses.here(names[f"PREFECT_SERVER_DATABASE_{name.upper()}"])
        for name in ("host", "port", "user", "password")
    }

    async def ask() -> Sequence[Any]:
        connection = await asyncpg.connect(database=names["PREFECT_SERVER_DATABASE_NAME"], **login)
        try:
            return list(await connection.fetch("SELECT name, type FROM work_pool"))
        finally:
            await connection.close()

    return {row["name"]: row["type"] for row in asyncio.run(ask())}


def test_server_and_worker_run_on_postgresql(worker: Container, addresses: Addresses) -> None:
    wait_until(lambda: pools(addresses).get("cpu") == "process", "the worker makes its pool")
    assert worker.is_well()


def test_the_worker_for_gpus_makes_its_own_pool(worker: Container, addresses: Addresses) -> None:
    command = [addresses.here(word) for word in image_command("cuda")]
    assert command[-1] == "--with-healthcheck", "its port is the other worker's here"
    with (worker.log.parent / "gpu.log").open("w") as log:
        process = subprocess.Popen(command[:-1], env=worker.environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: pools(addresses).get("gpu") == "process", "the worker makes its pool")
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def test_doctor_finds_server_and_kernels_in_a_worker(worker: Container) -> None:
    done = subprocess.run(["prolab", "doctor"], env=worker.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = dict(line.split("\t", 1) for line in done.stdout.splitlines())
    assert found["prefect server"] == "answers"
    assert found["store"].startswith(worker.environment["PROLAB_STORE"])
