"""Files that are there as a whole or not at all, also when the process that writes them is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path to write to; at the end of the block the file takes the place of `path`, and without an error only.

    Whoever reads sees the old file or the new one. What a killed process leaves is hidden and ends otherwise than
    `path`, so that nobody takes it for such a file, and the next one that writes `path` replaces it.
    """
    unfinished = path.with_name(f".{path.name}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file by `written_whole`."""
    with written_whole(path) as file:
        file.write_bytes(content)
