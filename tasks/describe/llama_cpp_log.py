"""llama.cpp's own log as Python's: it writes to stderr from C, where neither a log file nor the dashboard sees it."""

from __future__ import annotations

import ctypes
import logging
from collections import deque

from llama_cpp import llama_log_callback, llama_log_set

log = logging.getLogger("llama_cpp")

newest: deque[str] = deque(maxlen=5)
"""The newest lines, for an error that says why a model could not be loaded."""

# ggml.h's numbers. Below warnings there are some two thousand lines for each model that is loaded.
_LEVELS = {3: logging.WARNING, 4: logging.ERROR}


def hand_on_log() -> None:
    """From now on hand on what llama.cpp says, from warnings on."""
    newest.clear()
    llama_log_set(_CALLBACK, ctypes.c_void_p(0))


def _hand_on(level: int, text: bytes, _: object) -> None:
    line = text.decode(errors="replace").strip()
    if level in _LEVELS and line:
        newest.append(line)
        log.log(_LEVELS[level], "%s", line)


_CALLBACK = llama_log_callback(_hand_on)
