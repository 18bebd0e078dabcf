from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prolab_model.config_file import ConfigError
from prolab_model.dataset_config import (
    DatasetConfig,
    default_palette,
    read_dataset_config,
    training_labels,
    validate_dataset_config,
)

REPOSITORY = Path(__file__).resolve().parents[2]


def values(**changes):
    folders = {"img_dir": "images", "ann_dir": "labels"}
    return {"classes": ["sky", "road"], "data": {"train": folders, "val": folders}, **changes}


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("configs/datasets/*.py")), ids=lambda path: path.stem)
def test_our_configs_are_valid(path):
    config = read_dataset_config(path)

    assert len(config.palette) == len(config.classes)


def test_defaults_are_mmsegmentations():
    config = DatasetConfig.model_validate(values())

    assert (config.ignore_index, config.reduce_zero_label) == (255, False)
    assert (config.data["train"].img_suffix, config.data["train"].seg_map_suffix) == (".jpg", ".png")
    assert config.palette == default_palette(2)


def test_default_palette_is_distinct():
    palette = default_palette(150)

    assert len(set(palette)) == 150
    assert np.array(palette).dtype == int and np.min(palette) >= 0 and np.max(palette) <= 255


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": []}, "classes: .*at least 1 item"),
        ({"classes": ["sky", "road", "sky"]}, "classes: class names must differ.*'sky'"),
        ({"classes": ["sky", ""]}, r"classes\.1: .*at least 1 character"),
        ({"palette": [[1, 2, 3]]}, "palette has 1 colours for 2 classes"),
        ({"palette": [[1, 2, 3], [0, 0, 256]]}, r"palette\.1\.2: .*less than or equal to 255; got 256"),
        ({"ignore_index": 1}, "ignore_index 1 is the label of class 'road'"),
        ({"ignore_index": 2, "reduce_zero_label": True}, "ignore_index 2 is the label of class 'road'"),
        ({"ignore_index": -1}, "ignore_index: .*got -1"),
        ({"reduce_zero_lable": True}, "reduce_zero_lable: unknown key; accepted are .*reduce_zero_label"),
        ({"data": {"train": {"img_dir": "a", "ann_dir": "b"}}}, "data: no split 'val'"),
        ({"data": {"train": {"img_dir": "a"}, "val": {}}}, r"data\.train\.ann_dir: Field required"),
        ({"data": {"train": {"img_dirs": "a"}}}, r"data\.train\.img_dirs: unknown key; accepted are img_dir, ann_dir"),
        ({"data": {"training": {}}}, r"data\.training.*: .*'train', 'val' or 'test'"),
        ({"drawn_by": "module"}, "drawn_by: .*got 'module'"),
        ({"dataset_type": "ADE20KDataset"}, "dataset_type: .*'CustomDataset'; got 'ADE20KDataset'"),
    ],
)
def test_errors_name_file_and_key(changes, message):
    with pytest.raises(ConfigError, match=rf"(?s)mine\.py: not a valid data set\n.*{message}"):
        validate_dataset_config(values(**changes), source="mine.py")


def test_values_of_the_files_become_training_labels():
    label = np.array([[0, 1, 10], [11, 3, 255]], np.uint8)

    trained = training_labels(label, ignore_index=11, reduce_zero_label=False)

    assert trained.dtype == np.uint8
    assert_array_equal(trained, [[0, 1, 10], [255, 3, 255]])
    assert_array_equal(label, [[0, 1, 10], [11, 3, 255]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_zero_label_is_reduced_as_mmsegmentation_does(dtype):
    label = np.arange(256, dtype=dtype)

    expected = np.arange(256, dtype=np.uint8)
    expected[expected == 0] = 255
    expected = expected - 1
    expected[expected == 254] = 255
    assert_array_equal(training_labels(label, ignore_index=255, reduce_zero_label=True), expected)


def test_sixteen_bit_ignore_index():
    label = np.array([3, 65535, 0], np.uint16)

    assert_array_equal(training_labels(label, ignore_index=65535, reduce_zero_label=False), [3, 255, 0])


@pytest.mark.parametrize("value", [256, -1])
def test_values_that_do_not_fit_are_refused(value):
    with pytest.raises(ValueError, match=rf"must lie in 0\.\.255, got .*{value}"):
        training_labels(np.array([0, value], np.int32), ignore_index=255, reduce_zero_label=False)


def test_empty_label_map():
    assert training_labels(np.zeros((0, 4), np.uint8), ignore_index=255, reduce_zero_label=True).shape == (0, 4)
