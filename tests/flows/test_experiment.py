"""The real experiments."""

from pathlib import Path

import pytest

from flows.experiment import Experiment, load_experiment
from tasks.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted((CONFIGS / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_of_the_repository_is_valid(path: Path) -> None:
    experiment = load_experiment(path)

    assert [step.stage.name for step in experiment.steps()] == [
        "index",
        "describe",
        "embed",
        "cluster",
        "train",
        "evaluate",
    ]
    assert experiment.train.model.is_file()


def test_every_input_is_made_by_an_earlier_stage() -> None:
    made: set[str] = set()
    for stage in Experiment.stages.values():
        assert {kind.name for kind in stage.inputs.values()} <= made
        made.add(stage.output.name)


def test_classes_come_from_the_data_set() -> None:
    path = CONFIGS / "experiments" / "camvid.yaml"

    assert load_experiment(path).describe.classes[:3] == ("sky", "building", "pole")
    assert load_experiment(path, ["describe.classes=[a, b]"]).describe.classes == ("a", "b")


def test_missing_data_set_config_is_named() -> None:
    path = CONFIGS / "experiments" / "camvid.yaml"

    with pytest.raises(InputError, match=r"--set dataset.config=nowhere.py: dataset.config: .*nowhere.py"):
        load_experiment(path, ["dataset.config=nowhere.py"])


def test_empty_sections_take_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "child.yaml"
    path.write_text(f"base: {CONFIGS / 'experiments' / 'camvid.yaml'}\nevaluate:\n")

    assert load_experiment(path).evaluate.split == "val"
