"""Draws a small data set of coloured squares on a meadow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

CLASSES = ("meadow", "a|b <script>alert(1)</script>", "pond")
PALETTE = ((40, 160, 60), (200, 60, 50), (50, 90, 200))
HEIGHT, WIDTH = 96, 128


def draw_squares(root: Path) -> Path:
    """Draw five photos below `root`, two to train on and three to measure, the last of them without a label.

    Returns:
        The data set's configuration file.
    """
    generator = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 3)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            labels = np.zeros((HEIGHT, WIDTH), np.uint8)
            labels[20:50, 10:60] = 1
            labels[60:90, 50 + 10 * number :] = 2
            labels[:, :4] = 255
            image = np.array([*PALETTE, *[(0, 0, 0)] * 253], np.uint8)[labels]
            image = np.clip(image + generator.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
            if split == "val" and number == 2:
                labels[:] = 255
            cv2.imwrite(str(root / "images" / split / f"{number}.png"), image[..., ::-1])
            cv2.imwrite(str(root / "labels" / split / f"{number}.png"), labels)
    folders = {
        split: {"img_dir": f"images/{split}", "ann_dir": f"labels/{split}", "img_suffix": ".png"}
        for split in ("train", "val")
    }
    config = root / "squares.py"
    config.write_text(f"classes = {CLASSES!r}\npalette = {PALETTE!r}\ndata = {folders!r}\n", encoding="utf-8")
    return config
