"""Spreads work on many files over the machine's processors."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.process import parent_process
from typing import TypeVar

_WORTH_A_PROCESS = 32
"""Files for which it pays to start a process, which takes about a second."""

_FILES_AT_A_TIME = 8

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def mapped_in_processes(function: Callable[[T], R], items: Sequence[T]) -> Iterator[Iterator[R]]:
    """Give the results in the order of `items`; what has not begun when the context is left is not done any more.

    Args:
        function: can be pickled, as must its results; a few items are worked off in this process.
        items: what it is called with.
    """
    processes = min(len(os.sched_getaffinity(0)), len(items) // _WORTH_A_PROCESS)
    if processes < 2:
        yield map(function, items)
        return
    # Forking this very process would copy the locks that the progress bar's thread holds.
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent)
    try:
        yield pool.map(function, items, chunksize=_FILES_AT_A_TIME)
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it is killed, which the pool alone would not notice."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parents_end, daemon=True).start()


def _wait_for_parents_end() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
