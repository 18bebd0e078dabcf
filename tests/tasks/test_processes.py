from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tasks.processes import mapped_in_processes
from tests.conftest import REPOSITORY


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def fail_at_seven(number: int) -> int:
    if number == 7:
        raise ValueError("seven")
    return number


def wait_long(number: int) -> None:
    time.sleep(600)


def test_results_come_in_order_from_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})

    with mapped_in_processes(square, range(100)) as squares:
        results = list(squares)

    assert [number for number, _ in results] == [number * number for number in range(100)]
    assert os.getpid() not in {process for _, process in results}


def test_few_items_stay_here() -> None:
    with mapped_in_processes(square, range(3)) as squares:
        assert list(squares) == [(0, os.getpid()), (1, os.getpid()), (4, os.getpid())]


def test_errors_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})

    with pytest.raises(ValueError, match="seven"), mapped_in_processes(fail_at_seven, range(100)) as results:
        list(results)


PROGRAM = """
import os
from tasks.processes import mapped_in_processes
from tests.tasks.test_processes import square, wait_long
os.sched_getaffinity = lambda _: {0, 1}
with mapped_in_processes(square, range(100)) as squares:
    list(squares)
with mapped_in_processes(wait_long, range(100)) as results:
    print("waiting", flush=True)
    list(results)
"""


def test_processes_end_when_their_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "waiting\n"
    started = time.monotonic()
    while len(children := psutil.Process(parent.pid).children(recursive=True)) < 4:
        assert time.monotonic() < started + 120, "the processes did not start"
        time.sleep(0.05)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    _, alive = psutil.wait_procs(children, timeout=120)
    assert alive == []
