"""Hashes of files outside the store, remembered."""

from __future__ import annotations

from pathlib import Path


class FileHashes:
    """blake3 of files and folders outside the store; a file that has not changed is not read again."""

    def __init__(self, memory: Path) -> None:
        """Remember hashes in the file `memory`; `Store.file_hashes` gives the one of a store."""
        self._memory = memory

    def hash(self, path: Path) -> str:
        """blake3 of a file; of a folder: over the names and hashes of the files below it.

        Raises:
            FileNotFoundError: there is nothing at `path`.
        """
        raise NotImplementedError
