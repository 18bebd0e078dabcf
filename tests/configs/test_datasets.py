"""Names and colours of the published data sets are the published ones."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from prolab_model.dataset_config import read_dataset_config
from tests.conftest import REPOSITORY

DATASETS = REPOSITORY / "configs" / "datasets"

# mmsegmentation's name for the class "tank" is the older one.
PUBLISHED = {
    "ade20k": ("ADE20KDataset", "ade20k", {"storage tank": "tank"}),
    "bdd100k": ("CityscapesDataset", "cityscapes_bdd", {}),
    "cityscapes": ("CityscapesDataset", "cityscapes_bdd", {}),
    "coco_stuff_164k": ("COCOStuffDataset", "coco_stuff_164k", {}),
    "pascal_context_59": ("PascalContextDataset59", "pascal_context_59", {}),
}


@pytest.fixture(scope="module")
def mmseg_datasets() -> ModuleType:
    importlib.import_module("prolab_model.openmmlab")  # fills the gaps that mmseg's import needs filled
    return importlib.import_module("mmseg.datasets")


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_colours_are_mmsegmentations(name: str, mmseg_datasets: ModuleType) -> None:
    config = read_dataset_config(DATASETS / f"{name}.py")
    published, _, renamed = PUBLISHED[name]
    dataset = getattr(mmseg_datasets, published)

    assert [renamed.get(name, name) for name in config.classes] == list(dataset.CLASSES)
    assert [list(colour) for colour in config.palette] == dataset.PALETTE


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_are_those_of_the_papers_descriptions(name: str, shared_data: Path) -> None:
    descriptors = shared_data / "descriptors" / f"descriptors_{PUBLISHED[name][1]}_gpt3.5_cluster.json"

    assert read_dataset_config(DATASETS / f"{name}.py").classes == tuple(json.loads(descriptors.read_text()))


@pytest.mark.parametrize("name", ["camvid", "street_scenes"])
def test_our_own_colours_differ(name: str) -> None:
    palette = read_dataset_config(DATASETS / f"{name}.py").palette

    assert len(set(palette)) == len(palette)
