"""Whatever happens to the files: damaged data is never returned, and what is damaged is built again."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from thing import recipe, writer

from artifacts import Store


def delete_file(folder: Path) -> None:
    (folder / "rows.parquet").unlink()


def flip_byte(folder: Path) -> None:
    data = bytearray((folder / "rows.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "rows.parquet").write_bytes(data)


def truncate(folder: Path) -> None:
    (folder / "rows.parquet").write_bytes((folder / "rows.parquet").read_bytes()[:-1])


def add_file(folder: Path) -> None:
    (folder / "stray.txt").write_text("x")


def delete_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def truncate_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:-40])


def edit_manifest(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"rows": 3', '"rows": 4'))


DAMAGES = {
    delete_file: ("rows.parquet", "it is missing"),
    flip_byte: ("rows.parquet", "its bytes were changed"),
    truncate: ("rows.parquet", "bytes, found"),
    add_file: ("stray.txt", "it is not in the manifest"),
    delete_manifest: ("manifest.json", "is missing"),
    truncate_manifest: ("manifest.json", "is not a manifest"),
    edit_manifest: ("manifest.json", "it was changed"),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_named_and_built_again(
    store: Store, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    built = store.build(recipe(), writer()).artifact
    version = built.version
    damage(built.path)
    file, what = DAMAGES[damage]

    (problem,) = store.verify()
    assert (problem.kind, problem.version, problem.file) == ("thing", version, file)
    assert what in problem.what
    explanation = store.explain(recipe())
    assert not explanation.hit
    assert what in str(explanation)
    assert built.path.exists(), "looking changed something"

    with caplog.at_level(logging.WARNING, logger="artifacts"):
        assert store.find(recipe()) is None
    assert "damaged and moved to" in caplog.text
    assert file in caplog.text

    again = store.build(recipe(), writer())
    assert not again.hit
    assert again.artifact.version == version
    assert again.artifact.table("rows.parquet").num_rows == 3
    assert store.verify() == []
    assert [item.what for item in store.collect_garbage(dry_run=False)] == ["damaged version"]
    assert not any((store.root / "quarantine").iterdir())


def test_what_is_here_is_known_without_reading_it(store: Store) -> None:
    assert not store.has(recipe())
    flip_byte(store.build(recipe(), writer()).artifact.path)
    assert store.has(recipe())
    assert store.find(recipe()) is None
    assert not store.has(recipe())


def test_build_repairs_without_a_find_before_it(store: Store) -> None:
    flip_byte(store.build(recipe(), writer()).artifact.path)
    assert not store.build(recipe(), writer()).hit
    assert store.verify() == []


def test_forced_build_replaces_a_damaged_version(store: Store) -> None:
    flip_byte(store.build(recipe(), writer()).artifact.path)
    store.build(recipe(), writer(), force=True)
    assert store.verify() == []


def test_an_older_intact_version_of_the_key_is_found(store: Store) -> None:
    older = store.build(recipe(), writer([1])).artifact
    truncate(store.build(recipe(), writer([2]), force=True).artifact.path)
    assert store.find(recipe()) == older


def test_folder_under_another_name_is_not_taken_for_it(store: Store) -> None:
    one = store.build(recipe(1), writer([1])).artifact
    other = store.root / "artifacts" / "thing" / f"{'0' * 12}-{recipe(2).key[:16]}"
    shutil.copytree(one.path, other)
    assert store.find(recipe(2)) is None
    assert store.find(recipe(1)) == one


def test_everything_but_the_artifacts_may_be_lost(store: Store) -> None:
    artifact = store.build(recipe(), writer()).artifact
    for folder in store.root.iterdir():
        if folder.is_dir() and folder.name != "artifacts":
            shutil.rmtree(folder)
    opened = Store(store.root)
    assert opened.find(recipe()) == artifact
    assert opened.resolve("thing:latest") == artifact


def test_verify_of_named_versions(store: Store) -> None:
    damaged = store.build(recipe(1), writer([1])).artifact
    good = store.build(recipe(2), writer([2])).artifact
    flip_byte(damaged.path)
    assert store.verify([good.reference]) == []
    assert [problem.version for problem in store.verify([damaged.reference, good.reference])] == [damaged.version]
