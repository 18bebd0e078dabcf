"""A disk that is full or cannot be written to."""

import shutil
import subprocess
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from store_processes import build_with_small_files
from thing import recipe, writer

from artifacts import FullDiskError, ReadOnlyError, Store


def big(folder: Path) -> dict[str, int]:
    summary = writer()(folder)
    (folder / "big.bin").write_bytes(bytes(2**20))
    return summary


def test_full_disk_is_named_and_leaves_nothing(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    kept = store.build(recipe(1), writer()).artifact
    with pytest.raises(FullDiskError, match=rf"no room to write in the store {store.root} .*No space left on device"):
        store.build(recipe(2), big)
    assert not any((store.root / "temporary").iterdir())
    assert store.verify() == []
    assert store.find(recipe(1)) == kept
    assert not store.build(recipe(2), writer()).hit


def test_disk_that_is_full_at_any_byte_leaves_the_store_sound(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    store.build(recipe(0), writer())
    ballast = small_disk / "ballast"
    refused = 0
    for pages in range(12):
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - pages * 4096))
        try:
            store.build(recipe(1, pages=pages), writer([pages]))
        except FullDiskError:
            refused += 1
        ballast.unlink()
        assert store.verify() == []
        assert not store.build(recipe(2, pages=pages), writer([pages])).hit
    assert 0 < refused < 12, "the disk was never full, or always"


def test_read_only_store_can_be_read(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    artifact = store.build(recipe(1), writer()).artifact
    store.build(recipe(2), writer())
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    opened = Store(small_disk / "store")
    assert len(opened.list()) == 2
    assert opened.verify() == []
    assert opened.resolve(artifact.reference) == artifact
    assert opened.build(recipe(1), writer()).hit
    with pytest.raises(ReadOnlyError, match="is read-only: cannot publish what make makes"):
        opened.build(recipe(3), writer())
    with pytest.raises(ReadOnlyError, match="is read-only: cannot tag"):
        opened.tag(artifact, "production")


def test_limit_on_file_size_is_named(store: Store, processes: ForkServerContext) -> None:
    result, tell = processes.Pipe(duplex=False)
    process = processes.Process(target=build_with_small_files, args=(store.root, tell))
    process.start()
    assert "FullDiskError: no room to write" in result.recv()
    process.join()
    assert not any((store.root / "temporary").iterdir())
    assert store.list() == []
    assert not store.build(recipe(), writer()).hit
