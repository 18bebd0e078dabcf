"""A command that runs for as long as its parent does."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

PARENT = """
import subprocess, sys, time
command = [sys.executable, "-m", "flows.dependant", "sh", "-c", "sleep 600 & wait"]
kept = subprocess.Popen(command, stdin=subprocess.PIPE)
time.sleep(600)
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
def test_nothing_is_left_when_the_parent_ends(sent: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT])
    deadline = time.monotonic() + 60
    while len(below := psutil.Process(parent.pid).children(recursive=True)) < 3:
        assert time.monotonic() < deadline, below
        time.sleep(0.05)

    parent.send_signal(sent)
    parent.wait()

    _, alive = psutil.wait_procs(below, timeout=60)
    assert alive == []


def test_exit_code_is_the_commands() -> None:
    command = [sys.executable, "-m", "flows.dependant", sys.executable, "-c", "raise SystemExit(7)"]

    assert subprocess.Popen(command, stdin=subprocess.PIPE).wait(60) == 7
