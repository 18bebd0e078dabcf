"""Runs a command in a process of its own and says what it took."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

PROLAB = str(Path(sys.executable).with_name("prolab"))


@dataclass(frozen=True)
class Took:
    """What a command took.

    Attributes:
        seconds: wall time, the start of the process included.
        cpu: seconds of processor time, those of the processes that it started and waited for included.
        peak_bytes: highest resident size.
    """

    seconds: float
    cpu: float
    peak_bytes: int


class Watch:
    """Looks at processes while the block runs.

    Attributes:
        peak_bytes: the highest resident size of one of them. What the system counts by itself begins with the size of
            the process that starts another.
    """

    def __init__(self, processes: Callable[[], Sequence[psutil.Process]]) -> None:
        self.peak_bytes = 0
        self._processes = processes
        self._cpu: dict[int, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def cpu(self) -> float:
        """Seconds of processor time, but for the last moment of each process."""
        return sum(self._cpu.values())

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.05):
            with suppress(psutil.NoSuchProcess):
                for process in self._processes():
                    user, system, *_ = process.cpu_times()
                    self._cpu[process.pid] = user + system
                    self.peak_bytes = max(self.peak_bytes, process.memory_info().rss)


def time_command(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Took:
    """Run a command in the folder; its output goes to `command.log` there.

    Raises:
        SystemExit: it failed; with what it wrote.
    """
    log = folder / "command.log"
    with log.open("w") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        with Watch(lambda: [psutil.Process(process.pid)]) as watch:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()}")
    return Took(seconds, usage.ru_utime + usage.ru_stime, watch.peak_bytes)


def quiet_environment(folder: Path) -> dict[str, str]:
    """What this process has, without what would point commands at a server or a store of the user."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PROLAB_"))}
    return inherited | {"PREFECT_HOME": str(folder / "prefect"), "DO_NOT_TRACK": "1"}
