"""A user's photos and masks of every kind become a data set that the index takes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from artifacts import Store
from prolab_model.dataset_config import DatasetConfig, read_dataset_config
from tasks import index
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.new_dataset.create import NewDataset
from tasks.progress import SilentProgress
from tests.published import read_mask, write_photo
from tests.tasks.new_dataset.conftest import PALETTE, ROWS, Folder

CSV_COLOURS = "name,r,g,b\nsky,0,0,255\nroad,128,64,128\ncar,0,0,142\nvoid,0,0,0\n"


def index_it(folder: Folder, name: str = "mine") -> tuple[DatasetConfig, dict[int, int]]:
    """The configuration that was written, and the pixels of each class that the index counts."""
    path = folder.folder / f"{name}.py"
    params = index.IndexParams(config=path, root=folder.root)
    made = run_stage(index.STAGE, params, {}, Store(folder.folder / "store"), SilentProgress()).artifact
    counts = made.table("label_counts.parquet").to_pandas().groupby("class_id")["pixels"].sum()
    return read_dataset_config(path), counts.to_dict()


@pytest.mark.parametrize(
    ("kind", "class_list", "options", "in_place"),
    [
        ("numbers", ("txt", "sky\nroad\ncar\n"), {"ignored": ["3"]}, True),
        ("numbers", ("csv", "name,value\nsky,0\nroad,1\ncar,2\nvoid,3\n"), {"ignored": ["void"]}, True),
        ("numbers", ("csv", CSV_COLOURS), {"ignored": ["void"]}, True),
        ("palette", ("txt", "sky\nroad\ncar\n"), {"ignored": ["3"]}, True),
        ("palette", ("csv", CSV_COLOURS), {"ignored": ["void"]}, True),
        ("colours", ("csv", CSV_COLOURS), {"ignored": ["void"]}, False),
        ("colours", ("csv", CSV_COLOURS.replace("void,0,0,0\n", "")), {"ignored": ["0,0,0"]}, False),
        ("opaque", ("csv", CSV_COLOURS), {"ignored": ["void"]}, False),
        ("grey", ("txt", "sky\nroad\ncar\n"), {"ignored": ["3"]}, False),
    ],
)
def test_masks_of_every_kind(
    folder: Folder, make, kind: str, class_list: tuple[str, str], options: dict, in_place: bool
) -> None:
    for name in ("a", "b", "c"):
        folder.add(name, kind)
    masks = {path: path.read_bytes() for path in folder.masks.iterdir()}

    dataset = make(classes=folder.class_list(class_list[1], class_list[0]), **options)

    assert [count.name for count in dataset.classes] == ["sky", "road", "car"]
    assert [(count.pixels, count.masks) for count in dataset.classes] == [(36, 3)] * 3
    assert (dataset.ignored.pixels, dataset.images) == (36, {"train": 2, "val": 1})
    config, counts = index_it(folder)
    assert counts == {0: 36, 1: 36, 2: 36}
    assert (config.data["train"].ann_dir == "masks") is in_place
    assert {path: path.read_bytes() for path in folder.masks.iterdir()} == masks
    if kind != "numbers" and class_list[0] == "csv":
        assert config.palette == PALETTE[:3]
    if not in_place:
        expected = np.where(ROWS == 3, 255, ROWS)
        assert_array_equal(read_mask(folder.root / "masks_labels/a.png"), expected)


def test_palettes_whose_order_is_not_the_class_lists(folder: Folder, make) -> None:
    folder.add("a", "palette")
    folder.add("b", "palette")

    make(classes=folder.class_list("name,r,g,b\ncar,0,0,142\nsky,0,0,255\nroad,128,64,128\n"), ignored=["3"])

    config, counts = index_it(folder)
    assert (config.classes, counts) == (("car", "sky", "road"), {0: 24, 1: 24, 2: 24})
    assert_array_equal(read_mask(folder.root / "masks_labels/a.png")[0], [1, 1, 2, 2, 0, 0, 255, 255])


def test_numbers_from_one_on_are_read_in_place(folder: Folder, make) -> None:
    values = ROWS.copy()
    values[0] = 255
    folder.add("a", values=values)
    folder.add("b")

    make(classes=folder.class_list("name,value\nsky,1\nroad,2\ncar,3\n"), ignored=["0"])

    config, counts = index_it(folder)
    assert (config.reduce_zero_label, config.ignore_index, config.data["val"].ann_dir) == (True, 255, "masks")
    assert counts == {0: 22, 1: 22, 2: 22}


def test_numbers_with_gaps_and_classes_that_become_one_are_written_anew(folder: Folder, make) -> None:
    folder.add("a", values=ROWS * 20)
    folder.add("b", values=ROWS * 20)

    make(classes=folder.class_list("name,value\nground,20\nsky,0\nground,40\n"), ignored=["60"])

    config, counts = index_it(folder)
    assert (config.classes, counts) == (("ground", "sky"), {0: 48, 1: 24})


def test_sixteen_bits(folder: Folder, make) -> None:
    folder.add("a", values=ROWS.astype(np.uint16) * 1000)
    folder.add("b", values=ROWS.astype(np.uint16) * 1000)

    make(classes=folder.class_list('{"sky": 0, "road": 1000, "car": 2000}', "json"), ignored=["3000"])

    assert index_it(folder)[1] == {0: 24, 1: 24, 2: 24}


def test_values_without_a_class_are_named_with_an_example(folder: Folder, make) -> None:
    folder.add("a")
    folder.add("b", values=np.where(ROWS == 3, 0, ROWS))

    with pytest.raises(InputError, match=r"1 values .*\n  3: 12 pixels in 1 masks, for instance a\.png"):
        make()
    assert sorted(path.name for path in folder.folder.iterdir()) == ["classes.txt", "mine"]
    assert sorted(path.name for path in folder.root.iterdir()) == ["masks", "photos"]

    folder.write_mask(folder.masks / "b.png", "colours")
    with pytest.raises(InputError, match=r"5 values (.|\n)*  128,64,128: 12 pixels in 1 masks, for instance b\.png"):
        make()


def test_without_a_class_list_it_is_said_what_occurs(folder: Folder, make) -> None:
    folder.add("a", "colours")
    with pytest.raises(InputError, match=r"name,red,green,blue\nclass 0,0,0,0\nclass 1,0,0,142\nclass 2,0,0,255\n"):
        make(classes=None)

    folder.add("a", "palette")
    with pytest.raises(InputError, match=r"name,value,red,green,blue\nclass 0,0,0,0,255\n"):
        make(classes=None)

    folder.add("a")
    with pytest.raises(
        InputError, match=r"4 values occur (.|\n)*name,value\nclass 0,0\nclass 1,1\nclass 2,2\nclass 3,3"
    ):
        make(classes=None)


def test_files_of_no_use_are_left_out_and_named(folder: Folder, make) -> None:
    for name in ("a", "b", "c", "d", "e", "f"):
        folder.add(name)
    (folder.photos / "a.jpg").write_bytes(b"this is no photo")
    (folder.masks / "b.png").write_bytes((folder.masks / "b.png").read_bytes()[:-30])
    Image.new("L", (5, 5)).save(folder.masks / "c.png")
    Image.new("RGBA", (8, 6)).save(folder.masks / "d.png")
    folder.write_mask(folder.masks / "alone.png", "numbers")

    dataset = make(ignored=["3"])

    assert [line.rpartition("/")[2].partition(":")[0] for line in dataset.left_out] == [
        "alone.png",
        "a.jpg",
        "b.png",
        "c.png",
        "d.png",
    ]
    assert "the mask is 5x5 and its photo c.jpg is 8x6" in dataset.left_out[3]
    assert "transparent" in dataset.left_out[4]
    assert dataset.images == {"train": 1, "val": 1}
    assert sum(index_it(folder)[1].values()) == 2 * 36


def test_nothing_of_use(folder: Folder, make) -> None:
    folder.add("a")
    (folder.photos / "a.jpg").write_bytes(b"this is no photo")

    with pytest.raises(InputError, match=r"1 problem in .*photos and .*masks, of which nothing can be used\n.*a\.jpg"):
        make()


def test_class_that_never_occurs_is_counted_as_such(folder: Folder, make) -> None:
    folder.add("a")
    folder.add("b")
    folder.classes.write_text("sky\nroad\ncar\nvoid\nunicorn\n")

    dataset = make(ignored=["void"])

    assert {count.name: count.masks for count in dataset.classes}["unicorn"] == 0


def test_folders_make_the_splits(folder: Folder, make) -> None:
    for name in ("training/a", "training/b", "validation/x/c", "testing/d"):
        folder.add(name)

    assert make(ignored=["3"]).images == {"train": 2, "val": 1, "test": 1}
    assert (folder.root / "splits/val.txt").read_text() == "validation/x/c\n"
    config, counts = index_it(folder)
    assert (list(config.data), counts[0]) == (["train", "val", "test"], 48)


def test_splits_by_chance_are_the_same_again_and_lists_are_kept(folder: Folder, make) -> None:
    for number in range(20):
        folder.add(f"{number:02}")

    first = make(ignored=["3"], validation_share=0.25)
    lists = {path.name: path.read_text() for path in (folder.root / "splits").iterdir()}
    shutil.rmtree(folder.root / "splits")
    again = make(ignored=["3"], validation_share=0.25)

    assert first.images == again.images == {"train": 15, "val": 5}
    assert {path.name: path.read_text() for path in (folder.root / "splits").iterdir()} == lists
    names = [name for text in lists.values() for name in text.split()]
    assert sorted(names) == [f"{number:02}" for number in range(20)]

    (folder.root / "splits/val.txt").write_text("00\n")
    (folder.root / "splits/train.txt").write_text("01\n02\n")
    (folder.folder / "mine.py").unlink()
    dataset = make(ignored=["3"])
    assert dataset.images == {"train": 2, "val": 1}
    assert [line.partition(":")[0] for line in dataset.left_out] == [f"{number:02}" for number in range(3, 20)]


def test_photos_and_masks_in_one_folder(folder: Folder, make) -> None:
    for name in ("a", "b"):
        write_photo(folder.root / f"{name}.png")
        folder.write_mask(folder.root / f"{name}_mask.png", "numbers")

    assert make(images=folder.root, masks=folder.root, ignored=["3"]).left_out == []

    config, counts = index_it(folder)
    assert (config.data["train"].img_dir, config.data["train"].seg_map_suffix) == (".", "_mask.png")
    assert counts == {0: 24, 1: 24, 2: 24}


def test_one_photo_is_not_enough(folder: Folder, make) -> None:
    folder.add("a")

    with pytest.raises(InputError, match="no photo is left for train; there are 1 with a mask"):
        make(ignored=["3"])


def test_what_the_user_edited_is_not_replaced(folder: Folder, make) -> None:
    folder.add("a")
    folder.add("b")
    make(ignored=["3"])
    make(ignored=["3"])
    path = folder.folder / "mine.py"
    path.write_text(path.read_text() + "# edited\n")

    with pytest.raises(InputError, match=r"mine\.py is there and says something else"):
        make(ignored=["3"])
    assert make(name="other", ignored=["3"]).images == {"train": 1, "val": 1}


def test_labels_that_were_written_for_another_class_list_are_not_taken(folder: Folder, make) -> None:
    folder.add("a", "colours")
    folder.add("b", "colours")
    make(classes=folder.class_list(CSV_COLOURS), ignored=["void"])

    with pytest.raises(InputError, match=r"masks_labels/classes\.json is there and says something else"):
        make(name="other", classes=folder.class_list(CSV_COLOURS), ignored=["0,0,0", "car"])


def test_a_mask_that_was_mended_is_written_anew_and_others_are_kept(folder: Folder, make) -> None:
    folder.add("a", "colours")
    folder.add("b", "colours")
    options = {"classes": folder.class_list(CSV_COLOURS), "ignored": ["void"]}
    make(**options)
    labels = folder.root / "masks_labels"
    kept = (labels / "b.png").stat().st_mtime_ns
    folder.write_mask(folder.masks / "a.png", "colours", np.ones_like(ROWS))
    later = (labels / "a.png").stat().st_mtime_ns + 10**9
    os.utime(folder.masks / "a.png", ns=(later, later))

    make(**options)

    assert_array_equal(read_mask(labels / "a.png"), np.ones_like(ROWS))
    assert (labels / "b.png").stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    ("ignored", "message"),
    [
        (["nothing"], "--ignore nothing: expected a name of the class list, a number, or a colour"),
        (["1,2"], "--ignore 1,2: expected"),
        (["sky", "road", "car", "3"], "--ignore leaves no class"),
    ],
)
def test_wrong_values_to_ignore(folder: Folder, make, ignored: list[str], message: str) -> None:
    folder.add("a")

    with pytest.raises(InputError, match=message):
        make(ignored=ignored)


def test_camvid(shared_data: Path, folder: Folder, make) -> None:
    """Real photos: the published labels, as numbers and as colours."""
    config = read_dataset_config(Path(__file__).parents[3] / "configs/datasets/camvid.py")
    colours = np.array([*config.palette, (0, 0, 0)], np.uint8)
    for path in sorted((shared_data / "camvid/images/val").iterdir())[:3]:
        folder.photos.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder.photos / path.name)
        numbers = np.asarray(Image.open(shared_data / f"camvid/labels/val/{path.stem}.png"))
        folder.masks.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours[numbers]).save(folder.masks / f"{path.stem}_L.png")
    rows = [f"{name},{','.join(map(str, colour))}" for name, colour in zip(config.classes, config.palette, strict=True)]
    class_list = folder.class_list("\n".join(["name,r,g,b", *rows, "void,0,0,0"]))

    dataset: NewDataset = make(classes=class_list, ignored=["void"])

    assert (dataset.sizes, dataset.left_out) == (((480, 360), (480, 360)), [])
    written, _ = index_it(folder)
    assert (written.classes, written.palette) == (config.classes, config.palette)
    for path in sorted((folder.root / "masks_labels").glob("*.png")):
        numbers = np.asarray(Image.open(shared_data / f"camvid/labels/val/{path.name}"))
        assert_array_equal(read_mask(path), np.where(numbers == 11, 255, numbers))
