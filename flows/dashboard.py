"""A Prefect server with its dashboard, work pools and workers on this machine, for as long as the command runs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flows.prefect_api import trouble_with
from tasks.errors import InputError

_HOST = "127.0.0.1"
_SECONDS_TO_START = 120.0
SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "DO_NOT_TRACK": "1",
    # Kept in memory, who holds the training limit is forgotten when the server ends, and the limit is held for ever.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # By itself a worker asks for work every 10 seconds, and half of that is what a run waits for on average.
    "PREFECT_WORKER_QUERY_SECONDS": "3",
}
"""Prefect's settings in the server and the workers."""


def run_dashboard(experiments: Sequence[Path], port: int, open_page: bool, store: Path) -> None:
    """Run server and workers until interrupted, and leave no process behind.

    Args:
        experiments: deployed once the server answers.
        port: of the server.
        open_page: in a browser.
        store: the store that the workers use.

    Raises:
        InputError: the port is taken; an experiment is wrong; the server ends by itself.
    """
    _check_free(port)
    page = f"http://{_HOST}:{port}"
    os.environ.update(SETTINGS, PREFECT_API_URL=f"{page}/api", PROLAB_STORE=str(store.absolute()))
    with ExitStack() as running:
        server = running.enter_context(_process("server", "start", "--host", _HOST, "--port", str(port)))
        _wait(server, os.environ["PREFECT_API_URL"])
        for pool in _deploy(experiments, store):
            running.enter_context(_process("worker", "start", "--type", "process", "--pool", pool))
        print(f"dashboard: {page} (Ctrl-C stops it)", flush=True)
        if open_page:
            # Where there is something to run, that is where one wants to begin.
            webbrowser.open(f"{page}/deployments" if experiments else page)
        server.wait()
    raise _ended(server)


def _check_free(port: int) -> None:
    with socket.socket() as listener:
        # As the server itself does: a port whose last connections are still closing is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, port))
        except OSError as error:
            raise InputError(f"--port {port}: taken ({error}); is a Prefect server running there already?") from error


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Prefect command in a session of its own, so that Ctrl-C reaches only this process, which stops it in order."""
    command = [sys.executable, "-m", "flows.dependant", sys.executable, "-m", "prefect", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True)
    assert process.stdin is not None
    try:
        yield process
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave processes behind
        process.stdin.close()
        process.wait()


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while trouble := trouble_with(url):
        if server.poll() is not None:
            raise _ended(server)
        if time.monotonic() > deadline:
            raise InputError(f"the Prefect server does not answer after {_SECONDS_TO_START:.0f} s: {trouble}")
        time.sleep(0.5)


def _ended(server: subprocess.Popen[bytes]) -> InputError:
    return InputError(f"the Prefect server ended by itself, with exit code {server.returncode}; its log says why")


def _deploy(experiments: Sequence[Path], store: Path) -> list[str]:
    """Make the pools, one for GPUs only where there are any, and the deployments; returns the pools."""
    from prefect.client.orchestration import get_client

    from flows.crashes import watch_for_crashes
    from flows.deployments import Options, make_deployments, register
    from flows.work_pools import CPU_POOL, GPU_POOL, choose_pools, gpus, limit_training, make_pool

    deployments = make_deployments(experiments, Options(store))
    pools = [CPU_POOL, GPU_POOL] if gpus() else [CPU_POOL]
    with get_client(sync_client=True) as client:
        for pool in pools:
            make_pool(client, pool)
        limit_training(client, None)
        watch_for_crashes(client)
        register(deployments, choose_pools(client, CPU_POOL, None))
    return pools
