"""How a command is interrupted."""

from __future__ import annotations

import os
import signal
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
