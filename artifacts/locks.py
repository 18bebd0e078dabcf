"""Locks between processes. All of them are freed by the system when their holder dies, also by `kill -9`.

- The lock of a key: whoever holds it may build the key and use its workspace and temporary folder.
- The lock of the collection: shared by whoever publishes or opens a version, exclusive for the garbage
  collection, which thereby sees a store that stands still.
- A lease, which is a shared lock on a manifest: the version is in use and is not collected.
"""

from __future__ import annotations

import fcntl
import logging
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


@contextmanager
def key_lock(path: Path, what: str) -> Iterator[None]:
    """Hold the lock of a key; wait for another process that holds it, and say so."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process that builds %s", what)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def key_lock_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock of a key and give True; give False when another process holds it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def collection_lock(path: Path, *, exclusive: bool = False) -> Iterator[None]:
    """Hold the lock of the collection, shared unless told otherwise."""
    if not path.exists():  # a read-only copy of a store, which nobody collects
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


class Lease:
    """A version is in use as long as a lease on it lives, in whatever process."""

    def __init__(self, manifest: Path) -> None:
        descriptor = os.open(manifest, os.O_RDONLY)
        weakref.finalize(self, os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def is_leased(manifest: Path) -> bool:
    """Whether any handle on the version lives, in whatever process."""
    descriptor = os.open(manifest, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
