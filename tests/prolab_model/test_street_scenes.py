from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from blake3 import blake3
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from numpy.testing import assert_array_equal

from prolab_model.dataset_config import read_dataset_config
from prolab_model.street_scenes import draw_scene, draw_street_scenes, folder
from prolab_model.street_scenes.canvas import Label

REPOSITORY = Path(__file__).resolve().parents[2]
SEEDS = (0, 1, 2, 3, 1000, 1023)
# Version 1. Scenes that look different need a new version in folder.py, beside a new hash here.
PIXELS = "d2aad92e3e949603ad80213ddbd5965f35e1f6c8019a130562ea774b7b56018b"


def pixels_hash() -> str:
    digest = blake3()
    for seed in SEEDS:
        image, label = draw_scene(seed)
        digest.update(image.tobytes())
        digest.update(label.tobytes())
    return digest.hexdigest()


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(folder, "SPLITS", {"train": range(2), "val": range(10, 11)})
    monkeypatch.setattr(folder, "SIZE", (64, 48))


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(seed) for seed in range(24)]


def test_pixels_are_those_of_this_version():
    assert folder.VERSION == 1
    assert pixels_hash() == PIXELS


def test_pixels_do_not_depend_on_the_processors_instructions():
    plain = " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])
    program = f"import runpy; print(runpy.run_path({__file__!r})['pixels_hash']())"
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": plain},
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.strip() == PIXELS


def test_labels_are_the_configs_classes():
    config = read_dataset_config(REPOSITORY / "configs/datasets/street_scenes.py")

    assert [label.name.lower().replace("_", " ") for label in Label] == list(config.classes)


def test_every_class_occurs_often_enough_to_be_learnt(scenes):
    images = np.zeros(len(Label), int)
    for _, label in scenes:
        images += np.bincount(label.ravel(), minlength=len(Label)) > 20
    assert images.min() >= len(scenes) // 3, dict(zip(Label.__members__, images, strict=True))


def test_colour_alone_does_not_tell_the_class(scenes):
    """The best guess from a pixel's colour, made on half of the scenes, is often wrong on the others."""
    votes = np.zeros((16**3, len(Label)), np.int64)
    for image, label in scenes[::2]:
        np.add.at(votes, (_colour_bin(image), label.ravel()), 1)
    guess = votes.argmax(1)
    right = np.mean([np.mean(guess[_colour_bin(image)] == label.ravel()) for image, label in scenes[1::2]])

    assert 0.3 < right < 0.7


def _colour_bin(image):
    red, green, blue = np.moveaxis(image.reshape(-1, 3).astype(int) // 16, 1, 0)
    return red * 256 + green * 16 + blue


def test_seeds_differ_and_size_is_width_by_height():
    image, label = draw_scene(5, (100, 60))

    assert image.shape == (60, 100, 3) and image.dtype == np.uint8
    assert label.shape == (60, 100) and label.dtype == np.uint8
    assert not np.array_equal(image, draw_scene(6, (100, 60))[0])


def test_folder_holds_the_scenes_without_loss(small, tmp_path):
    root = tmp_path / "data" / "street_scenes"

    draw_street_scenes(root)

    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    names = ["train/0000.png", "train/0001.png", "val/0000.png"]
    assert files == [f"{kind}/{name}" for kind in ("images", "labels") for name in names]
    image, label = draw_scene(10, (64, 48))
    assert_array_equal(cv2.imread(str(root / "images/val/0000.png"))[..., ::-1], image)
    assert_array_equal(cv2.imread(str(root / "labels/val/0000.png"), cv2.IMREAD_UNCHANGED), label)
    assert [path.name for path in root.parent.iterdir()] == ["street_scenes"]


def test_drawing_again_touches_nothing(small, tmp_path):
    draw_street_scenes(tmp_path / "set")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")}

    draw_street_scenes(tmp_path / "set")

    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")} == before


def test_an_older_version_is_replaced(small, tmp_path, monkeypatch):
    draw_street_scenes(tmp_path / "set")
    (tmp_path / "set/images/train/old.png").touch()
    monkeypatch.setattr(folder, "VERSION", folder.VERSION + 1)

    draw_street_scenes(tmp_path / "set")

    assert not (tmp_path / "set/images/train/old.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_other_peoples_folders_are_left_alone(small, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(FileExistsError, match="is not empty and is no data set of drawn street scenes"):
        draw_street_scenes(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_several_at_once_leave_one_data_set(small, tmp_path):
    threads = [threading.Thread(target=draw_street_scenes, args=(tmp_path / "set",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(list((tmp_path / "set").rglob("*.png"))) == 6
