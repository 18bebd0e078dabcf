"""The real experiments."""

from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts import FileHashes
from flows.experiment import Experiment, load_experiment
from tasks.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted((CONFIGS / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_of_the_repository_is_valid(path: Path) -> None:
    experiment = load_experiment(path)

    assert experiment.train.model.is_file()
    made: dict[str, str] = {}
    for step in experiment.steps():
        assert {name: kind.name for name, kind in step.stage.inputs.items()} == {
            name: made[maker] for name, maker in step.inputs.items()
        }
        made[step.name] = step.stage.output.name
    assert set(made.values()) == {stage.output.name for stage in Experiment.stages.values()}


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


@pytest.fixture
def experiment_with(tmp_path: Path) -> Callable[[str], Path]:
    """An experiment whose network's config ends with the given lines."""

    def write(lines: str) -> Path:
        model = CONFIGS / "models" / "vit_adapter_t.py"
        (tmp_path / "network.py").write_text(f"_base_ = {str(model)!r}\n{lines}\n")
        experiment = tmp_path / "child.yaml"
        experiment.write_text(
            f"base: {CONFIGS / 'experiments' / 'camvid.yaml'}\ntrain:\n  model: ./network.py\n  seed: 3\n"
        )
        return experiment

    return write


def test_the_networks_recipe_holds_where_the_experiment_says_nothing(
    experiment_with: Callable[[str], Path],
) -> None:
    path = experiment_with("train = dict(seed=1, poly_power=1.0, clip_norm=None, base_size=(128, 64))")

    train = load_experiment(path, ["train.poly_power=0.5"]).train

    assert (train.seed, train.poly_power, train.clip_norm, train.base_size) == (3, 0.5, None, (128, 64))
    assert load_experiment(path, ["train.clip_norm=2", "train.base_size=null"]).train.clip_norm == 2


def test_a_recipe_counts_by_its_values(experiment_with: Callable[[str], Path]) -> None:
    hashes = FileHashes(Path("unused"))

    recipe = load_experiment(experiment_with("train = dict(poly_power=1.0)"), ["train.pretrained=null"]).train
    override = load_experiment(experiment_with(""), ["train.pretrained=null", "train.poly_power=1"]).train

    assert recipe.identity() == override.identity()
    assert recipe.external(hashes) == override.external(hashes)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("train = dict(poly_powers=1.0)", r"network\.py: train\.poly_powers: unknown key; did you mean 'poly_power'\?"),
        ("train = dict(poly_power=0)", r"network\.py: train\.poly_power: .*greater than 0, got 0"),
        ("train = dict(base_size=(64, 128))", r"network\.py: train\.base_size: expected two sides, the long"),
        ("train = 3", r"child\.yaml: train\.model: .*network\.py: train: expected a dict of parameters, got 3"),
    ],
)
def test_wrong_recipes_are_named_with_their_file(
    experiment_with: Callable[[str], Path], lines: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_experiment(experiment_with(lines))


def test_missing_network_is_named() -> None:
    with pytest.raises(InputError, match=r"--set train\.model=gone\.py: train\.model: .*not found: .*gone\.py"):
        load_experiment(CONFIGS / "experiments" / "camvid.yaml", ["train.model=gone.py"])


def test_an_evaluation_beside_which_the_figures_stand_comes_from_the_store() -> None:
    path = CONFIGS / "experiments" / "camvid.yaml"

    evaluate = load_experiment(path, ["evaluate.baseline=one_hot"]).steps()[-1]
    assert evaluate.stored == {"baseline": "evaluation:one_hot"}
    assert set(evaluate.stage.inputs) == {"checkpoint", "dataset", "baseline"}
    joint = load_experiment(CONFIGS / "experiments" / "five_data_sets.yaml", ["ade20k.evaluate.baseline=one_hot"])
    stored = {step.name: dict(step.stored) for step in joint.steps() if step.stored}
    assert stored == {"ade20k.evaluate": {"baseline": "evaluation:one_hot"}}
