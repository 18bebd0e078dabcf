"""How a command is interrupted, and what does not interrupt it."""

from __future__ import annotations

import os
import select
import signal
import threading
from functools import cache
from types import FrameType


def interrupt_on_sigterm() -> None:
    """SIGTERM ends this process as Ctrl-C does; processes that are forked from it just end."""
    main = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() == main:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, interrupt)


@cache
def outlive_readers() -> None:
    """Let this process print into nothing once nobody reads it any more, as when its Prefect worker is killed.

    Otherwise its next line would raise an error in the middle of the work.
    """
    for descriptor in (1, 2):
        threading.Thread(target=_divert_without_reader, args=(descriptor,), daemon=True).start()


def _divert_without_reader(descriptor: int) -> None:
    waiting = select.poll()
    waiting.register(descriptor, 0)  # that the other end is gone is told in any case
    waiting.poll()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
