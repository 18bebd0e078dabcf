"""Miniature data sets in the layouts in which the published ones are downloaded: real files, a few pixels each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 6, 8


def write_photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)).save(path)


def write_mask(path: Path, rows: Sequence[Sequence[int]]) -> None:
    """A label map whose rows are repeated to the photo's size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.array(rows, np.uint8)
    Image.fromarray(pixels.repeat(HEIGHT // pixels.shape[0], 0).repeat(WIDTH // pixels.shape[1], 1)).save(path)


def read_mask(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


def ade20k(root: Path) -> None:
    for split, count in (("training", 2), ("validation", 1)):
        for number in range(count):
            write_photo(root / f"images/{split}/ADE_{number:08}.jpg")
            write_mask(root / f"annotations/{split}/ADE_{number:08}.png", [[0, 1, 150, 7]])


def bdd100k(root: Path) -> None:
    for split, count in (("train", 2), ("val", 1)):
        for number in range(count):
            write_photo(root / f"images/10k/{split}/{number:08}-abc.jpg")
            write_mask(root / f"labels/sem_seg/masks/{split}/{number:08}-abc.png", [[0, 18, 255, 10]])


def cityscapes(root: Path, cities: Sequence[tuple[str, str]] = (("train", "aachen"), ("val", "lindau"))) -> None:
    """The train city comes as polygons alone, the val city with maps of label ids as well."""
    for split, city in cities:
        name = f"{split}/{city}/{city}_000000_000019"
        write_photo(root / f"leftImg8bit/{name}_leftImg8bit.png")
        label_ids = root / f"gtFine/{name}_gtFine_labelIds.png"
        if split == "val":
            write_mask(label_ids, [[7, 26, 3, 33]])
            write_mask(label_ids.with_name(label_ids.name.replace("labelIds", "color")), [[1, 2, 3, 4]])
        polygons = root / f"gtFine/{name}_gtFine_polygons.json"
        polygons.parent.mkdir(parents=True, exist_ok=True)
        polygons.write_text(json.dumps(POLYGONS))


POLYGONS = {
    "imgWidth": WIDTH,
    "imgHeight": HEIGHT,
    "objects": [
        {"label": "road", "polygon": [[0, 3], [7, 3], [7, 5], [0, 5]]},
        {"label": "static", "polygon": [[0, 5], [1, 5], [1, 5], [0, 5]]},
        {"label": "cargroup", "polygon": [[4, 2], [6, 2], [6, 4], [4, 4]]},
        {"label": "license plate", "polygon": [[5, 3], [6, 3], [6, 4], [5, 4]]},
        {"label": "sky", "polygon": [[0, 0], [7, 0], [7, 5], [0, 5]], "deleted": 1},
    ],
}


def coco_stuff_164k(root: Path, train: int = 2) -> None:
    for split, count in (("train2017", train), ("val2017", 1)):
        for number in range(count):
            write_photo(root / f"images/{split}/{number:012}.jpg")
            write_mask(root / f"annotations/{split}/{number:012}.png", [[0, 10, 12, 181], [26, 91, 255, 64]])


def pascal_context_59(root: Path) -> None:
    names = ("2008_000002", "2008_000003", "2008_000007", "2010_009999")  # the last one has no annotation
    for name in names:
        write_photo(root / f"JPEGImages/{name}.jpg")
    images, annotations = [], []
    for name, split in zip(names[:3], ("train", "val", "train"), strict=True):
        number = int(name.replace("_", ""))
        images.append(
            {"image_id": number, "file_name": f"{name}.jpg", "phase": split, "height": HEIGHT, "width": WIDTH}
        )
        annotations += [
            # Columns 0 to 5; and then columns 4 and 5 anew.
            {"image_id": number, "category_id": 2, "segmentation": {"size": [HEIGHT, WIDTH], "counts": "0T1<"}},
            {"image_id": number, "category_id": 458, "segmentation": {"size": [HEIGHT, WIDTH], "counts": "h0<<"}},
        ]
    content = {"images": images, "annos_segmentation": annotations, "categories": [{"category_id": 2, "name": "x"}]}
    (root / "trainval_merged.json").write_text(json.dumps(content))


TREES = {
    "ade20k": ade20k,
    "bdd100k": bdd100k,
    "cityscapes": cityscapes,
    "coco_stuff_164k": coco_stuff_164k,
    "pascal_context_59": pascal_context_59,
}
