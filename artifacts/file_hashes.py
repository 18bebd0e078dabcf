"""Hashes of files outside the store, remembered."""

from __future__ import annotations

from pathlib import Path

from artifacts.canonical import json_hash
from artifacts.file_memory import FileMemory
from artifacts.hashing import file_hash


class FileHashes:
    """blake3 of files and folders outside the store; a file whose size and time are unchanged is not read again."""

    def __init__(self, memory: Path) -> None:
        """Remember hashes in the file `memory`; `Store.file_hashes` gives the one of a store."""
        self._memory = FileMemory(memory, file_hash)

    def hash(self, path: Path) -> str:
        """blake3 of a file, 64 hexadecimal digits; of a folder: over the names and hashes of the files below it.

        Raises:
            FileNotFoundError: there is nothing at `path`.
        """
        path = Path(path).absolute()
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            digest = json_hash({file.relative_to(path).as_posix(): self._memory.recall(file) for file in files})
        else:
            digest = self._memory.recall(path)
        self._memory.save()
        return digest
