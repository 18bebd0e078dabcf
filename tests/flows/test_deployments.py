"""Which deployments an experiment has, and with what parameters; no server is needed to make them."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.deployments import Options, code_version, make_deployments
from flows.experiment import load_experiment
from flows.work_pools import Pools
from tasks.errors import InputError

EXPERIMENTS = Path(__file__).parents[2] / "configs" / "experiments"
STAGES = ("index", "describe", "embed", "cluster", "train", "evaluate")


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(tmp_path / "store", cron="0 4 * * sun", timeout=60.0, tags=("night",))


def test_names_do_not_collide(options: Options) -> None:
    made = make_deployments([EXPERIMENTS / "demo.yaml", EXPERIMENTS / "camvid.yaml"], options)

    flows = ("prolab-pipeline", *STAGES, "promote")
    assert [item.full_name for item in made] == [f"{flow}/{name}" for name in ("demo", "camvid") for flow in flows]
    assert {item.version for item in made} == {code_version()}
    assert {tuple(item.tags) for item in made} == {("prolab", "demo", "night"), ("prolab", "camvid", "night")}


def test_defaults_are_the_experiments_values(options: Options) -> None:
    file = EXPERIMENTS / "demo.yaml"
    made = {item.flow_name: item for item in make_deployments([file], options)}

    train = made["train"]
    assert train.entrypoint == "flows.stages.train"
    assert set(train.parameters) == {"experiment", "store", "timeout", "train"}
    assert train.parameters["experiment"] == str(file)
    assert train.parameters["store"] == str(options.store)
    assert train.parameters["timeout"] == 60.0
    assert train.parameters["train"]["max_iters"] == 300
    assert train.parameters["train"]["contrast"] == 1.0
    assert made["describe"].parameters["describe"]["classes"][:2] == ["sky", "building"]
    assert set(made["prolab-pipeline"].parameters) >= {"dataset", "describe", "embed", "cluster", "train", "evaluate"}


def test_only_the_pipeline_runs_by_itself(options: Options) -> None:
    made = make_deployments([EXPERIMENTS / "demo.yaml"], options)

    assert [item.flow_name for item in made if item.schedules] == ["prolab-pipeline"]


@pytest.mark.parametrize(
    ("experiment", "described"),
    [
        ("demo", {"describe": "demo"}),
        (
            "five_data_sets",
            {
                f"{name}.describe": f"five_data_sets.{name}"
                for name in ("ade20k", "coco_stuff_164k", "pascal_context_59", "cityscapes")
            },
        ),
    ],
)
def test_new_descriptions_start_the_pipeline_where_that_is_wanted(
    options: Options, experiment: str, described: dict[str, str]
) -> None:
    for wanted in (False, True):
        made = make_deployments([EXPERIMENTS / f"{experiment}.yaml"], replace(options, chain=wanted))

        assert {item.flow_name for item in made if item.triggers} == {"prolab-pipeline"}
        triggers = made[0].triggers
        started_by = {one.match["prolab.step"][0]: one.match_related[1]["prefect.resource.name"][0] for one in triggers}
        assert started_by == described
        assert {one.enabled for one in triggers} == {wanted}
        assert [set(one.parameters["pins"]) for one in triggers] == [{step} for step in described]


def test_stages_of_a_joint_experiment_are_called_as_their_data_set(options: Options) -> None:
    made = {item.full_name: item for item in make_deployments([EXPERIMENTS / "five_data_sets.yaml"], options)}

    steps = [step.name for step in load_experiment(EXPERIMENTS / "five_data_sets.yaml").steps()]
    names = [
        f"{stage}/five_data_sets.{member}" if member else f"{stage}/five_data_sets"
        for member, _, stage in (name.rpartition(".") for name in steps)
    ]
    assert list(made) == ["prolab-pipeline/five_data_sets", *names, "promote/five_data_sets"]
    assert set(made["prolab-pipeline/five_data_sets"].parameters) == {
        *("experiment", "store", "timeout"),
        *("cluster", "train"),
    }
    describe = made["describe/five_data_sets.ade20k"]
    assert describe.parameters["member"] == "ade20k"
    assert describe.parameters["describe"]["classes"][:2] == ["wall", "building"]
    assert "ade20k.describe.KEY=VALUE" in describe.description


def test_two_experiments_of_one_name_are_refused(options: Options, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(f"base: {EXPERIMENTS / 'demo.yaml'}\n")

    with pytest.raises(InputError, match=r"other\.yaml: name: another experiment is called 'demo', too"):
        make_deployments([EXPERIMENTS / "demo.yaml", other], options)


def test_a_name_that_prefect_refuses(options: Options, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(f"base: {EXPERIMENTS / 'demo.yaml'}\nname: a/b\n")

    with pytest.raises(InputError, match=r"name: 'a/b': a deployment's name has no /"):
        make_deployments([other], options)


def test_training_and_evaluation_have_a_pool_of_their_own() -> None:
    pools = Pools(gpu="big", cpu="small")

    assert [pools.of(flow) for flow in (*STAGES, "promote")] == ["small"] * 4 + ["big"] * 2 + ["small"]
