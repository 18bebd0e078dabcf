"""Miniature trees in each published layout: what is made, what is kept, what is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from numpy.testing import assert_array_equal

from artifacts import Store
from prolab_model.dataset_config import DatasetConfig, read_dataset_config
from tasks import index
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.prepare.conversion import convert
from tasks.prepare.prepare import Prepared, prepare
from tasks.prepare.published import PUBLISHED
from tasks.progress import SilentProgress
from tests import published
from tests.conftest import REPOSITORY
from tests.published import HEIGHT, TREES, WIDTH, read_mask


def config_of(name: str) -> DatasetConfig:
    return read_dataset_config(REPOSITORY / f"configs/datasets/{name}.py")


def run(name: str, root: Path) -> Prepared:
    return prepare(PUBLISHED[name], config_of(name), root, SilentProgress())


def files_below(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", TREES)
def test_the_index_takes_what_was_prepared(name: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    TREES[name](root)
    before = files_below(root)

    prepared = run(name, root)

    assert prepared.images["val"] == 1
    after = files_below(root)
    assert {path: after[path] for path in before} == before
    assert not [path for path in after if path.endswith(".part")]
    params = index.IndexParams(config=REPOSITORY / f"configs/datasets/{name}.py", root=root)
    made = run_stage(index.STAGE, params, {}, Store(tmp_path / "store"), SilentProgress()).artifact
    assert made.manifest.summary["train_images"] == prepared.images["train"]

    again = run(name, root)
    assert (again.made, again.images) == (0, prepared.images)
    assert files_below(root) == after


def test_every_published_data_set_has_a_configuration_and_an_experiment() -> None:
    for name, known in PUBLISHED.items():
        assert known.images.keys() == config_of(name).data.keys()
        assert (REPOSITORY / f"configs/experiments/{name}.yaml").is_file()
    assert PUBLISHED.keys() == TREES.keys()


def test_cityscapes_are_training_ids_of_polygons_or_of_label_ids(tmp_path: Path) -> None:
    published.cityscapes(tmp_path)

    assert run("cityscapes", tmp_path).made == 2

    expected = np.full((HEIGHT, WIDTH), 255)
    expected[3:] = 0
    expected[5, 0:2] = 255
    expected[2:5, 4:7] = 13
    made = tmp_path / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png"
    assert_array_equal(read_mask(made), expected)
    made = tmp_path / "gtFine/val/lindau/lindau_000000_000019_gtFine_labelTrainIds.png"
    assert_array_equal(read_mask(made)[0], [0, 0, 13, 13, 255, 255, 18, 18])


def test_coco_stuff_is_training_ids(tmp_path: Path) -> None:
    published.coco_stuff_164k(tmp_path)

    assert run("coco_stuff_164k", tmp_path).made == 3

    made = read_mask(tmp_path / "annotations/val2017/000000000000_labelTrainIds.png")
    assert_array_equal(made[::3, ::2], [[0, 10, 11, 170], [24, 80, 255, 59]])


def test_pascal_context_is_numbers_and_lists(tmp_path: Path) -> None:
    published.pascal_context_59(tmp_path)

    prepared = run("pascal_context_59", tmp_path)

    assert (prepared.images, prepared.made) == ({"train": 2, "val": 1}, 3)
    assert_array_equal(read_mask(tmp_path / "SegmentationClassContext/2008_000003.png")[0], [1, 1, 1, 1, 59, 59, 0, 0])
    lists = tmp_path / "ImageSets/SegmentationContext"
    assert (lists / "train.txt").read_text() == "2008_000002\n2008_000007\n"
    assert (lists / "val.txt").read_text() == "2008_000003\n"


def test_pascal_context_that_is_complete_needs_no_annotations_and_keeps_its_lists(tmp_path: Path) -> None:
    published.pascal_context_59(tmp_path)
    run("pascal_context_59", tmp_path)
    (tmp_path / "ImageSets/SegmentationContext/train.txt").write_text("2008_000007\n")
    (tmp_path / "SegmentationClassContext/2008_000003.png").unlink()

    assert run("pascal_context_59", tmp_path).images == {"train": 1, "val": 1}

    (tmp_path / "trainval_merged.json").unlink()
    assert run("pascal_context_59", tmp_path).images == {"train": 1, "val": 1}


def test_what_was_converted_is_kept(tmp_path: Path) -> None:
    published.coco_stuff_164k(tmp_path)
    mine = tmp_path / "annotations/train2017/000000000001_labelTrainIds.png"
    published.write_mask(mine, [[170]])

    prepared = run("coco_stuff_164k", tmp_path)

    assert (prepared.made, prepared.kept) == (2, 1)
    assert_array_equal(read_mask(mine), np.full((HEIGHT, WIDTH), 170))


PROGRAM = """
import sys
from pathlib import Path
from tests.tasks.prepare.test_prepare import SlowProgress, config_of
from tasks.prepare.prepare import prepare
from tasks.prepare.published import PUBLISHED
prepare(PUBLISHED["coco_stuff_164k"], config_of("coco_stuff_164k"), Path(sys.argv[1]), SlowProgress())
"""


class SlowProgress:
    """Tells when half of the work is done, and then waits to be killed."""

    @contextmanager
    def bar(self, label: str, total: int, unit: str = "it", report: Path | None = None) -> Iterator[SlowProgress]:
        self.left = total // 2
        yield self

    def advance(self, count: int = 1, **figures: float | str) -> None:
        self.left -= count
        if self.left == 0:
            print("half", flush=True)
            time.sleep(600)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_run_goes_on_where_it_stood(tmp_path: Path, how: signal.Signals) -> None:
    published.coco_stuff_164k(tmp_path, train=9)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.send_signal(how)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*_labelTrainIds.png")}
    assert 0 < len(done) < 10
    # What a kill in the middle of a file leaves.
    (tmp_path / "annotations/val2017/.000000000000_labelTrainIds.png.part").write_bytes(b"half")

    prepared = run("coco_stuff_164k", tmp_path)

    assert (prepared.made, prepared.kept) == (10 - len(done), len(done))
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert not list(tmp_path.rglob("*.part"))
    assert all(read_mask(path).shape == (HEIGHT, WIDTH) for path in tmp_path.rglob("*_labelTrainIds.png"))


def test_many_files_are_converted_by_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    published.coco_stuff_164k(tmp_path, train=80)

    assert run("coco_stuff_164k", tmp_path).made == 81


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    published.coco_stuff_164k(tmp_path)

    with FileLock(tmp_path / ".prolab_prepare.lock"), pytest.raises(InputError, match="another process converts"):
        run("coco_stuff_164k", tmp_path)


def test_nothing_to_convert(tmp_path: Path) -> None:
    assert convert(tmp_path, [], SilentProgress()).made == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "gone", "message"),
    [
        (
            "ade20k",
            "images/validation",
            r"images/validation/\*\.jpg: not in .*\n.*ADEChallengeData2016\.zip from https:",
        ),
        ("ade20k", "annotations/training", r"annotations/training/\*\.png: not in"),
        ("bdd100k", "images/10k/train", r"images/10k/train/\*\.jpg: not in .*\n.*10K Images from https://bdd-data"),
        (
            "cityscapes",
            "leftImg8bit/train",
            r"leftImg8bit/train/\*_leftImg8bit\.png.*\n.*leftImg8bit_trainvaltest\.zip",
        ),
        (
            "cityscapes",
            "gtFine/val",
            r"gtFine/val/\*_gtFine_labelIds\.png or \*_gtFine_polygons\.json or \*_gtFine_labelTrainIds\.png: .*\n"
            r".*gtFine_trainvaltest\.zip from https://www\.cityscapes-dataset\.com",
        ),
        ("coco_stuff_164k", "images/val2017", r"images/val2017/\*\.jpg: not in .*\n.*val2017\.zip"),
        ("coco_stuff_164k", "annotations/val2017", r"annotations/val2017.*: not in .*\n.*stuffthingmaps_trainval2017"),
        ("pascal_context_59", "JPEGImages", r"JPEGImages/\*\.jpg: not in .*\n.*VOCtrainval_03-May-2010\.tar"),
        (
            "pascal_context_59",
            "trainval_merged.json",
            r"trainval_merged\.json: not in .*\n.*comes with: trainval_merged",
        ),
    ],
)
def test_missing_parts_are_named_with_their_archive(name: str, gone: str, message: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    TREES[name](root)
    (root / gone).rename(tmp_path / "gone")

    with pytest.raises(InputError, match=message) as caught:
        run(name, root)
    assert "1 of " in str(caught.value)
    assert not list(root.rglob("*TrainIds*"))


def test_folders_that_lie_elsewhere_are_found(tmp_path: Path) -> None:
    root = tmp_path / "bdd100k"
    published.bdd100k(root)

    with pytest.raises(InputError, match=f"all of it is in {root}: is that the root"):
        run("bdd100k", tmp_path)
    with pytest.raises(InputError, match=f"all of it is in {root}: is that the root"):
        run("bdd100k", root / "images")

    (root / "seg/images").mkdir(parents=True)
    (root / "images/10k/train").rename(root / "seg/images/train")
    message = (
        f"{root}/seg/images/train holds such files: is it images/10k/train. Then move it to {root}/images/10k/train"
    )
    with pytest.raises(InputError, match=message):
        run("bdd100k", root)

    with pytest.raises(InputError, match="there is no such folder"):
        run("bdd100k", tmp_path / "nowhere")


def test_annotations_that_break_the_rule_are_named_and_the_others_made(tmp_path: Path) -> None:
    published.coco_stuff_164k(tmp_path)
    published.write_mask(tmp_path / "annotations/train2017/000000000000.png", [[11, 200]])
    (tmp_path / "annotations/train2017/000000000001.png").write_bytes(b"this is no PNG")

    with pytest.raises(InputError) as caught:
        run("coco_stuff_164k", tmp_path)

    lines = str(caught.value).splitlines()
    assert lines[0] == f"2 problems in the annotations at {tmp_path}"
    assert lines[1] == "  annotations/train2017/000000000000.png: unknown label 11, 200"
    assert lines[2].startswith("  annotations/train2017/000000000001.png: not a label map that can be decoded")
    assert [path.name for path in tmp_path.rglob("*TrainIds.png")] == ["000000000000_labelTrainIds.png"]


def test_photo_without_annotation_is_named(tmp_path: Path) -> None:
    published.cityscapes(tmp_path)
    published.write_photo(tmp_path / "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png")

    with pytest.raises(InputError, match=r"aachen_000001_000019_leftImg8bit\.png: the image has no label map"):
        run("cityscapes", tmp_path)


@pytest.mark.parametrize(
    ("name", "path", "value", "message"),
    [
        ("ade20k", "annotations/training/ADE_00000000.png", 151, "label 151 is none of the 150 classes"),
        ("bdd100k", "labels/sem_seg/masks/val/00000000-abc.png", 19, "label 19 is none of the 19 classes"),
    ],
)
def test_label_maps_of_another_kind_are_noticed(name: str, path: str, value: int, message: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    published.write_mask(tmp_path / path, [[0, value]])

    with pytest.raises(InputError, match=message):
        run(name, tmp_path)


def test_pascal_context_of_another_structure_is_refused(tmp_path: Path) -> None:
    published.pascal_context_59(tmp_path)
    (tmp_path / "trainval_merged.json").write_text(json.dumps({"images": []}))

    with pytest.raises(InputError, match=r"trainval_merged\.json: not the annotations of Pascal Context: KeyError"):
        run("pascal_context_59", tmp_path)
