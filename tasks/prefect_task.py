"""The one place where a stage becomes a Prefect task: its state, its logs and its pages in the dashboard."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
from prefect import State, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext
from prefect.logging.handlers import APILogHandler
from prefect.states import Completed, Failed

from artifacts import Artifact, Store, StoreError
from tasks.errors import InputError
from tasks.execution import StageResult, run_stage
from tasks.logs import LOGGERS
from tasks.progress import Progress
from tasks.stage import Stage, StageParams

_PICTURE = re.compile(r"!\[(?P<caption>[^\]]*)\]\((?P<file>[^)\s:]+\.(?:png|jpg))\)")
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
) -> State[StageResult]:
    """Run a stage as a Prefect task inside a flow; `after` are the states of the tasks that made the inputs.

    The state is `Cached` when the store had the artifact. What the user can mend gives a failed state
    with the cause as its message, everything else a failed state with the traceback in the log.
    """

    @task(
        name=name,
        task_run_name=name,
        description=stage.description,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    # Prefect takes a state that is returned as the state of the run, which its types do not say.
    def run() -> Any:
        with _logs_in_dashboard():
            try:
                result = run_stage(stage, params, inputs, store, progress, force)
            except (InputError, StoreError) as error:
                return Failed(message=str(error), data=error)
            _publish(name, result.artifact)
            return _state(result)

    state: State[StageResult] = run(return_state=True, wait_for=after)
    return state


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
