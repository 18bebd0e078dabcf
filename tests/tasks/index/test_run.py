from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from PIL import Image

from prolab_model.street_scenes import folder
from tasks.errors import InputError
from tasks.index import IndexParams
from tasks.kinds import DATASET

REPOSITORY = Path(__file__).resolve().parents[3]


def rows(output, table):
    return pq.read_table(output / table).to_pylist()


def test_tables_say_what_lies_in_the_folders(tree, index):
    output = index(tree.params())

    samples = rows(output, "samples.parquet")
    assert [(row["split"], row["image"], row["label"]) for row in samples] == [
        ("train", "photos/train/a.jpg", "masks/train/a.png"),
        ("train", "photos/train/b.jpg", "masks/train/b.png"),
        ("val", "photos/val/c.jpg", "masks/val/c.png"),
    ]
    assert {(row["width"], row["height"]) for row in samples} == {(12, 8)}
    assert samples[0]["image_hash"] == blake3((tree.root / "photos/train/a.jpg").read_bytes()).hexdigest()
    assert samples[0]["label_hash"] == blake3((tree.root / "masks/train/a.png").read_bytes()).hexdigest()
    assert [tuple(row.values()) for row in rows(output, "label_counts.parquet")] == [
        (0, 1, 96),
        (1, 0, 24),
        (1, 1, 24),
        (1, 2, 24),
        (2, 2, 96),
    ]
    assert rows(output, "classes.parquet")[1] == {"class_id": 1, "name": "road", "red": 128, "green": 64, "blue": 128}
    assert json.loads((output / "location.json").read_text()) == {"root": str(tree.root)}
    rules = json.loads((output / "rules.json").read_text())
    assert (rules["classes"], rules["ignore_index"]) == (["sky", "road", "car"], 7)
    assert {name: split["images"] for name, split in rules["splits"].items()} == {"train": 2, "val": 1}


def test_report_has_shares_and_absent_classes(tree, index):
    output = index(tree.params())

    report = (output / "report.md").read_text()
    assert report.startswith("**3 images of 3 classes**: 2 train, 1 val; 12 x 8 pixels")
    assert "| road | 62.50 | 2 | 0.00 | 0 |" in report
    assert "| *left out* | 12.50 | 1 | 0.00 | 0 |" in report
    assert "- Never in val: sky, road" in report
    assert cv2.imread(str(output / "examples.jpg")).shape[1] > 300


def test_zero_label_is_left_out_and_the_others_move_down(tree, index):
    tree.config.write_text(tree.config.read_text() + "reduce_zero_label = True\n")

    output = index(tree.params())

    counts = [tuple(row.values()) for row in rows(output, "label_counts.parquet")]
    assert counts == [(0, 0, 96), (1, 0, 24), (1, 1, 24), (2, 1, 96)]


def test_masks_of_sixteen_bits_with_a_palette_or_of_one_bit(tree, index):
    tree.write_mask("train", "a", np.full((8, 12), 2, np.uint16))
    indexed = Image.fromarray(np.full((8, 12), 1, np.uint8), mode="P")
    indexed.putpalette([200, 10, 30] * 256)
    indexed.save(tree.root / "masks/train/b.png")
    Image.fromarray(np.ones((8, 12), bool)).save(tree.root / "masks/val/c.png")

    output = index(tree.params())

    assert [tuple(row.values()) for row in rows(output, "label_counts.parquet")] == [(0, 2, 96), (1, 1, 96), (2, 1, 96)]


def test_nested_folders_and_longer_suffixes(tree, index):
    folders = 'img_dir="x/{}", ann_dir="y", img_suffix="_photo.png", seg_map_suffix="_ids.png"'
    splits = ", ".join(f"{split}=dict({folders.format(split)})" for split in ("train", "val"))
    tree.config.write_text(f'classes = ("sky", "road")\ndata = dict({splits})\n')
    for path in ("x/train/aachen/1_photo.png", "x/val/aachen/1_photo.png", "y/aachen/1_ids.png"):
        (tree.root / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tree.root / path), np.zeros((4, 4), np.uint8))

    output = index(tree.params())

    assert [row["label"] for row in rows(output, "samples.parquet")] == ["y/aachen/1_ids.png"] * 2


