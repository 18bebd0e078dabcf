"""Processes that are killed at any instant leave nothing half-visible and nothing locked."""

import itertools
import os
import random
import signal
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from store_processes import build_and_die, build_slowly, build_without_end
from thing import recipe, writer

from artifacts import Store

_ROUNDS = 50


def assert_sound(root: Path) -> None:
    store = Store(root)
    versions = list(root.glob("artifacts/*/*"))
    assert len(store.list()) == len(versions)
    assert store.verify() == []


def test_killed_at_random_moments(tmp_path: Path, processes: ForkServerContext) -> None:
    root = tmp_path / "store"
    chance = random.Random(7)
    interrupted = 0
    for _ in range(_ROUNDS):
        published = len(Store(root).list())
        ready, told = processes.Pipe(duplex=False)
        process = processes.Process(target=build_without_end, args=(root, published, told))
        process.start()
        ready.recv()
        time.sleep(chance.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        interrupted += any(root.glob("temporary/*"))
        assert_sound(root)
        published = len(Store(root).list())
        artifact, hit = Store(root).build(recipe(published), writer([published]))
        assert not hit
        assert artifact.table("rows.parquet").column("x").to_pylist() == [published]
    assert interrupted > _ROUNDS // 5, "the kills fell outside the builds and show nothing"

    Store(root).collect_garbage(keep_latest=10_000, dry_run=False)
    assert not any(root.glob("temporary/*"))
    assert_sound(root)


@pytest.mark.slow
@pytest.mark.parametrize("force", [False, True])
def test_killed_before_each_file_operation(tmp_path: Path, processes: ForkServerContext, force: bool) -> None:
    for operation in itertools.count(1):
        root = tmp_path / f"store-{operation}"
        if force:
            Store(root).build(recipe(), writer([9]))
        process = processes.Process(target=build_and_die, args=(root, operation), kwargs={"force": force})
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        assert_sound(root)
        built = Store(root).build(recipe(), writer(), force=force)
        assert built.artifact.table("rows.parquet").num_rows == 3
        assert_sound(root)
    assert operation > 20, "the process ended before it built anything"


def test_lock_is_free_after_kill_and_workspace_stays(store: Store, processes: ForkServerContext) -> None:
    ready, told = processes.Pipe(duplex=False)
    process = processes.Process(target=build_slowly, args=(store.root, told))
    process.start()
    ready.recv()

    garbage = store.collect_garbage(dry_run=False)
    assert garbage == [], "the collection took something from a running build"

    process.kill()
    process.join()
    assert (store.workspace(recipe()) / "half").read_text() == "done"
    assert not store.build(recipe(), writer()).hit
    assert not any(store.root.glob("workspaces/*"))
    assert not any(store.root.glob("temporary/*"))


def test_collection_takes_what_killed_builds_left(store: Store, processes: ForkServerContext) -> None:
    ready, told = processes.Pipe(duplex=False)
    process = processes.Process(target=build_slowly, args=(store.root, told))
    process.start()
    ready.recv()
    process.kill()
    process.join()

    assert [item.what for item in store.collect_garbage()] == ["temporary folder"], "the next build needs the workspace"
    eight_days_ago = time.time() - 8 * 24 * 3600
    for path in (*store.root.glob("workspaces/*/*"), *store.root.glob("workspaces/*")):
        os.utime(path, (eight_days_ago, eight_days_ago))
    assert [item.what for item in store.collect_garbage()] == ["temporary folder", "workspace"]
    assert any(store.root.glob("workspaces/*")), "a dry run deleted something"
    store.collect_garbage(dry_run=False)
    assert not any(store.root.glob("workspaces/*"))
    assert not any(store.root.glob("temporary/*"))
