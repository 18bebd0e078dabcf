"""Messages about wrong settings."""

from pathlib import Path

import pytest
from tiny.experiment import TinyExperiment

from flows.settings import read_settings
from flows.validation import suggest, validate_settings
from tasks.errors import InputError


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text("name: x\ndataset: {names: [a]}\ndescribe: {}\ncluster: {}\ntrain: {}\n")
    return path


def complaints(experiment: Path, *overrides: str) -> list[str]:
    with pytest.raises(InputError) as error:
        validate_settings(read_settings(experiment, overrides), TinyExperiment, source="experiment.yaml")
    return str(error.value).splitlines()


def test_good_settings(experiment: Path) -> None:
    settings = read_settings(experiment, ["train.lr=2e-5", "describe.provider={type: file, path: x}"])

    validated = validate_settings(settings, TinyExperiment, source="experiment.yaml")

    assert validated.train.lr == 2e-5
    assert validated.describe.provider.path == Path("x")


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("trian={}", "trian: unknown key; did you mean 'train'? accepted are name, dataset, describe, cluster, train"),
        ("train.lrr=1", "train.lrr: unknown key; did you mean 'lr'? accepted are lr, fail, megabytes"),
        (
            "describe.provider={type: llm, modle: x, model: y}",
            "describe.provider.modle: unknown key; did you mean 'model'? accepted are type, model, temperature",
        ),
        (
            "describe.provider={type: fil}",
            "describe.provider.type: got 'fil'; did you mean 'file'? accepted are llm, file",
        ),
        ("describe.provider={model: x}", "describe.provider.type: missing; it has no default"),
        ("describe.provider={type: llm}", "describe.provider.model: missing; it has no default"),
        ("cluster.names=medoit", "cluster.names: got 'medoit'; did you mean 'medoid'? accepted are medoid, llm"),
        ("cluster.properties=0", "cluster.properties: Input should be greater than 0, got 0"),
        ("describe.classes=[sky, 3]", "describe.classes.1: Input should be a valid string, got 3"),
    ],
)
def test_complaint_names_the_place_the_key_the_value_and_what_is_accepted(
    experiment: Path, override: str, complaint: str
) -> None:
    assert complaints(experiment, override) == [f"--set {override}: {complaint}"]


def test_key_of_a_file_is_reported_with_the_file(experiment: Path) -> None:
    experiment.write_text(experiment.read_text().replace("names: [a]", "names: 3"))

    assert complaints(experiment) == [f"{experiment}: dataset.names: Input should be a valid tuple, got 3"]


def test_missing_key_is_reported_with_the_section_that_lacks_it(experiment: Path) -> None:
    experiment.write_text(experiment.read_text().replace("names: [a]", ""))

    assert complaints(experiment) == [f"{experiment}: dataset.names: missing; it has no default"]


def test_all_complaints_come_at_once(experiment: Path) -> None:
    assert len(complaints(experiment, "train.lr=x", "cluster.properties=-1", "nothing=1")) == 3


def test_suggestion_only_where_a_name_is_near() -> None:
    assert suggest("zzz", ["a", "b"]) == "; accepted are a, b"