def unknown_label(tree):
    tree.add("train", "b", np.array([[0, 1, 9, 9]]).repeat(8, 0).repeat(3, 1))
    return r"masks/train/b\.png: unknown label 9 \(48 pixels\); expected 0\.\.2 for the 3 classes or 7 \(ignore_index\)"


def unknown_label_of_16_bits(tree):
    tree.write_mask("train", "b", np.full((8, 12), 4000, np.uint16))
    return r"masks/train/b\.png: unknown label 4000 \(96 pixels\)"


def missing_mask(tree):
    (tree.root / "masks/train/b.png").unlink()
    return r"photos/train/b\.jpg: the image has no label map, expected masks/train/b\.png"


def missing_image(tree):
    (tree.root / "photos/val/c.jpg").rename(tree.root / "photos/val/d.jpg")
    return r"masks/val/c\.png: the label map has no image, expected photos/val/c\.jpg"


def empty_image(tree):
    (tree.root / "photos/train/a.jpg").write_bytes(b"")
    return r"photos/train/a\.jpg: the file is empty"


def broken_image(tree):
    (tree.root / "photos/train/a.jpg").write_bytes(b"this is no photo")
    return r"photos/train/a\.jpg: not an image that can be decoded \(16 bytes\)"


def cut_off_image(tree):
    path = tree.root / "photos/train/a.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    return r"photos/train/a\.jpg: not an image that can be decoded"


def cut_off_progressive_image(tree):
    path = tree.root / "photos/train/a.jpg"
    Image.open(path).save(path, progressive=True)
    path.write_bytes(path.read_bytes()[:-40])
    return r"photos/train/a\.jpg: not an image that can be decoded"


def empty_mask(tree):
    (tree.root / "masks/train/a.png").write_bytes(b"")
    return r"masks/train/a\.png: the file is empty"


def cut_off_mask(tree):
    path = tree.root / "masks/train/a.png"
    path.write_bytes(path.read_bytes()[:-30])
    return r"masks/train/a\.png: not a label map that can be decoded"


def other_size(tree):
    tree.write_mask("val", "c", np.zeros((8, 13), np.uint8))
    return r"masks/val/c\.png: the label map is 13x8 and its image photos/val/c\.jpg is 12x8"


def three_channels(tree):
    tree.write_mask("val", "c", np.zeros((8, 12, 3), np.uint8))
    return r"masks/val/c\.png: expected one channel of class numbers, got 3 channels \(mode RGB\)"


def empty_split(tree):
    (tree.root / "photos/val/c.jpg").rename(tree.root / "photos/val/c.jpeg")
    (tree.root / "masks/val/c.png").unlink()
    return r"split 'val': no image that ends in '\.jpg' below photos/val; found 1 \.jpeg"


def missing_folder(tree):
    (tree.root / "masks/val").rename(tree.root / "masks/validation")
    return r"data\.val\.ann_dir: no folder .*masks/val; .*masks holds train, validation"


def missing_root(tree):
    tree.root.rename(tree.root.with_name("elsewhere"))
    return r"dataset\.root: no folder .*data; .* holds .*elsewhere, mine\.py"


def repeated_class(tree):
    tree.config.write_text(tree.config.read_text().replace('"car"', '"sky"'))
    return r"mine\.py: not a valid data set\n  classes: class names must differ, .*'sky'"


@pytest.mark.parametrize(
    "harm",
    [
        unknown_label,
        unknown_label_of_16_bits,
        missing_mask,
        missing_image,
        empty_image,
        broken_image,
        cut_off_image,
        cut_off_progressive_image,
        empty_mask,
        cut_off_mask,
        other_size,
        three_channels,
        empty_split,
        missing_folder,
        missing_root,
        repeated_class,
    ],
)
def test_bad_input_is_named(tree, index, harm):
    message = harm(tree)

    with pytest.raises(InputError, match=message):
        index(tree.params())


