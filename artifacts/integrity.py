"""Whether a version is still what was published."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from artifacts.canonical import json_hash
from artifacts.errors import DamagedError
from artifacts.hashing import file_hash, version_of
from artifacts.layout import MANIFEST
from artifacts.manifest import FileRecord, Manifest, read_manifest


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a version.

    Attributes:
        kind: kind of the artifact.
        version: its version.
        file: path of the file in the artifact's folder.
        what: what is wrong with it.
    """

    kind: str
    version: str
    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.version}: {self.file}: {self.what}"


def check(folder: Path) -> list[Problem]:
    """Compare every byte of a version's folder with its manifest."""
    kind, version = folder.parent.name, folder.name.partition("-")[0]
    try:
        manifest = read_manifest(folder)
    except DamagedError as error:
        collected = not folder.exists()
        return [] if collected else [Problem(kind, version, MANIFEST, str(error))]
    what = check_manifest(manifest, kind, version)
    found = [*([(MANIFEST, what)] if what else []), *_check_files(folder, manifest)]
    return [Problem(kind, version, file, what) for file, what in found]


def check_manifest(manifest: Manifest, kind: str, version: str) -> str | None:
    """What is wrong with a manifest that was found where this version belongs, or None."""
    if not manifest.sound:
        return "it was changed after it was published"
    if (manifest.kind, manifest.version) != (kind, version):
        return f"it is the manifest of {manifest.reference}"
    if manifest.key != json_hash(manifest.key_parts) or version != version_of(manifest.key, manifest.digest):
        return "its key or version does not follow from what it says"
    if any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in manifest.files):
        return "it names files outside of the version's folder"
    return None


def _check_files(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    for name, record in manifest.files.items():
        what = check_file(folder / name, record)
        if what:
            yield name, what
    for parent, _, files in os.walk(folder):
        for file in files:
            name = Path(parent, file).relative_to(folder).as_posix()
            if name != MANIFEST and name not in manifest.files:
                yield name, "it is not in the manifest"


def check_file(path: Path, record: FileRecord) -> str | None:
    """What is wrong with a file, or None when every byte is as its record says."""
    if not path.is_file():
        return "it is missing"
    size = path.stat().st_size
    if size != record.bytes:
        return f"expected {record.bytes} bytes, found {size}"
    return None if file_hash(path) == record.blake3 else "its bytes were changed after it was published"
