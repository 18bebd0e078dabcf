import os
from pathlib import Path

import pytest
from blake3 import blake3

from artifacts import FileHashes, Store


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "a" / "photo.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"photo")
    settle(path)
    return path


def settle(path: Path) -> None:
    """Give the file a time long past, so that its hash may be remembered."""
    os.utime(path, ns=(10**18, 10**18))


def test_hash_is_blake3(tmp_path: Path, photo: Path) -> None:
    assert FileHashes(tmp_path / "memory").hash(photo) == blake3(b"photo").hexdigest()


def test_unchanged_file_is_not_read_again(tmp_path: Path, photo: Path) -> None:
    before = FileHashes(tmp_path / "memory").hash(photo)
    photo.write_bytes(b"ohpot")
    settle(photo)
    assert FileHashes(tmp_path / "memory").hash(photo) == before, "size and time are the same"
    photo.write_bytes(b"longer photo")
    settle(photo)
    assert FileHashes(tmp_path / "memory").hash(photo) != before


def test_file_that_was_just_written_is_not_remembered(tmp_path: Path, photo: Path) -> None:
    photo.write_bytes(b"first")
    status = photo.stat()
    before = FileHashes(tmp_path / "memory").hash(photo)
    photo.write_bytes(b"other")
    os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert FileHashes(tmp_path / "memory").hash(photo) != before


def test_folder_counts_names_and_contents_and_not_its_place(tmp_path: Path, photo: Path) -> None:
    hashes = FileHashes(tmp_path / "memory")
    folder = tmp_path / "photos"
    before = hashes.hash(folder)
    moved = folder.rename(tmp_path / "moved")
    assert hashes.hash(moved) == before
    (moved / "a" / "photo.jpg").rename(moved / "a" / "other.jpg")
    renamed = hashes.hash(moved)
    assert renamed != before
    (moved / "second.jpg").write_bytes(b"x")
    assert hashes.hash(moved) != renamed


def test_unfinished_line_is_passed_over(tmp_path: Path, photo: Path) -> None:
    memory = tmp_path / "memory"
    FileHashes(memory).hash(photo)
    memory.write_text(memory.read_text()[:-20])
    assert FileHashes(memory).hash(photo) == blake3(b"photo").hexdigest()
    photo.write_bytes(b"ohpot")
    settle(photo)
    assert FileHashes(memory).hash(photo) == blake3(b"photo").hexdigest(), "it was not remembered again"


def test_missing_file_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        store.file_hashes.hash(tmp_path / "absent")
