"""`python -m flows.dependant COMMAND ...`: runs a command until it ends, or until standard input does.

Standard input is a pipe that the parent holds. The system closes it when the parent ends, in whatever way: also after
`kill -9`, nothing of the command is left.
"""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

import psutil

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_STOP = 10.0


def main(command: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while process.poll() is None:
        ended, _, _ = select.select([sys.stdin], [], [], _SECONDS_BETWEEN_LOOKS)
        if ended:
            _stop(psutil.Process(process.pid))
    return process.wait()


def _stop(process: psutil.Process) -> None:
    """End a process, and then what it started and left behind: gently, and after a while by force."""
    below = process.children(recursive=True)
    for generation in ([process], below):
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for member in generation:
                with suppress(psutil.NoSuchProcess):
                    end(member)
            psutil.wait_procs(generation, timeout=_SECONDS_TO_STOP)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
