"""What the dashboard shows of a stage while it runs: how far it is, and its report so far.

A thread of its own sends it. The work never waits for the server, which may be slow, or away.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import TaskRunContext

from tasks.prefect_pages import page_name, with_pictures
from tasks.prefect_settings import settings_with
from tasks.progress import Count, Figure, Progress, ProgressBar

log = logging.getLogger(__name__)

_SECONDS_BEFORE_FIRST_UPDATE = 1.0  # what is done sooner is told once
_SECONDS_BETWEEN_UPDATES = 3.0
_PATIENCE_SECONDS = 3.0


class DashboardProgress:
    """Reports to the dashboard as well as to where a run reports without one.

    Args:
        progress: where a run reports without a dashboard.
        step: what users call the step, after which the dashboard's pages are called.
    """

    def __init__(self, progress: Progress, step: str) -> None:
        self._progress = progress
        self._name = page_name(step)

    @contextmanager
    def bar(self, label: str, total: int, unit: str = "it", report: Path | None = None) -> Iterator[ProgressBar]:
        """Open a bar of `total` units, which stays in the dashboard when it closes, as does the last report."""
        count = Count(label, total, unit)

        def show(updates: Iterator[None]) -> None:
            # The next update says what one that fails would have said.
            with settings_with("client", max_retries=0), _client() as client:
                pages = _Pages(client, self._name, count, report)
                for _ in updates:
                    pages.update()

        with self._progress.bar(label, total, unit, report) as bar, _beside(show):
            yield _DashboardBar(bar, count)


class _DashboardBar:
    def __init__(self, bar: ProgressBar, count: Count) -> None:
        self._bar = bar
        self._count = count

    def advance(self, count: int = 1, **figures: Figure) -> None:
        self._bar.advance(count, **figures)
        self._count.advance(count, figures)


@contextmanager
def _beside(show: Callable[[Iterator[None]], None]) -> Iterator[None]:
    """Call `show` in a thread, with an iterator that says when it is time: now and then, and at the end."""
    ended = threading.Event()

    def updates() -> Iterator[None]:
        patience = _SECONDS_BEFORE_FIRST_UPDATE
        while not ended.wait(patience):
            yield
            patience = _SECONDS_BETWEEN_UPDATES
        yield

    thread = threading.Thread(target=copy_context().run, args=(show, updates()), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _client() -> SyncPrefectClient:
    return get_client(sync_client=True, httpx_settings={"timeout": _PATIENCE_SECONDS})


class _Pages:
    """The pages of a bar; that the server is away is said once, not at each update."""

    def __init__(self, client: SyncPrefectClient, name: str, count: Count, report: Path | None) -> None:
        self._count = count
        self._progress = _Page(client, "progress", f"{name}-progress")
        self._report = None if report is None else _ReportSoFar(report, _Page(client, "markdown", f"{name}-so-far"))
        self._away = False

    def update(self) -> None:
        """Show how far the work is."""
        line = self._count.line()
        share = self._count.done / self._count.total if self._count.total else 1.0
        try:
            self._progress.show(100.0 * share, line)
            if self._report:
                self._report.show(line)
        except httpx.HTTPError as error:
            if not self._away:
                log.warning("the dashboard is not told how far it is: %s: %s", type(error).__name__, error)
            self._away = True
        else:
            if self._away:
                log.info("the dashboard is told again how far it is")
            self._away = False


class _ReportSoFar:
    """A page that follows a file which a stage writes anew as it goes."""

    def __init__(self, path: Path, page: _Page) -> None:
        self._path = path
        self._page = page
        self._shown: int | None = None

    def show(self, line: str) -> None:
        """Show what has been written so far, below a line that says how far the stage is."""
        if not self._path.exists():
            return
        written = self._path.stat().st_mtime_ns
        if written == self._shown:
            self._page.describe(line)
        else:
            self._page.show(with_pictures(self._path.read_text(encoding="utf-8"), self._path.parent), line)
            self._shown = written


class _Page:
    """A Prefect artifact that changes."""

    def __init__(self, client: SyncPrefectClient, type_: str, key: str) -> None:
        self._client = client
        self._type = type_
        self._key = key
        self._id: UUID | None = None

    def show(self, data: float | str, line: str) -> None:
        """Show `data` below `line`."""
        if self._id is None:
            self._id = self._client.create_artifact(self._new(data, line)).id
        else:
            self._client.update_artifact(self._id, ArtifactUpdate(data=data, description=line))

    def describe(self, line: str) -> None:
        """Show another line above what is shown."""
        assert self._id is not None, "shown before"
        self._client.update_artifact(self._id, ArtifactUpdate(description=line))

    def _new(self, data: float | str, line: str) -> ArtifactCreate:
        context = TaskRunContext.get()
        assert context is not None, "called inside a task"
        run = context.task_run
        return ArtifactCreate(
            type=self._type,
            key=self._key,
            data=data,
            description=line,
            task_run_id=run.id,
            flow_run_id=run.flow_run_id,
        )
