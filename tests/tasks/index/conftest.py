from __future__ import annotations

import itertools
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.index import STAGE, IndexParams
from tasks.progress import SilentProgress
from tasks.stage import StageContext

CONFIG = """
classes = ("sky", "road", "car")
palette = [[0, 0, 255], [128, 64, 128], [0, 0, 142]]
ignore_index = 7
data = dict(
    train=dict(img_dir="photos/train", ann_dir="masks/train"),
    val=dict(img_dir="photos/val", ann_dir="masks/val"),
)
"""


class Tree:
    """A small data set in a folder of the test: photos of 12 x 8 pixels and their masks."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "data"
        self.config = folder / "mine.py"
        self.config.write_text(CONFIG)
        for split in ("train", "val"):
            for kind in ("photos", "masks"):
                (self.root / kind / split).mkdir(parents=True)
        self.add("train", "b", np.repeat([[0, 1, 2, 7]], 8, 0).repeat(3, 1))
        self.add("train", "a", np.full((8, 12), 1))
        self.add("val", "c", np.full((8, 12), 2))

    def add(self, split: str, name: str, mask: np.ndarray, dtype=np.uint8) -> None:
        photo = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
        path = self.root / "photos" / split / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), photo)
        self.write_mask(split, name, mask.astype(dtype))

    def write_mask(self, split: str, name: str, mask: np.ndarray) -> None:
        path = self.root / "masks" / split / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), mask)

    def settle(self) -> None:
        """Give all files a time long past, so that what is in them may be remembered."""
        for path in self.root.rglob("*.*"):
            os.utime(path, ns=(10**18, 10**18))

    def params(self) -> IndexParams:
        return IndexParams(config=self.config, root=self.root)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.fixture
def index(tmp_path):
    """Runs the stage; runs of a test have one cache."""
    runs = itertools.count()

    def index(params: IndexParams) -> Path:
        run = tmp_path / f"run_{next(runs)}"
        folders = {"output": run / "output", "workspace": run / "workspace", "cache": tmp_path / "cache"}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        context = StageContext(params=params, inputs={}, progress=SilentProgress(), **folders)
        (folders["output"] / "summary").write_text(repr(STAGE.load()(context)))
        return folders["output"]

    return index
