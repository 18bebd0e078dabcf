"""A user's folder of photos and masks, of the kind a test asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.new_dataset.create import NewDataset, Source, create
from tasks.progress import SilentProgress
from tests.conftest import REPOSITORY
from tests.published import write_photo

PALETTE = ((0, 0, 255), (128, 64, 128), (0, 0, 142), (0, 0, 0))
ROWS = np.array([0, 0, 1, 1, 2, 2, 3, 3], np.uint8)[None].repeat(6, 0)


class Folder:
    """`photos` and `masks` below `mine`; masks hold 0, 1, 2 and 3, whose colours are those of `PALETTE`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "mine"
        self.photos, self.masks = self.root / "photos", self.root / "masks"
        self.classes = folder / "classes.txt"
        self.classes.write_text("sky\nroad\ncar\n")

    def add(self, name: str, kind: str = "numbers", values: np.ndarray = ROWS) -> None:
        write_photo(self.photos / f"{name}.jpg")
        self.write_mask(self.masks / f"{name}.png", kind, values)

    def write_mask(self, path: Path, kind: str, values: np.ndarray = ROWS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        match kind:
            case "numbers":
                image = Image.fromarray(values)
            case "palette":
                image = Image.fromarray(values, mode="P")
                image.putpalette([part for colour in PALETTE for part in colour])
            case "colours":
                image = Image.fromarray(np.array(PALETTE, np.uint8)[values])
            case "opaque":
                image = Image.fromarray(np.array(PALETTE, np.uint8)[values]).convert("RGBA")
            case "grey":
                image = Image.fromarray(values).convert("RGB")
        image.save(path)

    def class_list(self, text: str, kind: str = "csv") -> Path:
        path = self.folder / f"list.{kind}"
        path.write_text(text)
        return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


@pytest.fixture
def make(folder: Folder) -> Callable[..., NewDataset]:
    def make(name: str | None = None, **options: object) -> NewDataset:
        source = Source(**{"images": folder.photos, "masks": folder.masks, "classes": folder.classes} | options)
        return create(source, name, folder.folder, REPOSITORY / "configs", SilentProgress())

    return make
