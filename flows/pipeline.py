"""The pipeline as a Prefect flow: the same sequence as without Prefect, seen in the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from prefect import State, flow
from prefect.states import Failed

from artifacts import Artifact, Store, StoreError
from flows.experiment import load_experiment
from flows.output import make_progress
from flows.sequence import EVERYTHING, Outcome, Selection, Step, run_sequence
from tasks.errors import InputError
from tasks.execution import StageResult
from tasks.prefect_task import run_stage_as_task
from tasks.progress import Progress


@flow(name="prolab-pipeline", flow_run_name="{experiment.stem}", persist_result=False)
def prolab_pipeline(
    experiment: Path,
    overrides: Sequence[str] = (),
    store: Path = Path("store"),
    selection: Selection = EVERYTHING,
) -> list[Outcome]:
    """Run an experiment's stages; those that the store has are `Cached`.

    Args:
        experiment: the experiment's YAML file.
        overrides: settings such as `train.max_iters=200`.
        store: the store's folder.
        selection: which stages to run, force and pin.
    """
    try:
        artifacts = Store(store)
        steps = load_experiment(experiment, overrides).steps()
        return list(run_sequence(steps, selection, artifacts, _TaskRunner(artifacts, make_progress())))
    except (InputError, StoreError) as error:
        # The cause becomes the state's message; a traceback would say nothing to who can mend it.
        # Prefect takes a state that is returned as the state of the run, which its types do not say.
        return cast("list[Outcome]", Failed(message=str(error), data=error))


class _TaskRunner:
    """Runs steps as Prefect tasks, each linked to the tasks that made its inputs."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._states: dict[str, State[StageResult]] = {}

    def __call__(self, step: Step, inputs: Mapping[str, Artifact], force: bool) -> StageResult:
        after = [self._states[artifact.reference] for artifact in inputs.values() if artifact.reference in self._states]
        state = run_stage_as_task(step.name, step.stage, step.params, inputs, self._store, self._progress, force, after)
        result = state.result()
        self._states[result.artifact.reference] = state
        return result
