"""blake3 of files."""

from __future__ import annotations

from pathlib import Path

from blake3 import blake3


def file_hash(path: Path) -> str:
    """blake3 of a file's bytes, read through a memory map by all cores, 64 hexadecimal digits."""
    return blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()


def version_of(key: str, digest: str) -> str:
    """Version of an artifact: same key and same content give the same version, 12 hexadecimal digits."""
    return blake3(f"{key} {digest}".encode()).hexdigest()[:12]
