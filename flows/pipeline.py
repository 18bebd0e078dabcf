"""The pipeline as a Prefect flow: the same sequence as without Prefect, seen in the dashboard."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, cast

import httpx
from prefect import State, flow
from prefect.context import FlowRunContext, SyncClientContext
from prefect.states import Cancelled, Failed
from prefect.task_engine import TaskRunTimeoutError

from artifacts import Artifact, Store, StoreError
from flows.experiment import load_experiment
from flows.form import FormOf, Section
from flows.heartbeat import heartbeat
from flows.interruption import outlive_readers
from flows.output import make_progress
from flows.prefect_api import is_away
from flows.sequence import Outcome, Selection, Step, run_sequence
from flows.stores import make_store
from tasks.cluster import ClusterParams
from tasks.describe import DescribeParams
from tasks.embed import EmbedParams
from tasks.errors import InputError
from tasks.evaluate import EvaluateParams
from tasks.execution import StageResult
from tasks.index import IndexParams
from tasks.prefect_task import find_as_task, run_stage_as_task
from tasks.progress import Progress
from tasks.text import shorten
from tasks.train import TrainParams

_ABOUT_THE_SERVER = ("prefect._internal.concurrency", "prefect.concurrency", "prefect.events.clients")
_LONGEST_COMPLAINT = 160  # letters


@flow(name="prolab-pipeline", flow_run_name="{experiment.stem}", persist_result=False)
def prolab_pipeline(
    experiment: Path,
    overrides: Sequence[str] = (),
    first: str | None = None,
    only: str | None = None,
    force: Sequence[str] = (),
    pins: Mapping[str, str] | None = None,
    dataset: Annotated[Section, FormOf(IndexParams)] = None,
    describe: Annotated[Section, FormOf(DescribeParams)] = None,
    embed: Annotated[Section, FormOf(EmbedParams)] = None,
    cluster: Annotated[Section, FormOf(ClusterParams)] = None,
    train: Annotated[Section, FormOf(TrainParams)] = None,
    evaluate: Annotated[Section, FormOf(EvaluateParams)] = None,
    store: Path | None = None,
    timeout: float | None = None,
) -> list[Outcome]:
    """Run an experiment's stages; those that the store has are `Cached`.

    Args:
        experiment: the experiment's YAML file.
        overrides: settings such as `train.max_iters=200`, on top of the sections below.
        first: run from this stage on; the stages before it must have run.
        only: run this stage; those it depends on must have run.
        force: stages that run although the store has what they would make.
        pins: version or tag to use, by stage that is not to run, such as {"cluster": "production"}.
        dataset: takes the place of the experiment's section.
        describe: takes the place of the experiment's section.
        embed: takes the place of the experiment's section.
        cluster: takes the place of the experiment's section.
        train: takes the place of the experiment's section.
        evaluate: takes the place of the experiment's section.
        store: the store's folder; $PROLAB_STORE or ./store where the flow runs, if not given.
        timeout: seconds that a stage may take at most.
    """
    sections = {
        "dataset": dataset,
        "describe": describe,
        "embed": embed,
        "cluster": cluster,
        "train": train,
        "evaluate": evaluate,
    }
    given = {name: section for name, section in sections.items() if section is not None}
    selection = Selection(first, only, frozenset(force), pins or {})

    def work() -> list[Outcome]:
        steps = load_experiment(experiment, overrides, given).steps()
        return run_as_tasks(steps, selection, open_store(store), timeout)

    return concluded(work)


def open_store(folder: Path | None) -> Store:
    """The store that a flow is told, or else the one of where it runs."""
    return make_store(folder or Path(os.environ.get("PROLAB_STORE", "store")))


def run_as_tasks(steps: Sequence[Step], selection: Selection, store: Store, timeout: float | None) -> list[Outcome]:
    """Run the steps that a user selects as tasks of the present flow run.

    Raises:
        InputError: the selection is wrong, or a stage's input.
        StoreError: the store lacks what is named, or cannot take an artifact.
    """
    outlive_readers()
    for name in _ABOUT_THE_SERVER:
        logging.getLogger(name).addFilter(_in_brief)
    logging.getLogger("prefect.task_runs").addFilter(_says_more_than_the_state)
    tasks = _TaskRunner(store, make_progress(), timeout)
    return list(run_sequence(steps, selection, store, tasks.run, tasks.find))


def concluded(work: Callable[[], list[Outcome]]) -> list[Outcome]:
    """Do the work of a flow run, and say that it lives; what a user can mend ends it in a failed state.

    One that was cancelled and did not hear of it, as when the server was away, is cancelled now that its work is done:
    the server would take no other state, and show it as cancelling for ever.
    """
    try:
        with heartbeat():
            outcomes = work()
    except Exception as error:
        if not _is_no_bug(error):
            raise
        outcomes = failed(error)
        if is_away(error):
            return outcomes  # to ask once more would take another minute
    if _is_to_be_cancelled():
        # Prefect takes a state that is returned as the state of the run, which its types do not say.
        return cast("list[Outcome]", Cancelled(message="it heard of it at its end; the store has what it made"))
    return outcomes


def failed(error: Exception) -> list[Outcome]:
    """The state of a flow run that a user can mend; its message is the cause, where a traceback would say nothing."""
    # A worker's process would log one when it ends, below the cause.
    for name in ("prefect.flow_runs", "prefect.engine"):
        logging.getLogger(name).addFilter(_says_more_than_the_state)
    name = "TimedOut" if isinstance(error, TaskRunTimeoutError) else "Failed"
    message = f"the Prefect server did not answer ({error}); the next run goes on" if is_away(error) else str(error)
    return cast("list[Outcome]", Failed(name=name, message=message, data=error))  # as above


def _is_to_be_cancelled() -> bool:
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None, "called inside a flow"
    with SyncClientContext.get_or_create() as server, suppress(httpx.HTTPError):
        state = server.client.read_flow_run(context.flow_run.id).state
        return state is not None and state.is_cancelling()
    return False


def _is_no_bug(error: BaseException) -> bool:
    return isinstance(error, (InputError, StoreError, TaskRunTimeoutError)) or is_away(error)


def _says_more_than_the_state(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return error is None or not _is_no_bug(error)


def _in_brief(record: logging.LogRecord) -> bool:
    """When the server is away Prefect complains of each event, with all that is in it, and with tracebacks."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or is_away(error):
        record.msg, record.args = shorten(record.getMessage(), _LONGEST_COMPLAINT), ()
        record.exc_info = record.exc_text = None
    return True


class _TaskRunner:
    """Runs steps as Prefect tasks, each linked to the tasks that made its inputs."""

    def __init__(self, store: Store, progress: Progress, timeout: float | None) -> None:
        self._store = store
        self._progress = progress
        self._timeout = timeout
        self._states: dict[str, State[Any]] = {}

    def run(self, step: Step, inputs: Mapping[str, Artifact], force: bool) -> StageResult:
        after = [self._states[artifact.reference] for artifact in inputs.values() if artifact.reference in self._states]
        state = run_stage_as_task(
            step.name, step.stage, step.params, inputs, self._store, self._progress, force, after, self._timeout
        )
        result = state.result()
        self._states[result.artifact.reference] = state
        return result

    def find(self, name: str, find: Callable[[], Artifact]) -> Artifact:
        state = find_as_task(name, find)
        artifact = state.result()
        self._states[artifact.reference] = state
        return artifact
