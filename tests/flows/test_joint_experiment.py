"""Experiments on several data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from processes import Prolab, rows

from flows import stages
from flows.experiment import JointExperiment, load_experiment
from tasks.cluster import STAGE as CLUSTER
from tasks.errors import InputError
from tests.conftest import REPOSITORY
from tests.squares import CLASSES

EXPERIMENTS = REPOSITORY / "configs" / "experiments"

FIELDS = {
    "lawn": ["Covered in grass", "Neatly mown", "Green in spring"],
    "barn": ["Made of red brick", "Large gate at the front", "Rectangular outline"],
    "lake": ["Filled with water", "Wide open surface", "Mirror-like surface"],
}


@pytest.fixture
def joint(tmp_path: Path) -> Path:
    path = tmp_path / "joint.yaml"
    path.write_text(
        f"""name: joint
join:
  streets: {EXPERIMENTS / "cityscapes.yaml"}
  more: {EXPERIMENTS / "bdd100k.yaml"}
  scenes: {EXPERIMENTS / "ade20k.yaml"}
cluster: {{properties: 300}}
train: {{model: {REPOSITORY / "configs/models/ade20k_vit_adapter_b.py"}, pretrained: null}}
"""
    )
    return path


def test_classes_that_two_data_sets_have_are_described_once(joint: Path) -> None:
    assert {step.name: dict(step.inputs) for step in load_experiment(joint).steps()} == {
        "streets.index": {},
        "streets.describe": {},
        "streets.embed": {"descriptions": "streets.describe"},
        "more.index": {},
        "scenes.index": {},
        "scenes.describe": {},
        "scenes.embed": {"descriptions": "scenes.describe"},
        "cluster": {"streets": "streets.embed", "scenes": "scenes.embed"},
        "train": {
            "streets": "streets.index",
            "more": "more.index",
            "scenes": "scenes.index",
            "label_space": "cluster",
        },
        "streets.evaluate": {"checkpoint": "train", "dataset": "streets.index"},
        "more.evaluate": {"checkpoint": "train", "dataset": "more.index"},
        "scenes.evaluate": {"checkpoint": "train", "dataset": "scenes.index"},
    }


def test_data_sets_that_all_have_the_same_classes_are_joined_too(joint: Path) -> None:
    joint.write_text(joint.read_text().replace(f"  scenes: {EXPERIMENTS / 'ade20k.yaml'}\n", ""))

    steps = {step.name: step for step in load_experiment(joint).steps()}

    assert steps["cluster"].inputs == {"embeddings": "streets.embed"}
    assert steps["cluster"].stage == CLUSTER
    assert set(steps["train"].inputs) == {"streets", "more", "label_space"}


def test_overrides_reach_the_experiment_that_they_name(joint: Path) -> None:
    overrides = ["scenes.describe.attempts=5", "train.max_iters=7", "more.evaluate.precision=bfloat16"]

    experiment = load_experiment(joint, overrides)

    assert isinstance(experiment, JointExperiment)
    assert [member.describe.attempts for member in experiment.join.values()] == [3, 3, 5]
    assert experiment.join["more"].evaluate.precision == "bfloat16"
    assert (experiment.train.max_iters, experiment.train.crop_size) == (7, 512)
    assert experiment.train.base_sizes == {"streets": (2048, 1024), "more": (2048, 1024), "scenes": (2048, 512)}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.max_iter=7"], r"--set train\.max_iter=7: train\.max_iter: unknown key; did you mean 'max_iters'"),
        (
            ["scenes.describe.attempt=5"],
            r"--set scenes\.describe\.attempt=5: scenes\.describe\.attempt: unknown key; did you mean 'attempts'",
        ),
        (["scenes.describe.attempts=x"], r"--set scenes\.describe\.attempts=x: scenes\.describe\.attempts: .*got 'x'"),
        (["scenes.dataset.config=./gone.py"], r"--set scenes\.dataset\.config=.*: scenes\.dataset\.config: .*gone\.py"),
        (["scenes.describe"], r"--set scenes\.describe: expected KEY=VALUE"),
        (["sceens.describe.attempts=5"], r"sceens: unknown key"),
        (["embed.encoder=x"], r"embed: unknown key"),
    ],
)
def test_wrong_keys_are_named(joint: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_experiment(joint, overrides)


@pytest.mark.parametrize(
    ("join", "message"),
    [
        ("{a: ./a.yaml}", "expected two names or more, each with the file of an experiment; got {'a': "),
        ("[./a.yaml, ./b.yaml]", "expected two names or more"),
        ("{a: ./a.yaml, b: {name: b}}", "expected two names or more"),
        ("{train: ./a.yaml, b: ./b.yaml}", "join: train: a section of experiments; name the data set otherwise"),
        ("{a: ./a.yaml, b: ./b.yaml}", r"a\.yaml: no such file"),
        ("{a: ./joint.yaml, b: ./joint.yaml}", r"joint\.yaml: join: unknown key"),
    ],
)
def test_what_cannot_be_joined_is_named(tmp_path: Path, join: str, message: str) -> None:
    path = tmp_path / "joint.yaml"
    path.write_text(f"name: joint\njoin: {join}\ncluster: {{properties: 8}}\n")

    with pytest.raises(InputError, match=message):
        load_experiment(path)


@pytest.fixture
def two_data_sets(real_prolab: Prolab) -> Prolab:
    """Two experiments on coloured squares, which they call by other names, and the one that joins them."""
    folder = real_prolab.folder
    config = (folder / "squares" / "squares.py").read_text()
    (folder / "fields.py").write_text(config.replace(repr(CLASSES), repr(tuple(FIELDS))))
    (folder / "fields.json").write_text(json.dumps(FIELDS))
    meadows = (folder / "experiment.yaml").read_text()
    (folder / "meadows.yaml").write_text(meadows)
    (folder / "fields.yaml").write_text(
        "base: ./meadows.yaml\nname: fields\ndataset: {config: ./fields.py}\n"
        "describe: {provider: {type: file, path: ./fields.json}}\n"
    )
    (folder / "experiment.yaml").write_text(
        f"name: joint\njoin: {{meadows: ./meadows.yaml, fields: ./fields.yaml}}\n"
        f"cluster: {{properties: 10}}\ntrain:{meadows.partition('train:')[2].partition('evaluate:')[0]}"
    )
    return real_prolab


@pytest.mark.slow
def test_single_stages_run_as_flows(two_data_sets: Prolab, prefect_environment: dict[str, str]) -> None:
    experiment, store = two_data_sets.folder / "experiment.yaml", two_data_sets.folder / "store"

    def run(flow: Any, **parameters: Any) -> Any:
        return flow(experiment=experiment, store=store, return_state=True, **parameters)

    with temporary_settings({PREFECT_API_URL: prefect_environment["PREFECT_API_URL"]}):
        (described,) = run(stages.describe, member="fields", overrides=["fields.describe.attempts=2"]).result()
        changed = {"provider": {"type": "file", "path": str(two_data_sets.folder / "squares.json")}}
        refused = run(stages.describe, member="fields", describe=changed)
        no_data_set = run(stages.describe)
        no_version = run(stages.cluster, inputs={"meadows": "3fa9", "fields": "3fa9"})
        no_input = run(stages.cluster, embeddings="3fa9")
        APILogWorker.drain_all()
        EventsWorker.drain_all()

    assert (described.stage, described.artifact.manifest.parameters["attempts"]) == ("fields.describe", 2)
    assert "lawn" in refused.message
    assert "has no stage describe; did you mean 'fields.describe'? accepted are meadows.index, " in no_data_set.message
    assert no_version.message.startswith("--pin meadows.embed=3fa9: ")
    assert no_input.message == "embeddings: no input of the stage cluster; accepted are meadows, fields"


@pytest.mark.slow
def test_one_network_is_trained_on_two_data_sets(two_data_sets: Prolab) -> None:
    waiting = two_data_sets.plan()
    assert waiting["cluster"][2:] == ["-", "waits for meadows.embed, fields.embed"]
    first = two_data_sets.states()
    assert set(first.values()) == {"Built"}
    assert list(first)[-4:] == ["cluster", "train", "meadows.evaluate", "fields.evaluate"]

    version = two_data_sets.summary()["train"][2]
    refused = two_data_sets("export", version, "fields.onnx")
    assert "--dataset: expected one of meadows, fields" in refused.stderr

    changed = two_data_sets.states("--set", "fields.evaluate.precision=bfloat16")
    assert [step for step, state in changed.items() if state == "Built"] == ["fields.evaluate"]

    texts = FIELDS | {"lake": [*FIELDS["lake"], "Surrounded by reeds"]}
    (two_data_sets.folder / "fields.json").write_text(json.dumps(texts))
    only = two_data_sets("run", "experiment.yaml", "--only", "fields.describe")
    assert list(rows(only.stdout)) == ["fields.describe"], only.stderr
    changed = two_data_sets.states()
    assert [step for step, state in changed.items() if state == "Built"] == [
        "fields.embed",
        "cluster",
        "train",
        "meadows.evaluate",
        "fields.evaluate",
    ]
