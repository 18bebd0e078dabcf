"""Flows that run one stage alone, as `prolab run --only` does, and one that names a version.

Each is called as its stage. Inputs that are not named by version or tag are those that the experiment's parameters lead
to, and must have been made.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from prefect import Flow, State, flow
from prefect.states import Completed, Failed

from artifacts import StoreError
from flows.experiment import load_experiment
from flows.form import FormOf, Section
from flows.pipeline import failed, open_store, run_as_tasks
from flows.sequence import Outcome, Selection, Step
from flows.validation import suggest
from tasks.cluster import STAGE as CLUSTER
from tasks.describe import STAGE as DESCRIBE
from tasks.embed import STAGE as EMBED
from tasks.errors import InputError
from tasks.evaluate import STAGE as EVALUATE
from tasks.index import STAGE as INDEX
from tasks.stage import Stage
from tasks.train import STAGE as TRAIN

_PARAMETERS = """{description}.

Args:
    experiment: the experiment's YAML file.
    {section}: takes the place of the experiment's section.
{inputs}
    overrides: settings such as `train.max_iters=200`, as of `prolab run --set`, on top of the section.
    force: run although the store has what would be made.
    store: the store's folder; $PROLAB_STORE or ./store where the flow runs, if not given.
    timeout: seconds that the stage may take at most.
"""
_INPUT = "    {name}: version or tag; the one that the experiment leads to, if not given."


def stage_flow(section: str, stage: Stage) -> Flow[..., list[Outcome]]:
    """The flow that runs a stage whose parameters are the experiment's `section`."""

    def run(**parameters: Any) -> list[Outcome]:
        values = parameters.pop(section)
        inputs = {name: parameters.pop(name) for name in stage.inputs}
        return _run(stage, {section: values} if values is not None else {}, inputs, **parameters)

    def parameter(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

    signature = inspect.Signature(
        [
            parameter("experiment", Path, inspect.Parameter.empty),
            parameter(section, Annotated[Section, FormOf(stage.params)]),
            *(parameter(name, str | None) for name in stage.inputs),
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
    )
    # Prefect reads the parameters from it.
    run.__signature__ = signature  # type: ignore[attr-defined]  # any function may have one, which mypy does not know
    return flow(name=stage.name, flow_run_name="{experiment.stem}", persist_result=False)(run)


def _run(
    stage: Stage,
    sections: dict[str, Any],
    inputs: dict[str, str | None],
    experiment: Path,
    overrides: Sequence[str],
    force: bool,
    store: Path | None,
    timeout: float | None,
) -> list[Outcome]:
    try:
        steps = load_experiment(experiment, overrides, sections).steps()
        step = _step(steps, stage.name, experiment)
        pins = {
            step.inputs[name]: reference.removeprefix(f"{stage.inputs[name].name}:")
            for name, reference in inputs.items()
            if reference is not None
        }
        selection = Selection(only=step.name, force=frozenset([step.name] if force else []), pins=pins)
        return run_as_tasks(steps, selection, open_store(store), timeout)
    except (InputError, StoreError) as error:
        return failed(error)


def _step(steps: Sequence[Step], name: str, experiment: Path) -> Step:
    for step in steps:
        if step.name == name:
            return step
    raise InputError(f"{experiment} has no stage {name}{suggest(name, [step.name for step in steps])}")


index = stage_flow("dataset", INDEX)
describe = stage_flow("describe", DESCRIBE)
embed = stage_flow("embed", EMBED)
cluster = stage_flow("cluster", CLUSTER)
train = stage_flow("train", TRAIN)
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
        promoted = opened.resolve(artifact)
        opened.tag(promoted, tag)
    except StoreError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{promoted.kind}:{tag} is {promoted.reference}", data=promoted.reference)
