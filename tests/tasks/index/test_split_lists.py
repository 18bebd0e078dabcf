"""Splits whose files lie in one folder, as lists of names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError


@pytest.fixture
def listed(tree):
    """The tree with all files in one folder: a, b and d, which no list names."""
    folders = 'img_dir="photos/train", ann_dir="masks/train"'
    splits = ", ".join(f'{split}=dict({folders}, split="lists/{split}.txt")' for split in ("train", "val"))
    tree.config.write_text(f'classes = ("sky", "road", "car")\nignore_index = 7\ndata = dict({splits})\n')
    tree.add("train", "d", np.full((8, 12), 2))
    (tree.root / "masks/train/d.png").unlink()
    write_list(tree.root, "train", "a\n")
    write_list(tree.root, "val", "\n b \n")
    return tree


def write_list(root: Path, split: str, text: str) -> None:
    (root / "lists").mkdir(exist_ok=True)
    (root / "lists" / f"{split}.txt").write_text(text)


def test_a_split_is_what_its_list_names(listed, index):
    samples = pq.read_table(index(listed.params()) / "samples.parquet").to_pylist()

    assert [(row["split"], row["label"]) for row in samples] == [
        ("train", "masks/train/a.png"),
        ("val", "masks/train/b.png"),
    ]


def test_a_changed_list_changes_the_state(listed):
    before = listed.params().external(None)

    write_list(listed.root, "val", "a\nb\n")

    assert listed.params().external(None) != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b\nnobody\n", r"lists/val\.txt: 'nobody' has no image"),
        ("b\nd\n", r"photos/train/d\.jpg: the image has no label map"),
        ("\n", r"split 'val': lists/val\.txt names no image"),
    ],
)
def test_what_is_listed_must_be_there(listed, index, text, message):
    write_list(listed.root, "val", text)

    with pytest.raises(InputError, match=message):
        index(listed.params())


def test_a_list_must_exist(listed):
    (listed.root / "lists/val.txt").unlink()

    with pytest.raises(InputError, match=r"data\.val\.split: no file .*lists/val\.txt"):
        listed.params().external(None)
