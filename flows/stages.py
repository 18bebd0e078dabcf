"""Flows that run one stage alone, as `prolab run --only` does, and one that names a version.

Each is called as its stage. Inputs that are not named by version or tag are those that the experiment's parameters lead
to, and must have been made. In a joint experiment a stage that runs for each data set is told for which.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from prefect import Flow, State, flow
from prefect.states import Completed, Failed

from artifacts import StoreError
from flows.experiment import load_experiment
from flows.form import FormOf, Section
from flows.pipeline import concluded, open_store, run_as_tasks
from flows.sequence import Outcome, Selection, Step
from flows.validation import suggest
from tasks.cluster import STAGE as CLUSTER
from tasks.describe import STAGE as DESCRIBE
from tasks.embed import STAGE as EMBED
from tasks.errors import InputError
from tasks.evaluate import STAGE as EVALUATE
from tasks.index import STAGE as INDEX
from tasks.prefect_task import find_as_task
from tasks.stage import Stage
from tasks.train import STAGE as TRAIN

_PARAMETERS = """{description}.

Args:
    experiment: the experiment's YAML file.
    {section}: takes the place of the experiment's section.
{inputs}
{joint}
    overrides: settings such as `train.max_iters=200`, as of `prolab run --set`, on top of the section.
    force: run although the store has what would be made.
    store: the store's folder; $PROLAB_STORE or ./store where the flow runs, if not given.
    timeout: seconds that the stage may take at most.
"""
_INPUT = "    {name}: version or tag; the one that the experiment leads to, if not given."
_MEMBER = "    member: in a joint experiment, the data set, by the name that stands before its stages."
_INPUTS = "    inputs: in a joint experiment, version or tag by data set, as above."


def stage_flow(section: str, stage: Stage, *, reads_all: bool = False) -> Flow[..., list[Outcome]]:
    """The flow that runs a stage.

    Args:
        section: the experiment's section with its parameters.
        stage: the stage.
        reads_all: in a joint experiment it runs once, and reads all data sets.
    """

    def run(**parameters: Any) -> list[Outcome]:
        values = parameters.pop(section)
        named = {name: parameters.pop(name) for name in stage.inputs}
        inputs = {**named, **(parameters.pop("inputs", None) or {})}
        member = parameters.pop("member", None)
        prefix = f"{member}." if member else ""
        sections = {f"{prefix}{section}": values} if values is not None else {}
        return _run(f"{prefix}{stage.name}", sections, inputs, **parameters)

    def parameter(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

    joint = parameter("inputs", Mapping[str, str] | None) if reads_all else parameter("member", str | None)
    signature = inspect.Signature(
        [
            parameter("experiment", Path, inspect.Parameter.empty),
            parameter(section, Annotated[Section, FormOf(stage.params)]),
            *(parameter(name, str | None) for name in stage.inputs),
            joint,
            parameter("overrides", Sequence[str], ()),
            parameter("force", bool, False),
            parameter("store", Path | None),
            parameter("timeout", float | None),
        ]
    )
    run.__name__ = run.__qualname__ = stage.name
    run.__doc__ = _PARAMETERS.format(
        description=stage.description,
        section=section,
        inputs="\n".join(_INPUT.format(name=name) for name in stage.inputs),
        joint=_INPUTS if reads_all else _MEMBER,
    )
    # Prefect reads the parameters from it.
    run.__signature__ = signature  # type: ignore[attr-defined]  # any function may have one, which mypy does not know
    return flow(name=stage.name, flow_run_name="{experiment.stem}", persist_result=False)(run)


def _run(
    name: str,
    sections: dict[str, Any],
    inputs: dict[str, str | None],
    experiment: Path,
    overrides: Sequence[str],
    force: bool,
    store: Path | None,
    timeout: float | None,
) -> list[Outcome]:
    def work() -> list[Outcome]:
        steps = load_experiment(experiment, overrides, sections).steps()
        step = _step(steps, name, experiment)
        selection = Selection(only=name, force=frozenset([name] if force else []), pins=_pins(step, inputs))
        return run_as_tasks(steps, selection, open_store(store), timeout)

    return concluded(work)


def _step(steps: Sequence[Step], name: str, experiment: Path) -> Step:
    for step in steps:
        if step.name == name:
            return step
    raise InputError(f"{experiment} has no stage {name}{suggest(name, [step.name for step in steps])}")


def _pins(step: Step, inputs: Mapping[str, str | None]) -> dict[str, str]:
    """Versions or tags of the steps that make the inputs, by their names."""
    given = {name: reference for name, reference in inputs.items() if reference is not None}
    for name in given:
        if name not in step.inputs:
            raise InputError(f"{name}: no input of the stage {step.name}{suggest(name, step.inputs)}")
    return {
        step.inputs[name]: reference.removeprefix(f"{step.stage.inputs[name].name}:")
        for name, reference in given.items()
    }


index = stage_flow("dataset", INDEX)
describe = stage_flow("describe", DESCRIBE)
embed = stage_flow("embed", EMBED)
cluster = stage_flow("cluster", CLUSTER, reads_all=True)
train = stage_flow("train", TRAIN, reads_all=True)
evaluate = stage_flow("evaluate", EVALUATE)

STAGE_FLOWS = {
    "dataset": index,
    "describe": describe,
    "embed": embed,
    "cluster": cluster,
    "train": train,
    "evaluate": evaluate,
}
"""The flow of each section of an experiment, in the order in which they run."""


@flow(name="promote", flow_run_name="{artifact} to {tag}", persist_result=False)
def promote(artifact: str, tag: str = "production", store: Path | None = None) -> State[str]:
    """Name a version, such as a label space or a checkpoint; deployments can then take it by that name.

    Args:
        artifact: KIND:VERSION or KIND:TAG; KIND alone is the one made last.
        tag: the name.
        store: the store's folder; $PROLAB_STORE or ./store where the flow runs, if not given.
    """
    try:
        opened = open_store(store)
        promoted = find_as_task(artifact, partial(opened.resolve, artifact)).result()
        opened.tag(promoted, tag)
    except StoreError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{promoted.kind}:{tag} is {promoted.reference}", data=promoted.reference)
