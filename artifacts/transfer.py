"""Versions on their way between a store and a remote."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Literal, Protocol

from artifacts.artifact import Artifact
from artifacts.commit import commit
from artifacts.disk import full_disk_named
from artifacts.errors import DamagedError, FullDiskError, RemoteError
from artifacts.integrity import check, check_file
from artifacts.layout import Layout
from artifacts.locks import collection_lock, key_lock
from artifacts.manifest import Manifest
from artifacts.remote import THREADS, Remote


class Bar(Protocol):
    """A progress bar of known length."""

    def advance(self, count: int) -> None:
        """Count `count` more units as done."""


OpenBar = Callable[[str, int, str], AbstractContextManager[Bar]]
"""Opens a bar with a label and a total of units of this name."""

Advance = Callable[[int], None]
"""Is told of bytes that have gone over the line."""


@dataclass(frozen=True)
class Transfer:
    """What became of one version.

    Attributes:
        action: `pushed`, `pulled`, or `there` when the other side had it.
        files, bytes: what went over the line; files that were there from a transfer that broke off do not count.
    """

    reference: str
    action: Literal["pushed", "pulled", "there"]
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.action} {self.reference}: {self.files} files, {self.bytes:,} bytes in {self.seconds:.1f} s"


def push(remote: Remote, artifact: Artifact, open_bar: OpenBar) -> Transfer:
    """Send a version: the files that the remote lacks, several at a time, and the manifest when all are there.

    Raises:
        DamagedError: the version is not what was published.
        RemoteError: the remote does not take it; what has been sent is not sent again.
    """
    started = time.perf_counter()
    manifest = artifact.manifest
    if remote.has(manifest):
        return Transfer(manifest.reference, "there")
    problems = check(artifact.path)
    if problems:
        raise DamagedError("; ".join(map(str, problems)))
    try:
        files, size = _send(remote, artifact, open_bar)
    except RemoteError:
        if not remote.has(manifest):
            raise
        return Transfer(manifest.reference, "there")  # another push of it was faster, and cleared up
    return Transfer(manifest.reference, "pushed", files, size, time.perf_counter() - started)


def _send(remote: Remote, artifact: Artifact, open_bar: OpenBar) -> tuple[int, int]:
    manifest, there = artifact.manifest, remote.sizes(artifact.manifest)
    lacking = {
        record.blake3: name for name, record in manifest.files.items() if there.get(record.blake3) != record.bytes
    }
    size = sum(manifest.files[name].bytes for name in lacking.values())

    def send(name: str, advance: Advance) -> None:
        remote.send(manifest, manifest.files[name], artifact.path / name, advance)

    _each_file(lacking.values(), send, open_bar, f"push {manifest.reference}", size)
    remote.finish(manifest)
    return len(lacking), size


def pull(layout: Layout, remote: Remote, manifest: Manifest, open_bar: OpenBar) -> tuple[Artifact, Transfer]:
    """Fetch a version, compare every byte with its manifest and publish it in one step.

    Raises:
        DamagedError: the remote's file is not what was pushed; nothing is published.
        RemoteError: the remote does not answer; what has been fetched is not fetched again.
        FullDiskError: the disk of the store ran full; nothing is left behind.
    """
    started = time.perf_counter()
    target = layout.folder(manifest.kind, manifest.version, manifest.key)
    # The lock of the key lets use its temporary folder, where a transfer that broke off has left its files.
    folder = layout.temporary / manifest.key
    with key_lock(layout.key_lock(manifest.key), manifest.reference):
        there = _intact(layout, target)
        if there:
            return there, Transfer(manifest.reference, "there")
        try:
            with full_disk_named(layout.root):
                files, size = _fetch(layout, remote, manifest, folder, open_bar)
                artifact = commit(layout, folder, manifest)
        except (DamagedError, FullDiskError):
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return artifact, Transfer(manifest.reference, "pulled", files, size, time.perf_counter() - started)


def _intact(layout: Layout, folder: Path) -> Artifact | None:
    with collection_lock(layout.collection_lock):
        try:
            artifact = Artifact(folder)
        except DamagedError:
            return None
    return None if check(folder) else artifact


def _fetch(layout: Layout, remote: Remote, manifest: Manifest, folder: Path, open_bar: OpenBar) -> tuple[int, int]:
    folder.mkdir(parents=True, exist_ok=True)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in manifest.files:
            path.unlink()  # of a build that was killed
    lacking = {name: record for name, record in manifest.files.items() if check_file(folder / name, record)}
    size = sum(record.bytes for record in lacking.values())

    def fetch(name: str, advance: Advance) -> None:
        path, record = folder / name, lacking[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        remote.fetch(manifest, record, path, layout.root, advance)
        what = check_file(path, record)
        if what:
            raise DamagedError(
                f"{manifest.reference}: {name}: {remote.file_url(manifest, record)} is damaged: {what}; "
                "delete it there and push the version again from a store that has it"
            )

    _each_file(lacking, fetch, open_bar, f"pull {manifest.reference}", size)
    return len(lacking), size


def _each_file(
    names: Iterable[str], move: Callable[[str, Advance], None], open_bar: OpenBar, label: str, size: int
) -> None:
    """Move each file, several at a time; an error or Ctrl-C also ends the others, at the next bytes they tell of."""
    lock, stopped = Lock(), Event()
    with open_bar(label, size, "bytes") as bar, ThreadPoolExecutor(THREADS) as pool:

        def advance(count: int) -> None:
            if stopped.is_set():
                raise InterruptedError(label)
            with lock:
                bar.advance(count)

        try:
            list(pool.map(lambda name: move(name, advance), names))
        except BaseException:
            stopped.set()
            raise
