from pathlib import Path

import pytest

from prolab_model.dataset_config import read_dataset_config
from tasks.describe.names import spoken_name, spoken_names
from tests.conftest import REPOSITORY

DATASETS = sorted((REPOSITORY / "configs" / "datasets").glob("*.py"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("traffic_light", "traffic light"),
        ("bed ", "bed"),
        ("sign symbol", "sign symbol"),
        ("building-other", "building"),
        ("door-stuff", "door"),
        ("pottedplant", "potted plant"),
        ("tvmonitor", "TV monitor"),
        ("ceiling-tile", "tiled ceiling"),
        ("floor-marble", "marble floor"),
        ("wall-brick", "brick wall"),
        ("wall-panel", "panelled wall"),
        ("floor-wood", "wooden floor"),
        ("window-blind", "window blind"),
        ("structural-other", "structural part of a building"),
        ("t-shirt", "t-shirt"),
    ],
)
def test_class_names_are_said_as_a_person_would(name: str, said: str) -> None:
    assert spoken_name(name) == said


def test_the_rest_of_a_class_is_other_only_beside_the_class_itself() -> None:
    assert spoken_names(["building-other", "wall-other", "wall"]) == {
        "building-other": "building",
        "wall-other": "other wall",
        "wall": "wall",
    }


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_no_two_classes_of_a_data_set_are_said_alike(path: Path) -> None:
    classes = read_dataset_config(path).classes
    spoken = spoken_names(classes)
    assert len({said.casefold() for said in spoken.values()}) == len(classes)
    assert not any(mark in said for said in spoken.values() for mark in ("_", "-other", "-stuff", "  "))
