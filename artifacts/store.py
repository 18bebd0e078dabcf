"""The store: what the rest of the project calls."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from artifacts.artifact import Artifact
from artifacts.canonical import JSON
from artifacts.comparison import Change, Explanation
from artifacts.file_hashes import FileHashes
from artifacts.garbage import Garbage
from artifacts.integrity import Problem
from artifacts.layout import Layout
from artifacts.lineage import Lineage
from artifacts.manifest import Manifest
from artifacts.recipe import Recipe

Writer = Callable[[Path], Mapping[str, JSON]]
"""Writes the files of an artifact into an empty folder and returns its headline figures."""


class Built(NamedTuple):
    """What `Store.build` returns: the artifact, and whether it was there already."""

    artifact: Artifact
    hit: bool


class Store:
    """Artifacts in the folder `root`."""

    def __init__(self, root: Path) -> None:
        """Open the store, or make it.

        Raises:
            FormatError: the store was written in a newer format, or the folder holds something else.
        """
        self._layout = Layout(Path(root).absolute())
        self._layout.open()

    @property
    def root(self) -> Path:
        return self._layout.root

    @property
    def file_hashes(self) -> FileHashes:
        """Hashes of files outside the store, remembered in the store."""
        return FileHashes(self.root / "file_hashes.jsonl")

    def find(self, recipe: Recipe) -> Artifact | None:
        """The newest intact artifact with the recipe's key; damaged ones go into quarantine."""
        raise NotImplementedError

    def build(self, recipe: Recipe, write: Writer, *, force: bool = False) -> Built:
        """The artifact with the recipe's key, made by `write` if there is none (or if `force`)."""
        raise NotImplementedError

    def resolve(self, reference: str) -> Artifact:
        """The artifact of `kind`, `kind:latest`, `kind:tag` or `kind:start-of-version`."""
        raise NotImplementedError

    def list(self, kind: str | None = None) -> builtins.list[Manifest]:
        """Manifests, newest first."""
        raise NotImplementedError

    def explain(self, recipe: Recipe) -> Explanation:
        """Whether `build` would be a hit, and if not, which parts of the key differ."""
        raise NotImplementedError

    def diff(self, before: Artifact, after: Artifact) -> builtins.list[Change]:
        """Differences of code, parameters, inputs, external state, files and summary."""
        raise NotImplementedError

    def verify(self, references: Iterable[str] | None = None) -> builtins.list[Problem]:
        """Check every byte of the named artifacts, or of all."""
        raise NotImplementedError

    def lineage(self, artifact: Artifact) -> Lineage:
        """The versions that the artifact was made of."""
        raise NotImplementedError

    def dependants(self, artifact: Artifact) -> builtins.list[Manifest]:
        """Manifests of all versions that were made of the artifact, directly or not."""
        raise NotImplementedError

    def tag(self, artifact: Artifact, name: str) -> None:
        """Name a version: `kind:name` resolves to it, and the collection keeps it."""
        raise NotImplementedError

    def untag(self, reference: str) -> None:
        """Remove the tag `kind:name`."""
        raise NotImplementedError

    def tags(self) -> dict[str, str]:
        """Version of each tag, by reference `kind:name`."""
        raise NotImplementedError

    def collect_garbage(self, *, keep_latest: int = 1, dry_run: bool = True) -> builtins.list[Garbage]:
        """What is (or with `dry_run` would be) deleted."""
        raise NotImplementedError

    def workspace(self, recipe: Recipe) -> Path:
        """Folder of the recipe's key that survives a kill and goes when the artifact is published."""
        raise NotImplementedError

    def cache(self, name: str) -> Path:
        """Folder for content-keyed, immutable entries that all runs share."""
        raise NotImplementedError
