"""Hashes of files outside the store, remembered."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from artifacts.canonical import json_hash
from artifacts.hashing import file_hash

_State = tuple[int, int]

# A file can change twice within one tick of its file system's clock, so a file this young is not remembered.
_SETTLED_NS = 2_000_000_000


class FileHashes:
    """blake3 of files and folders outside the store; a file whose size and time are unchanged is not read again.

    The memory is a file to which lines are only ever added: the last line of a path counts, and
    a line that a killed process left unfinished is passed over.
    """

    def __init__(self, memory: Path) -> None:
        """Remember hashes in the file `memory`; `Store.file_hashes` gives the one of a store."""
        self._memory = memory
        self._known: dict[str, tuple[_State, str]] = dict(self._remembered())

    def hash(self, path: Path) -> str:
        """blake3 of a file, 64 hexadecimal digits; of a folder: over the names and hashes of the files below it.

        Raises:
            FileNotFoundError: there is nothing at `path`.
        """
        path = Path(path).absolute()
        new: dict[str, tuple[_State, str]] = {}
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            digest = json_hash({file.relative_to(path).as_posix(): self._hash_file(file, new) for file in files})
        else:
            digest = self._hash_file(path, new)
        self._remember(new)
        return digest

    def _hash_file(self, path: Path, new: dict[str, tuple[_State, str]]) -> str:
        status = path.stat()
        state = (status.st_size, status.st_mtime_ns)
        known = self._known.get(str(path))
        if known and known[0] == state:
            return known[1]
        digest = file_hash(path)
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            new[str(path)] = (state, digest)
        return digest

    def _remembered(self) -> Iterator[tuple[str, tuple[_State, str]]]:
        if not self._memory.is_file():
            return
        for line in self._memory.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                path, size, modified, digest = json.loads(line)
                yield path, ((size, modified), digest)

    def _remember(self, new: dict[str, tuple[_State, str]]) -> None:
        self._known |= new
        if not new or not os.access(self._memory.parent, os.W_OK):
            return
        lines = [json.dumps([path, *state, digest]) for path, (state, digest) in new.items()]
        # A line break first: the last line may be one that a killed process did not finish.
        with self._memory.open("a", encoding="utf-8") as file:
            file.write("\n" + "\n".join(lines) + "\n")
