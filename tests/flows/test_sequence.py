"""Which stages run, on tiny stages in this process."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tiny.experiment import TinyExperiment
from tiny.stages import LABEL_SPACE, TrainParams

from artifacts import Artifact, NotFoundError, Store
from flows.sequence import EVERYTHING, Selection, Step, plan_sequence, run_sequence
from tasks.errors import InputError
from tasks.execution import StageResult, run_stage
from tasks.progress import SilentProgress


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def steps(model: str = "a", properties: int = 2) -> list[Step]:
    return TinyExperiment.model_validate(
        {
            "name": "tiny",
            "dataset": {"names": ["first.jpg"]},
            "describe": {"provider": {"type": "llm", "model": model}},
            "cluster": {"properties": properties},
            "train": {},
        }
    ).steps()


def run(store: Store, steps: list[Step], selection: Selection = EVERYTHING) -> dict[str, str]:
    def run_step(step: Step, inputs: Mapping[str, Artifact], force: bool) -> StageResult:
        return run_stage(step.stage, step.params, inputs, store, SilentProgress(), force)

    return {outcome.stage: outcome.state for outcome in run_sequence(steps, selection, store, run_step)}


def plan(store: Store, steps: list[Step], selection: Selection = EVERYTHING) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {forecast.stage: (forecast.state, forecast.reasons) for forecast in plan_sequence(steps, selection, store)}


def version(store: Store, reference: str) -> str:
    return store.resolve(reference).version


def test_first_and_second_run(store: Store) -> None:
    assert set(run(store, steps()).values()) == {"Built"}
    assert set(run(store, steps()).values()) == {"Cached"}


def test_only_one_stage_and_what_it_depends_on(store: Store) -> None:
    run(store, steps())

    assert run(store, steps(properties=3), Selection(only="cluster")) == {"describe": "Cached", "cluster": "Built"}


def test_only_fails_where_an_upstream_artifact_is_missing(store: Store) -> None:
    with pytest.raises(InputError, match="--only cluster needs the descriptions of stage describe"):
        run(store, steps(), Selection(only="cluster"))

    assert store.list() == []


def test_from_a_stage_on(store: Store) -> None:
    run(store, steps())
    expected = {"index": "Cached", "describe": "Cached", "cluster": "Built", "train": "Built"}

    assert run(store, steps(properties=3), Selection(first="cluster")) == expected
    with pytest.raises(InputError, match="--from cluster needs the descriptions of stage describe"):
        run(store, steps(model="c"), Selection(first="cluster"))


def test_force_runs_a_stage_again_and_only_what_changes_behind_it(store: Store) -> None:
    run(store, steps())
    before = version(store, "descriptions")

    states = run(store, steps(), Selection(force=frozenset({"describe"})))

    assert states == {"index": "Cached", "describe": "Built", "cluster": "Cached", "train": "Cached"}
    assert version(store, "descriptions") == before


def test_pinned_version_is_used_and_what_only_it_reads_does_not_run(store: Store) -> None:
    run(store, steps(model="a"))
    old = version(store, "label_space")
    run(store, steps(model="c"))

    states = run(store, steps(model="never asked"), Selection(pins={"cluster": old}))

    assert states == {"index": "Cached", "cluster": "Pinned", "train": "Cached"}


def test_pin_by_tag(store: Store) -> None:
    run(store, steps())
    store.tag(store.resolve("descriptions"), "good")

    assert run(store, steps(model="c"), Selection(pins={"describe": "good"}))["describe"] == "Pinned"


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(first="trian"), "--from trian: no such stage; did you mean 'train'?"),
        (Selection(force=frozenset({"x"})), "--force x: no such stage; accepted are index, describe, cluster, train"),
        (Selection(first="train", only="train"), "exclude each other"),
        (Selection(only="index", force=frozenset({"train"})), "--force train: the other options leave this stage out"),
        (Selection(only="index", pins={"describe": "x"}), "--pin describe=x: the other options leave no stage"),
    ],
)
def test_selections_that_cannot_be_meant(store: Store, selection: Selection, message: str) -> None:
    for go in (run, plan):
        with pytest.raises(InputError) as error:
            go(store, steps(), selection)
        assert message in str(error.value)


def test_pin_of_an_unknown_version(store: Store) -> None:
    for go in (run, plan):
        with pytest.raises(NotFoundError, match="--pin cluster=abc"):
            go(store, steps(), Selection(pins={"cluster": "abc"}))


def test_plan_of_an_empty_store(store: Store) -> None:
    assert plan(store, steps()) == {
        "index": ("Runs", ("index has not run yet",)),
        "describe": ("Runs", ("describe has not run yet",)),
        "cluster": ("Waits", ("waits for describe",)),
        "train": ("Waits", ("waits for index, cluster",)),
    }


def test_plan_says_which_part_of_the_key_changed(store: Store) -> None:
    run(store, steps())

    forecast = plan(store, steps(properties=3))

    assert forecast["describe"] == ("Cached", ())
    assert forecast["cluster"] == ("Runs", ("parameters.properties: 2 -> 3",))
    assert forecast["train"] == ("Waits", ("waits for cluster",))


def test_plan_of_selections(store: Store) -> None:
    run(store, steps())

    assert plan(store, steps(), Selection(force=frozenset({"train"})))["train"] == ("Runs", ("forced",))
    pinned = plan(store, steps(model="c"), Selection(pins={"cluster": version(store, "label_space")}))
    assert pinned == {"index": ("Cached", ()), "cluster": ("Pinned", ()), "train": ("Cached", ())}
    missing = plan(store, steps(model="c"), Selection(first="train"))
    assert missing["describe"][0] == "Missing"
    assert missing["train"] == ("Waits", ("waits for cluster",))


def test_plan_changes_nothing(store: Store) -> None:
    plan(store, steps())

    assert store.list() == []


def beside(reference: str) -> list[Step]:
    """The steps, where the last one reads a stored label space, too."""
    *before, train = steps()
    stage = replace(train.stage, inputs={**train.stage.inputs, "other": LABEL_SPACE})
    return [*before, replace(train, stage=stage, stored={"other": reference})]


def test_a_step_reads_what_is_stored_and_runs_again_when_that_changes(store: Store) -> None:
    run(store, steps(properties=3))
    store.tag(store.resolve("label_space"), "other")
    assert run(store, beside("label_space:other"))["train"] == "Built"
    read = store.resolve("checkpoint").manifest.inputs["other"]
    assert read.version == store.resolve("label_space:other").version
    assert plan(store, beside("label_space:other"))["train"] == ("Cached", ())
    store.tag(store.resolve("label_space:latest"), "other")
    assert plan(store, beside("label_space:other"))["train"][0] == "Runs"


def test_what_a_step_reads_from_the_store_is_looked_for_before_anything_runs(store: Store) -> None:
    with pytest.raises(NotFoundError, match=r"train.other: "):
        run(store, beside("label_space:absent"))
    assert store.list() == []
    run(store, steps())
    with pytest.raises(NotFoundError, match=r"train.other: label_space:absent names no artifact"):
        plan(store, beside("label_space:absent"))


class Helping(TrainParams):
    def publishes(self) -> bool:
        return False


def test_a_machine_that_only_helps_ends_before_what_another_one_publishes(store: Store) -> None:
    *before, train = steps()
    helping = [*before, replace(train, params=Helping())]
    forced = Selection(force=frozenset(["train"]))

    assert run(store, helping) == {"index": "Built", "describe": "Built", "cluster": "Built"}
    assert store.list("checkpoint") == []
    assert not any(store.root.glob("workspaces/*"))
    run(store, steps())
    assert run(store, helping)["train"] == "Cached"
    assert "train" not in run(store, helping, forced)
