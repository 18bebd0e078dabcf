"""How much memory a piece of work takes at its height."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType

import psutil

_INTERVAL_SECONDS = 0.2


class PeakMemory:
    """Samples the resident memory of this process and its children while the `with` block runs.

    Attributes:
        bytes: the highest sum seen. Shorter peaks than the interval of 0.2 s can be missed.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._process = psutil.Process()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._done.is_set():
            self._sample()
            self._done.wait(_INTERVAL_SECONDS)

    def _sample(self) -> None:
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            # A child may end between the listing and the question.
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        self.bytes = max(self.bytes, total)
