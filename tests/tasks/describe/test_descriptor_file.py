import json
from pathlib import Path

import pytest

from artifacts import Store
from tasks.describe import STAGE, DescribeParams
from tasks.describe.descriptor_file import read_descriptors
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.progress import SilentProgress


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "descriptors.json"
    path.write_text(json.dumps({"bed ": ["Soft.", "Soft.", "Flat"], "traffic light": ["Red"], "sky": []}))
    return path


def test_texts_stay_word_for_word_and_repeats_go(path: Path) -> None:
    assert [item.phrases for item in read_descriptors(path, ["traffic light", "bed "])] == [("Red",), ("Soft.", "Flat")]


def test_missing_classes_are_named_with_the_nearest_names(path: Path) -> None:
    with pytest.raises(InputError, match=r"class 'bed' \(nearest names: 'bed '\); class 'zebra' \(no similar"):
        read_descriptors(path, ["bed", "zebra"])


def test_a_class_without_descriptions_is_named(path: Path) -> None:
    with pytest.raises(InputError, match="no descriptions for 'sky'"):
        read_descriptors(path, ["bed ", "sky"])


@pytest.mark.parametrize("content", ["{", "[]", '{"a": "b"}'])
def test_a_file_of_another_form_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"wrong\.json"):
        read_descriptors(path, ["a"])


def test_the_key_follows_the_content_and_not_the_place(path: Path, tmp_path: Path) -> None:
    def run(path: Path) -> bool:
        params = DescribeParams(classes=("bed ",), provider={"type": "file", "path": path})
        return run_stage(STAGE, params, {}, store, SilentProgress()).hit

    store = Store(tmp_path / "store")
    assert not run(path)
    moved = path.rename(tmp_path / "moved.json")
    assert run(moved)
    moved.write_text(json.dumps({"bed ": ["Hard"]}))
    assert not run(moved)
    with pytest.raises(InputError, match="no descriptor file"):
        run(path)


def test_the_released_descriptors_of_ade20k(shared_data: Path) -> None:
    path = shared_data / "descriptors" / "descriptors_ade20k_gpt3.5_cluster.json"
    described = read_descriptors(path, list(json.loads(path.read_text())))
    assert len(described) == 150
    assert sum(len(item.phrases) for item in described) == 1478
