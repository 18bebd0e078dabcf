"""What the tests let run in processes of its own: builds that are killed, that race, that hold a version."""

import os
import resource
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from thing import recipe, writer

from artifacts import Store

_FILE_OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod"}


def build_without_end(root: Path, first: int, ready: Connection) -> None:
    """Build one thing after the other, until killed, and say so in the midst of the first."""
    store = Store(root)

    def write(folder: Path) -> dict[str, int]:
        ready.send(None)
        return writer([first])(folder)

    store.build(recipe(first), write)
    while True:
        first += 1
        store.build(recipe(first), writer([first]))


def build_and_die(root: Path, operation: int, *, force: bool) -> None:
    """Build, and be killed just before the given file operation in the store."""
    _die_before(operation, root)
    Store(root).build(recipe(), writer(), force=force)


def push_and_die(root: Path, remote: Path, operation: int) -> None:
    """Push everything, and be killed just before the given file operation in the remote."""
    _die_before(operation, remote)
    Store(root, remote=str(remote)).push()


def pull_and_die(root: Path, remote: Path, operation: int) -> None:
    """Pull everything, and be killed just before the given file operation in the store."""
    _die_before(operation, root)
    Store(root, remote=str(remote)).pull()


def push_when_told(root: Path, remote: Path, start: Connection, result: Connection) -> None:
    """Wait for the word, push everything, and say what came of it."""
    store = Store(root, remote=str(remote))
    start.recv()
    result.send([transfer.action for transfer in store.push().versions])


def _die_before(operation: int, folder: Path) -> None:
    operations = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal operations
        if event in _FILE_OPERATIONS and str(arguments[0]).startswith(str(folder)):
            operations += 1
            if operations == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def build_when_told(root: Path, log: Path, start: Connection, result: Connection) -> None:
    """Wait for the word, build slowly, and say what came of it; what is built is written down in `log`."""
    store = Store(root)

    def write(folder: Path) -> dict[str, int]:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.3)
        return writer()(folder)

    start.recv()
    artifact, hit = store.build(recipe(), write)
    result.send((artifact.version, hit))


def build_slowly(root: Path, ready: Connection) -> None:
    """Say when the lock is held and the workspace in use, and go on for ever."""
    store = Store(root)

    def write(folder: Path) -> dict[str, int]:
        (store.workspace(recipe()) / "half").write_text("done")
        (folder / "half").write_text("done")
        ready.send(None)
        time.sleep(600)
        return {}

    store.build(recipe(), write)


def hold(root: Path, reference: str, ready: Connection) -> None:
    """Hold a handle on a version for ever."""
    artifact = Store(root).resolve(reference)
    ready.send(artifact.version)
    time.sleep(600)


def build_with_small_files(root: Path, result: Connection) -> None:
    """Build where no file can grow beyond 10,000 bytes, and say what came of it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    def write(folder: Path) -> dict[str, int]:
        (folder / "big.bin").write_bytes(bytes(20_000))
        return writer()(folder)

    try:
        result.send(repr(Store(root).build(recipe(), write)))
    except Exception as error:
        result.send(f"{type(error).__name__}: {error}")
