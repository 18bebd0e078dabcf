"""The one place where a stage becomes a Prefect task; `prefect_pages` and `prefect_progress` are what it shows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from prefect import State, Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import TaskRun
from prefect.context import SyncClientContext, TaskRunContext
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound
from prefect.logging.handlers import APILogHandler
from prefect.states import Completed, Failed

from artifacts import Artifact, Store, StoreError, UnreachableError
from tasks.describe.answers import ProviderError
from tasks.errors import InputError
from tasks.execution import StageResult, plan_stage, run_stage
from tasks.logs import logs_sent_to
from tasks.prefect_pages import publish_pages
from tasks.prefect_progress import DashboardProgress
from tasks.progress import Progress
from tasks.stage import Stage, StageParams

PUBLISHED = "prolab.artifact.published"
"""The event that a stage published a version; the labels `prolab.step` and `prolab.version` say which."""

_SECONDS_BEFORE_RETRIES = (10.0, 30.0, 90.0)


def run_stage_as_task(
    name: str,
    stage: Stage,
    params: StageParams,
    inputs: Mapping[str, Artifact],
    store: Store,
    progress: Progress,
    force: bool = False,
    after: Sequence[State[StageResult]] = (),
    timeout: float | None = None,
) -> State[StageResult]:
    """Run a stage as a Prefect task inside a flow.

    The state is `Cached` when the store had the artifact. What the user can mend gives a failed state
    with the cause as its message, everything else a failed state with the traceback in the log. What may pass by
    itself is tried again: a language model's server, or the store's remote, that does not answer.

    Args:
        name: what users call the step.
        stage: the stage.
        params: its parameters.
        inputs: its input artifacts.
        store: where its artifact is or goes.
        progress: where it reports.
        force: run in any case.
        after: states of the tasks that made the inputs.
        timeout: seconds that it may take at most.
    """

    @task(
        name=name,
        task_run_name=name,
        description=stage.description,
        cache_policy=NO_CACHE,
        persist_result=False,
        tags=_tags(stage, params, inputs, store, force),
        retries=len(_SECONDS_BEFORE_RETRIES),
        retry_delay_seconds=list(_SECONDS_BEFORE_RETRIES),
        retry_condition_fn=_may_pass,
        timeout_seconds=timeout,
    )
    # Prefect takes a state that is returned as the state of the run, which its types do not say.
    def run() -> Any:
        with logs_sent_to(_RunLogHandler(_run_ids())):
            try:
                result = run_stage(stage, params, inputs, store, DashboardProgress(progress, name), force)
            except (InputError, StoreError) as error:
                return Failed(message=str(error), data=error)
            done = _state(result)
            publish_pages(name, str(done.message), result.artifact, inputs, params, store)
            if not result.hit or _made_by_an_earlier_try(result.artifact):
                _announce(name, result.artifact)
            return done

    state: State[StageResult] = run(return_state=True, wait_for=after)
    return state


def _tags(stage: Stage, params: StageParams, inputs: Mapping[str, Artifact], store: Store, force: bool) -> list[str]:
    """What limits how many of the stage run at once; a hit need not wait for it.

    Without a limit there is no tag, either: Prefect would ask for a slot all the same, and where SQLite is busy it asks
    again two seconds later.
    """
    try:
        hit = not force and store.has(plan_stage(stage, params, inputs, store))
    except (InputError, StoreError):
        hit = True  # the task will fail by it
    return [] if hit or not _is_limited(stage.name) else [stage.name]


def _is_limited(tag: str) -> bool:
    with SyncClientContext.get_or_create() as server:
        try:
            server.client.read_global_concurrency_limit_by_name(f"tag:{tag}")
        except ObjectNotFound:
            return False
    return True


def find_as_task(name: str, find: Callable[[], Artifact]) -> State[Artifact]:
    """Find an artifact as a Prefect task inside a flow: when the store's remote does not answer, it is asked again.

    Args:
        name: what the artifact is for.
        find: looks for it in the store; what it raises is the failed state's message if the user can mend it.
    """

    @task(
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=len(_SECONDS_BEFORE_RETRIES),
        retry_delay_seconds=list(_SECONDS_BEFORE_RETRIES),
        retry_condition_fn=_may_pass,
    )
    def run() -> Any:
        try:
            artifact = find()
        except (InputError, StoreError) as error:
            return Failed(message=str(error), data=error)
        return _cached(artifact, artifact)

    state: State[Artifact] = run(return_state=True)
    return state


def _may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether trying again can help; wrong input and bugs stay what they are, and what took too long takes longer."""
    return isinstance(state.result(raise_on_failure=False), (ProviderError, UnreachableError, ConnectionError))


def _state(result: StageResult) -> State[StageResult]:
    artifact = result.artifact
    if result.hit:
        return _cached(artifact, result, ": its code, its parameters and the content of its inputs are the same")
    return Completed(message=f"{artifact.reference} built in {result.seconds:.1f} s", data=result)


def _cached(artifact: Artifact, data: Any, why: str = "") -> State[Any]:
    made = datetime.fromisoformat(artifact.manifest.created)
    message = f"{artifact.reference} was in the store, made {made:%Y-%m-%d %H:%M} UTC{why}"
    return Completed(name="Cached", message=message, data=data)


def _made_by_an_earlier_try(artifact: Artifact) -> bool:
    """A try that made it fails all the same if the remote does not take it; the next one finds it in the store."""
    run = _task_run()
    started = run.start_time
    return run.run_count > 1 and started is not None and datetime.fromisoformat(artifact.manifest.created) >= started


def _announce(name: str, artifact: Artifact) -> None:
    """Emit the event that automations can start something by; Prefect adds flow and deployment of the run to it."""
    emit_event(
        PUBLISHED,
        resource={
            "prefect.resource.id": f"prolab.artifact.{artifact.kind}.{artifact.version}",
            "prefect.resource.name": artifact.reference,
            "prolab.step": name,
            "prolab.version": artifact.version,
        },
    )


def _run_ids() -> dict[str, object]:
    run = _task_run()
    return {"flow_run_id": run.flow_run_id, "task_run_id": run.id}


def _task_run() -> TaskRun:
    context = TaskRunContext.get()
    assert context is not None, "called inside a task"
    return context.task_run


class _RunLogHandler(APILogHandler):
    """Prefect's handler finds the run by the thread that logs; this one knows it."""

    def __init__(self, run: Mapping[str, object]) -> None:
        super().__init__()
        self._run = run
        self.addFilter(_is_not_prefects)

    def prepare(self, record: logging.LogRecord) -> dict[str, Any]:
        record.__dict__ |= self._run
        return super().prepare(record)


def _is_not_prefects(record: logging.LogRecord) -> bool:
    """Prefect sends its own lines by itself."""
    return record.name.partition(".")[0] != "prefect"
