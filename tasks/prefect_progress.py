"""What the dashboard shows of a stage while it runs: how far it is, and its report so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.context import SettingsContext, get_settings_context

from tasks.prefect_pages import page_name, unless_the_server_is_away, with_pictures
from tasks.progress import Count, Figure, Progress, ProgressBar

_SECONDS_BETWEEN_UPDATES = 3.0


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
        with self._progress.bar(label, total, unit, report) as bar:
            shown = _DashboardBar(bar, Count(label, total, unit), self._name, report)
            try:
                yield shown
            finally:
                shown.update()


class _DashboardBar:
    def __init__(self, bar: ProgressBar, count: Count, name: str, report: Path | None) -> None:
        self._bar = bar
        self._count = count
        self._page = _Page(create_progress_artifact, f"{name}-progress")
        self._report = None if report is None else _ReportSoFar(report, f"{name}-so-far")
        self._settings = _settings_without_retries()
        self.update()

    def advance(self, count: int = 1, **figures: Figure) -> None:
        self._bar.advance(count, **figures)
        self._count.advance(count, figures)
        if time.monotonic() - self._updated >= _SECONDS_BETWEEN_UPDATES:
            self.update()

    def update(self) -> None:
        line = self._count.line()
        share = self._count.done / self._count.total if self._count.total else 1.0
        with unless_the_server_is_away(), self._settings:
            self._page.show(100.0 * share, line)
            if self._report:
                self._report.show(line)
        self._updated = time.monotonic()


def _settings_without_retries() -> SettingsContext:
    """Prefect's settings, but that no request is repeated.

    Retries would hold up the work for a minute each time that it reports to a server that is away. They are copied by
    hand, since Prefect would read all settings anew, for a tenth of a second.
    """
    present = get_settings_context()
    client = present.settings.client.model_copy(update={"max_retries": 0})
    settings = present.settings.model_copy(update={"client": client})
    return SettingsContext(profile=present.profile, settings=settings)


class _ReportSoFar:
    """A page that follows a file which a stage writes anew as it goes."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._page = _Page(create_markdown_artifact, key)
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

    def __init__(self, create: Callable[..., Any], key: str) -> None:
        self._create = create
        self._key = key
        self._id: UUID | None = None

    def show(self, data: float | str, line: str) -> None:
        """Show `data` below `line`."""
        if self._id is None:
            self._id = self._create(data, key=self._key, description=line)
        else:
            self._update(ArtifactUpdate(data=data, description=line))

    def describe(self, line: str) -> None:
        """Show another line above what is shown."""
        self._update(ArtifactUpdate(description=line))

    def _update(self, update: ArtifactUpdate) -> None:
        assert self._id is not None, "shown before"
        with get_client(sync_client=True) as client:
            client.update_artifact(self._id, update)
