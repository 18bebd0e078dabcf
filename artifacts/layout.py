"""Where things lie in a store.

    store.json                                  the format
    artifacts/<kind>/<version>-<key>/           one published version: its files and manifest.json
    latest/<kind>                               version that was last built or found by a build
    tags/<kind>/<tag>                           version that the tag names
    temporary/<key>/                            what a running build writes; moved in one step when it is complete
    temporary/rubbish-*/                        what is being deleted
    workspaces/<key>/                           what an unfinished build goes on from
    quarantine/                                 damaged versions
    cache/<name>/                               content-keyed entries of the stages
    locks/                                      file locks
    file_hashes.jsonl                           hashes of files outside the store

The folder's name carries the start of the key, so that the index from key to versions *is* the listing
of folders: it appears with the artifact in the same atomic step and cannot get lost or out of date.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from artifacts.durable import write_atomic
from artifacts.errors import FormatError

FORMAT = 1
MANIFEST = "manifest.json"
_KEY_DIGITS = 16


@dataclass(frozen=True)
class Layout:
    """The paths of the store at `root`."""

    root: Path

    def open(self) -> None:
        """Make the store if there is none.

        Raises:
            FormatError: the store was written in a newer format, or the folder holds something else.
        """
        marker = self.root / "store.json"
        if not marker.exists():
            self._create(marker)
        if self.writable:
            self.locks.mkdir(exist_ok=True)
            self.collection_lock.touch()
        try:
            written = json.loads(marker.read_text())["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f'{marker}: expected {{"format": {FORMAT}}}, got {marker.read_text()!r}') from error
        if written != FORMAT:
            raise FormatError(
                f"{self.root} is a store of format {written}; this program knows format {FORMAT}: "
                "use the newer program that wrote it, or another folder"
            )

    def _create(self, marker: Path) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        # Names with a dot are files of another process that makes the same store now.
        strangers = sorted(path.name for path in self.root.iterdir() if not path.name.startswith("."))
        if strangers and not marker.exists():
            raise FormatError(f"{self.root} is not a store: it has no store.json and holds {', '.join(strangers[:5])}")
        write_atomic(marker, json.dumps({"format": FORMAT}) + "\n")

    @property
    def writable(self) -> bool:
        """Whether this process may write into the store."""
        return os.access(self.root, os.W_OK)

    @property
    def artifacts(self) -> Path:
        """Published versions, by kind."""
        return self.root / "artifacts"

    @property
    def temporary(self) -> Path:
        """What running builds write."""
        return self.root / "temporary"

    @property
    def workspaces(self) -> Path:
        """What unfinished builds go on from."""
        return self.root / "workspaces"

    @property
    def quarantine(self) -> Path:
        """Damaged versions."""
        return self.root / "quarantine"

    @property
    def locks(self) -> Path:
        """File locks."""
        return self.root / "locks"

    @property
    def collection_lock(self) -> Path:
        """Lock between the garbage collection and everybody else."""
        return self.locks / "collection"

    def key_lock(self, key: str) -> Path:
        """Lock of a key."""
        return self.locks / f"{key}.lock"

    def workspace(self, key: str) -> Path:
        """Workspace of a key."""
        return self.workspaces / key

    @property
    def latest(self) -> Path:
        """The last version, by kind."""
        return self.root / "latest"

    @property
    def tags(self) -> Path:
        """Tagged versions, by kind."""
        return self.root / "tags"

    def folder(self, kind: str, version: str, key: str) -> Path:
        """Folder of one version."""
        return self.artifacts / kind / version_folder(version, key)

    def kinds(self) -> list[str]:
        """Names of the kinds that have a folder, in alphabetical order."""
        return sorted(entry.name for entry in _folders(self.artifacts))

    def versions(self, kind: str) -> dict[str, Path]:
        """Folder of each version of the kind."""
        return {entry.name.partition("-")[0]: Path(entry.path) for entry in _folders(self.artifacts / kind)}

    def version(self, kind: str, version: str) -> Path | None:
        """Folder of a version."""
        beginning = version_folder(version, "")
        return next(
            (Path(entry.path) for entry in _folders(self.artifacts / kind) if entry.name.startswith(beginning)), None
        )

    def versions_of_key(self, kind: str, key: str) -> list[Path]:
        """Folders of the kind's versions that may have this key."""
        ending = version_folder("", key)
        return [Path(entry.path) for entry in _folders(self.artifacts / kind) if entry.name.endswith(ending)]


def version_folder(version: str, key: str) -> str:
    """Name of a version's folder."""
    return f"{version}-{key[:_KEY_DIGITS]}"


def _folders(parent: Path) -> Iterator[os.DirEntry[str]]:
    if parent.is_dir():
        with os.scandir(parent) as entries:
            yield from (entry for entry in entries if entry.is_dir())
