"""Times a run of the pipeline with Prefect beside the same stages without: in one process, and through a worker.

Run: python -m tests.benchmarks.orchestration

`prolab ui` starts a real server and a real worker. The real stages run on a small data set: cold into empty stores,
then warm, when the store has everything. All sides take turns, so that other work on the machine meets all alike.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path

import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun
from prefect.client.schemas.objects import StateType
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.benchmarks.command import PROLAB, Took, Watch, quiet_environment, time_command
from tests.squares import write_experiment

_DEPLOYMENT = "prolab-pipeline/squares"
_SECONDS_TO_START = 120
_SECONDS_TO_COMPLETE = 1800.0
_SECONDS_TO_REST = 20
_IDLE_SHARE = 0.1  # of a core
_HEADER = f"  {'':18} {'least':>7} {'median':>8} {'added':>8} {'ratio':>9} {'processor':>10} {'added':>8} {'peak':>12}"


@dataclass(frozen=True)
class Dashboard:
    """What `prolab ui` started."""

    url: str
    server: psutil.Process
    worker: psutil.Process


@contextmanager
def dashboard(folder: Path, environment: Mapping[str, str]) -> Iterator[Dashboard]:
    """Run server, worker and deployments as long as the block runs."""
    port = _free_port()
    command = [PROLAB, "ui", "experiment.yaml", "--port", str(port), "--no-open"]
    with (folder / "ui.log").open("w") as log:
        running = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert running.stdout is not None
        if not running.stdout.readline():
            raise SystemExit((folder / "ui.log").read_text())
        server, worker = (_wait_for_prefect(running.pid, name) for name in ("server", "worker"))
        yield Dashboard(f"http://127.0.0.1:{port}/api", server, worker)
    finally:
        running.terminate()
        running.wait()


def _wait_for_prefect(parent: int, name: str) -> psutil.Process:
    """The process below `parent` that runs `python -m prefect NAME`; the worker is started last."""
    for _ in range(_SECONDS_TO_START):
        for process in psutil.Process(parent).children(recursive=True):
            if process.cmdline()[1:4] == ["-m", "prefect", name]:
                return process
        time.sleep(1)
    raise SystemExit(f"no {name} was started in {_SECONDS_TO_START} seconds")


@dataclass(frozen=True)
class ThroughWorker(Took):
    """What a deployment's run took, and its parts.

    Attributes:
        until_found: seconds until the worker found the run.
        until_running: seconds from then on until the flow ran in a process of its own.
        running: seconds that the flow ran.
    """

    until_found: float
    until_running: float
    running: float


def run_through_worker(shown: Dashboard, store: Path) -> ThroughWorker:
    """Start a run of the deployment and wait until it is done."""
    with Watch(lambda: shown.worker.children(recursive=True)) as process:
        run = run_deployment(
            _DEPLOYMENT, parameters={"store": str(store)}, timeout=_SECONDS_TO_COMPLETE, poll_interval=0.1
        )
    assert isinstance(run, FlowRun)
    if run.state_name != "Completed":
        raise SystemExit(f"{run.name}: {run.state}")
    with get_client(sync_client=True) as client:
        times = {state.type: state.timestamp for state in client.read_flow_run_states(run.id)}
    marks = [times[type_] for type_ in (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.COMPLETED)]
    parts = [(after - before).total_seconds() for before, after in pairwise(marks)]
    return ThroughWorker(sum(parts), process.cpu, process.peak_bytes, *parts)


def compare(
    sides: Mapping[str, Callable[[Path], Took]], stores: Callable[[str], Path], rounds: int, server: psutil.Process
) -> None:
    """Let the sides take turns, and print what each took and what it added to the first."""
    taken: dict[str, list[Took]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            _wait_until_idle(server)  # it has work to do after a run, which the next one is not to pay for
            taken[name].append(run(stores(name)))
    first = next(iter(taken.values()))
    for name, took in taken.items():
        seconds = [one.seconds for one in took]
        added = statistics.median(one.seconds - other.seconds for one, other in zip(took, first, strict=True))
        cpu, base = min(one.cpu for one in took), min(one.cpu for one in first)
        print(
            f"  {name:18} {min(seconds):7.1f} {statistics.median(seconds):8.1f} {added:8.1f} "
            f"{statistics.median(seconds) / statistics.median(one.seconds for one in first):7.2f} x "
            f"{cpu:10.2f} {cpu - base:8.2f} {max(one.peak_bytes for one in took) / 1e6:9.0f} MB"
        )
    for part in ("until_found", "until_running", "running"):
        values = [getattr(one, part) for took in taken.values() for one in took if isinstance(one, ThroughWorker)]
        print(f"  {'through a worker':18} {part.replace('_', ' '):14} {statistics.median(values):7.1f}")


def main() -> None:
    """Print a table for cold and one for warm runs, and what server and worker hold in memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cold", type=int, default=1, help="rounds of cold runs")
    parser.add_argument("--warm", type=int, default=5, help="rounds of warm runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = quiet_environment(folder)
        write_experiment(folder)
        with dashboard(folder, environment) as shown, temporary_settings({PREFECT_API_URL: shown.url}):
            with_server = environment | {"PREFECT_API_URL": shown.url}

            def command(environment: Mapping[str, str]) -> Callable[[Path], Took]:
                return lambda store: time_command(
                    [PROLAB, "run", "experiment.yaml", "--store", str(store)], folder, environment
                )

            sides = {
                "without Prefect": command(environment),
                "in one process": command(with_server),
                "through a worker": lambda store: run_through_worker(shown, store),
            }
            fresh = (folder / f"cold-{number}" for number in count())
            for title, stores, rounds in (
                ("cold", lambda side: next(fresh), arguments.cold),
                ("warm", lambda side: folder / "cold-0", arguments.warm),
            ):
                before = _cpu(shown.server)
                print(f"{title}, {rounds} rounds: seconds")
                print(_HEADER)
                compare(sides, stores, rounds, shown.server)
                print(
                    f"  the server's processor time: {(_cpu(shown.server) - before) / rounds:.2f} a round", flush=True
                )
            for what, process in (("server", shown.server), ("worker", shown.worker)):
                print(f"resident memory of the {what}: {_resident(process) / 1e6:.0f} MB")


def _wait_until_idle(server: psutil.Process) -> None:
    before = _cpu(server)
    for _ in range(_SECONDS_TO_REST):
        time.sleep(1)
        now = _cpu(server)
        if now - before < _IDLE_SHARE:
            return
        before = now


def _cpu(process: psutil.Process) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


def _resident(process: psutil.Process) -> int:
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
