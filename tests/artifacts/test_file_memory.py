import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artifacts import FileMemory


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("one")
    settle(path)
    return path


def settle(path: Path) -> None:
    """Give the file a time long past, so that it may be remembered."""
    os.utime(path, ns=(10**18, 10**18))


def words(path: Path) -> dict[str, list[str]]:
    return {"words": path.read_text().split()}


def remember(memory: Path, path: Path) -> dict[str, list[str]]:
    """What a process that has just started would get."""
    notes = FileMemory(memory, words)
    found = notes.recall(path)
    notes.save()
    return found


def test_unchanged_file_is_not_read_again(tmp_path: Path, note: Path) -> None:
    memory = tmp_path / "memory"
    assert remember(memory, note) == {"words": ["one"]}
    note.write_text("two")
    settle(note)
    assert remember(memory, note) == {"words": ["one"]}, "size and time are the same"
    os.utime(note, ns=(10**18, 10**18 + 1))
    assert remember(memory, note) == {"words": ["two"]}
    assert len(memory.read_text().split("\n\n")) == 2


def test_file_that_was_just_written_is_not_remembered(tmp_path: Path, note: Path) -> None:
    note.write_text("two")
    status = note.stat()
    assert remember(tmp_path / "memory", note) == {"words": ["two"]}
    note.write_text("six")
    os.utime(note, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert remember(tmp_path / "memory", note) == {"words": ["six"]}


def test_what_cannot_be_read_is_not_remembered(tmp_path: Path, note: Path) -> None:
    note.write_bytes(b"\xff")
    settle(note)
    for _ in range(2):
        with pytest.raises(UnicodeDecodeError):
            remember(tmp_path / "memory", note)
    note.unlink()
    with pytest.raises(FileNotFoundError, match=r"note\.txt"):
        remember(tmp_path / "memory", note)


def test_unfinished_line_is_passed_over(tmp_path: Path, note: Path) -> None:
    memory = tmp_path / "memory"
    remember(memory, note)
    memory.write_text(memory.read_text()[:-5])
    note.write_text("two")
    settle(note)
    assert remember(memory, note) == {"words": ["two"]}
    note.write_text("six")
    settle(note)
    assert remember(memory, note) == {"words": ["two"]}, "it was not remembered again"


def test_threads_share_a_memory(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(200)]
    for path in paths:
        path.write_text(path.stem)
        settle(path)
    notes = FileMemory(tmp_path / "memory", words)
    with ThreadPoolExecutor(4) as pool:
        for found, path in zip(pool.map(notes.recall, paths), paths, strict=True):
            assert found == {"words": [path.stem]}
            notes.save()
    notes.save()
    lines = [json.loads(line) for line in (tmp_path / "memory").read_text().splitlines() if line]
    assert sorted(line[0] for line in lines) == sorted(map(str, paths))
