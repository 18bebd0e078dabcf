"""What was found in files outside the store, remembered."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

Finding = TypeVar("Finding")
_State = tuple[int, int]

# A file can change twice within one tick of its file system's clock, so a file this young is not remembered.
_SETTLED_NS = 2_000_000_000


class FileMemory(Generic[Finding]):
    """Results of reading files; a file whose size and time are unchanged is not read again.

    The memory is a file to which lines are only ever added: the last line of a path counts, and
    a line that a killed process left unfinished is passed over. Threads may share one object.
    """

    def __init__(self, memory: Path, read: Callable[[Path], Finding]) -> None:
        """Remember in the file `memory` what `read` returns for a path: anything that JSON gives back as it was.

        Another `read` needs another memory.
        """
        self._memory = memory
        self._read = read
        self._known: dict[str, tuple[_State, Finding]] = dict(self._remembered())
        self._new: list[str] = []

    def recall(self, path: Path) -> Finding:
        """What `read` returns for the absolute `path`, which is called only if the file is not known as it is now."""
        status = path.stat()
        state = (status.st_size, status.st_mtime_ns)
        known = self._known.get(str(path))
        if known and known[0] == state:
            return known[1]
        finding = self._read(path)
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            self._known[str(path)] = (state, finding)
            self._new.append(json.dumps([str(path), *state, finding]))
        return finding

    def save(self) -> None:
        """Add what is new to the memory's file, unless that lies where nothing can be written."""
        lines = [self._new.pop() for _ in range(len(self._new))]  # other threads may add to them meanwhile
        if not lines or not os.access(self._memory.parent, os.W_OK):
            return
        # A line break first: the last line may be one that a killed process did not finish.
        with self._memory.open("a", encoding="utf-8") as file:
            file.write("\n" + "\n".join(lines) + "\n")

    def _remembered(self) -> Iterator[tuple[str, tuple[_State, Any]]]:
        if not self._memory.is_file():
            return
        for line in self._memory.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                path, size, modified, finding = json.loads(line)
                yield path, ((size, modified), finding)
