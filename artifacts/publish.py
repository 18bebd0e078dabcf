"""Making a version and putting it into the store in one step."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from artifacts.artifact import Artifact
from artifacts.canonical import JSON, plain
from artifacts.commit import commit
from artifacts.digest import content_digest
from artifacts.disk import full_disk_named
from artifacts.environment import environment
from artifacts.hashing import file_hash, version_of
from artifacts.layout import FORMAT, Layout
from artifacts.manifest import FileRecord, InputRecord, Manifest
from artifacts.memory import PeakMemory
from artifacts.recipe import Recipe
from artifacts.validation import file_names, validate

Writer = Callable[[Path], Mapping[str, JSON]]
"""Writes the files of an artifact into an empty folder and returns its headline figures."""


def publish(layout: Layout, recipe: Recipe, write: Writer) -> Artifact:
    """Let `write` make the recipe's artifact and publish it. The caller holds the lock of the key.

    Raises:
        ValidationError: what `write` wrote or returned is not what the kind declares.
        FullDiskError: the disk ran full; nothing is left behind.
    """
    folder = layout.temporary / recipe.key
    shutil.rmtree(folder, ignore_errors=True)  # of a build that was killed
    try:
        with full_disk_named(layout.root):
            folder.mkdir(parents=True)
            return commit(layout, folder, _make(folder, recipe, write))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make(folder: Path, recipe: Recipe, write: Writer) -> Manifest:
    start = time.perf_counter()
    with PeakMemory() as memory:
        summary = write(folder)
    seconds = time.perf_counter() - start
    validate(recipe.kind, folder)
    digest = content_digest(folder, recipe.kind.content)
    return Manifest.model_validate(
        {
            "format": FORMAT,
            "kind": recipe.kind.name,
            "kind_version": recipe.kind.version,
            "version": version_of(recipe.key, digest),
            "key": recipe.key,
            "digest": digest,
            "stage": recipe.stage,
            "created": datetime.now(UTC).isoformat(timespec="microseconds"),
            "seconds": round(seconds, 3),
            "peak_memory_bytes": memory.bytes,
            "summary": plain(summary, f"summary of {recipe.stage}"),
            "parameters": recipe.parts["parameters"],
            "inputs": {name: _input_record(artifact) for name, artifact in recipe.inputs.items()},
            "external": recipe.parts["external"],
            "code": recipe.code,
            "recorded": plain(recipe.recorded, f"record of {recipe.stage}"),
            "files": {name: _file_record(folder / name) for name in file_names(folder)},
            "environment": environment(),
        }
    ).sealed()


def _input_record(artifact: Artifact) -> InputRecord:
    return InputRecord(kind=artifact.kind, version=artifact.version, digest=artifact.digest)


def _file_record(path: Path) -> FileRecord:
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return FileRecord(bytes=path.stat().st_size, blake3=file_hash(path), rows=rows)
