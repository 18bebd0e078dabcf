"""What of all that is logged somebody should read: our lines, and the warnings of everything that we build on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("artifacts", "flows", "ops", "prolab_model", "tasks")
"""The names of the project's loggers."""


@contextmanager
def logs_sent_to(handler: logging.Handler) -> Iterator[None]:
    """Send a handler what our modules log from INFO on and all others from WARNING on, from whatever thread.

    All others are mmcv and mmsegmentation, llama.cpp, PyTorch and so on, and what goes through Python's `warnings`.
    """
    handler.addFilter(_is_worth_reading)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    root = logging.getLogger()
    for logger in loggers:
        logger.setLevel(logging.INFO)
    root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _is_worth_reading(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in LOGGERS