def test_all_problems_are_counted_and_the_first_twenty_listed(tree, index):
    missing_mask(tree)
    for number in range(25):
        tree.add("val", f"v{number:02}", np.full((8, 12), 100 + number))

    with pytest.raises(InputError) as caught:
        index(tree.params())

    lines = str(caught.value).splitlines()
    assert lines[0] == f"26 problems in the data set at {tree.root}"
    assert len(lines) == 22
    assert "photos/train/b.jpg: the image has no label map" in lines[1]
    assert "masks/val/v18.png: unknown label 118" in lines[20]
    assert lines[21] == "  … and 6 more"


def test_both_files_of_a_pair_can_be_wrong(tree, index):
    broken_image(tree)
    cut_off_mask(tree)

    with pytest.raises(InputError, match=r"2 problems(.|\n)*a\.jpg(.|\n)*a\.png"):
        index(tree.params())


def test_drawn_data_set_is_drawn_where_it_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "SPLITS", {"train": range(2), "val": range(1)})
    params = IndexParams(config=REPOSITORY / "configs/datasets/street_scenes.py", root=tmp_path / "scenes")

    first = params.external(None)

    assert len(list((tmp_path / "scenes/images").rglob("*.png"))) == 3
    assert params.external(None) == first


def test_only_what_changed_is_read_again(tree, index):
    tree.settle()
    before = rows(index(tree.params()), "samples.parquet")

    for path in ("photos/train/a.jpg", "photos/train/b.jpg"):  # the same length, and another content
        content = (tree.root / path).read_bytes()
        (tree.root / path).write_bytes(content.replace(b"JFIF", b"JFXX", 1))
    tree.settle()
    tree.add("train", "b", np.zeros((8, 12)))
    output = index(tree.params())

    after = rows(output, "samples.parquet")
    assert [row["image_hash"] for row in after] == [
        before[0]["image_hash"],
        blake3((tree.root / "photos/train/b.jpg").read_bytes()).hexdigest(),
        before[2]["image_hash"],
    ]
    assert [tuple(row.values()) for row in rows(output, "label_counts.parquet")] == [(0, 1, 96), (1, 0, 96), (2, 2, 96)]


def test_what_is_remembered_holds_for_other_classes(tree, index):
    tree.settle()
    index(tree.params())
    tree.config.write_text(tree.config.read_text().replace("ignore_index = 7", "ignore_index = 8"))

    with pytest.raises(InputError, match=r"masks/train/b\.png: unknown label 7 \(24 pixels\)"):
        index(tree.params())

    tree.config.write_text(tree.config.read_text().replace("ignore_index = 8", "reduce_zero_label = True"))
    with pytest.raises(InputError, match=r"b\.png: unknown label 7"):
        index(tree.params())


def test_broken_file_is_read_again(tree, index):
    tree.settle()
    path = tree.root / "masks/train/a.png"
    content = path.read_bytes()
    path.write_bytes(content[:-30] + bytes(30))
    tree.settle()
    with pytest.raises(InputError, match=r"a\.png: not a label map"):
        index(tree.params())

    path.write_bytes(content)
    tree.settle()
    assert len(rows(index(tree.params()), "samples.parquet")) == 3


def test_files_match_the_kind(tree, index):
    output = index(tree.params())

    for name, schema in DATASET.tables.items():
        assert pq.read_table(output / name).schema.equals(schema)
    assert all((output / name).is_file() for name in DATASET.files)


def test_camvid(shared_data, index):
    output = index(IndexParams(config=REPOSITORY / "configs/datasets/camvid.py", root=shared_data / "camvid"))

    samples = rows(output, "samples.parquet")
    pixels = np.zeros(11, np.int64)
    for row in rows(output, "label_counts.parquet"):
        if samples[row["sample"]]["split"] == "val":
            pixels[row["class_id"]] += row["pixels"]
    assert [row["split"] for row in samples] == ["train"] * 367 + ["val"] * 101
    np.testing.assert_allclose(
        100 * pixels / (101 * 480 * 360),
        [9.18, 25.96, 0.56, 28.95, 8.72, 16.34, 0.89, 3.08, 1.75, 0.65, 2.22],
        atol=0.005,
    )
