from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.index import IndexParams

REPOSITORY = Path(__file__).resolve().parents[3]


def test_identity_is_what_the_configuration_says_and_not_where_it_lies(tree, tmp_path):
    before = tree.params().identity()
    moved = tmp_path / "moved.py"
    shutil.copy(tree.config, moved)
    moved.write_text("# A comment.\n" + moved.read_text() + "data_root = 'somewhere'\n")

    assert IndexParams(config=moved, root=tree.root).identity() == before

    moved.write_text(moved.read_text().replace('"car"', '"tram"'))
    assert IndexParams(config=moved, root=tree.root).identity() != before


def test_state_of_the_folders_is_outside_the_identity(tree):
    state = tree.params().external(None)

    assert state["root"] == str(tree.root)
    assert tree.params().external(None) == state


@pytest.mark.parametrize("path", ["photos/train/a.jpg", "masks/val/c.png"])
def test_a_changed_file_changes_the_state(tree, path):
    before = tree.params().external(None)

    os.utime(tree.root / path, ns=(1, 1))

    assert tree.params().external(None) != before


def test_added_and_removed_files_change_the_state_and_others_do_not(tree):
    before = tree.params().external(None)

    (tree.root / "photos/train/notes.txt").touch()
    (tree.root / "photos/train/.hidden.jpg").touch()
    assert tree.params().external(None) == before

    (tree.root / "photos/train/new.jpg").touch()
    assert tree.params().external(None) != before
    (tree.root / "photos/train/new.jpg").unlink()
    assert tree.params().external(None) == before


def test_data_root_stands_in_for_the_root(tree):
    tree.config.write_text(tree.config.read_text() + f"data_root = {str(tree.root)!r}\n")

    assert IndexParams(config=tree.config).external(None) == tree.params().external(None)


def test_root_must_be_known(tree):
    with pytest.raises(InputError, match=r"dataset\.root is not set, and .*mine\.py has no data_root"):
        IndexParams(config=tree.config).external(None)


def test_root_that_holds_something_else_is_not_drawn_into(tree):
    params = IndexParams(config=REPOSITORY / "configs/datasets/street_scenes.py", root=tree.root)

    with pytest.raises(InputError, match="is not empty and is no data set of drawn street scenes"):
        params.external(None)
    assert sorted(path.name for path in tree.root.iterdir()) == ["masks", "photos"]


@pytest.mark.parametrize(
    ("drawn_by", "message"),
    [("gone.module:draw", "No module named 'gone'"), ("prolab_model.street_scenes:paint", "no attribute 'paint'")],
)
def test_what_draws_must_exist(tree, drawn_by, message):
    tree.config.write_text(tree.config.read_text() + f"drawn_by = {drawn_by!r}\n")

    with pytest.raises(InputError, match=f"drawn_by '{drawn_by}': .*{message}"):
        tree.params().external(None)


def test_declaration_is_light():
    heavy = {"torch", "mmcv", "mmseg", "sklearn", "matplotlib", "cv2", "prefect"}
    program = f"import sys, tasks.index; print(sorted({heavy!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
