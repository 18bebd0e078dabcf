"""The one place where a stage becomes a Prefect task: its state, its logs and its pages in the dashboard."""

from __future__ import annotations

import base64
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import cv2
from prefect import State, Task, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import TaskRun
from prefect.context import TaskRunContext
from prefect.logging.handlers import APILogHandler
from prefect.states import Completed, Failed

from artifacts import Artifact, Store, StoreError
from tasks.describe.answers import ProviderError
from tasks.errors import InputError
from tasks.execution import StageResult, run_stage
from tasks.logs import LOGGERS
from tasks.progress import Count, Figure, Progress, ProgressBar
from tasks.stage import Stage, StageParams

_PICTURE = re.compile(r"!\[(?P<caption>[^\]]*)\]\((?P<file>[^)\s:]+\.(?:png|jpg))\)")
_SECONDS_BETWEEN_UPDATES = 3.0
_SECONDS_BEFORE_RETRIES = (10.0, 30.0, 90.0)
_WIDEST_PICTURE = 1200  # pixels; the dashboard's column is narrower


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
    itself, a language model's server that does not answer, is tried again.

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
        # How many of a stage run at once is limited by a limit on this tag, if there is one.
        tags=[stage.name],
        retries=len(_SECONDS_BEFORE_RETRIES),
        retry_delay_seconds=list(_SECONDS_BEFORE_RETRIES),
        retry_condition_fn=_may_pass,
        timeout_seconds=timeout,
    )
    # Prefect takes a state that is returned as the state of the run, which its types do not say.
    def run() -> Any:
        with _logs_in_dashboard():
            try:
                shown = DashboardProgress(progress, f"{_slug(name)}-progress")
                result = run_stage(stage, params, inputs, store, shown, force)
            except (InputError, StoreError) as error:
                return Failed(message=str(error), data=error)
            _publish(name, result.artifact)
            return _state(result)

    state: State[StageResult] = run(return_state=True, wait_for=after)
    return state


def _may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether trying again can help; wrong input and bugs stay what they are, and what took too long takes longer."""
    return isinstance(state.result(raise_on_failure=False), (ProviderError, ConnectionError))


class DashboardProgress:
    """Reports to the dashboard as well as to where a run reports without one."""

    def __init__(self, progress: Progress, key: str) -> None:
        self._progress = progress
        self._key = key

    @contextmanager
    def bar(self, label: str, total: int, unit: str = "it") -> Iterator[ProgressBar]:
        """Open a bar of `total` units, which stays in the dashboard when it closes."""
        with self._progress.bar(label, total, unit) as bar:
            shown = _DashboardBar(bar, Count(label, total, unit), self._key)
            try:
                yield shown
            finally:
                shown.update()


class _DashboardBar:
    def __init__(self, bar: ProgressBar, count: Count, key: str) -> None:
        self._bar = bar
        self._count = count
        # Prefect's types say that it may have to be awaited; outside of an event loop it never has.
        self._artifact = cast(UUID, create_progress_artifact(progress=0.0, key=key, description=count.line()))
        self._updated = time.monotonic()

    def advance(self, count: int = 1, **figures: Figure) -> None:
        self._bar.advance(count, **figures)
        self._count.advance(count, figures)
        if time.monotonic() - self._updated >= _SECONDS_BETWEEN_UPDATES:
            self.update()

    def update(self) -> None:
        self._updated = time.monotonic()
        share = self._count.done / self._count.total if self._count.total else 1.0
        update_progress_artifact(self._artifact, progress=100.0 * share, description=self._count.line())


def _state(result: StageResult) -> State[StageResult]:
    artifact = result.artifact
    if result.hit:
        message = f"{artifact.reference} was in the store, made {artifact.manifest.created}"
        return Completed(name="Cached", message=message, data=result)
    return Completed(message=f"{artifact.reference} built in {result.seconds:.1f} s", data=result)


def _publish(name: str, artifact: Artifact) -> None:
    report = artifact.path / "report.md"
    create_markdown_artifact(
        key=f"{_slug(name)}-report",
        markdown=_with_pictures(report.read_text(encoding="utf-8"), artifact.path),
        description=f"What {name} made: {artifact.reference}",
    )
    create_table_artifact(
        key=f"{_slug(name)}-versions",
        table=_versions(artifact),
        description=f"What {name} read and wrote",
    )


def _versions(artifact: Artifact) -> list[dict[str, Any]]:
    rows = [
        {"": "read", "name": name, "artifact": f"{record.kind}:{record.version}", "content digest": record.digest}
        for name, record in artifact.manifest.inputs.items()
    ]
    return [*rows, {"": "wrote", "name": "", "artifact": artifact.reference, "content digest": artifact.digest}]


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower())


def _with_pictures(markdown: str, folder: Path) -> str:
    """The text with its pictures inside, since the dashboard cannot read the store."""

    def embed(match: re.Match[str]) -> str:
        return f"![{match['caption']}]({_data_uri(folder / match['file'])})"

    return _PICTURE.sub(embed, markdown)


def _data_uri(path: Path) -> str:
    picture = cv2.imread(str(path))
    if picture is None:
        raise ValueError(f"{path}: expected a PNG or JPEG picture")
    height, width = picture.shape[:2]
    if width > _WIDEST_PICTURE:
        size = (_WIDEST_PICTURE, round(height * _WIDEST_PICTURE / width))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    # Plots are smaller as PNG, photos as JPEG; from about 2 MB on the dashboard shows nothing at all.
    encoded = {kind: cv2.imencode(f".{kind}", picture)[1].tobytes() for kind in ("png", "jpeg")}
    kind = min(encoded, key=lambda kind: len(encoded[kind]))
    return f"data:image/{kind};base64,{base64.b64encode(encoded[kind]).decode()}"


@contextmanager
def _logs_in_dashboard() -> Iterator[None]:
    """Send what our modules log, from whatever thread, to the log of the current run."""
    handler = _RunLogHandler(_run_ids())
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


def _run_ids() -> dict[str, object]:
    run = TaskRunContext.get()
    assert run is not None, "called inside a task"
    return {"flow_run_id": run.task_run.flow_run_id, "task_run_id": run.task_run.id}


class _RunLogHandler(APILogHandler):
    """Prefect's handler finds the run by the thread that logs; this one knows it."""

    def __init__(self, run: Mapping[str, object]) -> None:
        super().__init__()
        self._run = run

    def prepare(self, record: logging.LogRecord) -> dict[str, Any]:
        record.__dict__ |= self._run
        return super().prepare(record)
