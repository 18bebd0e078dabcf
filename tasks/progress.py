"""How long work reports how far it is: bars in a terminal, plain lines elsewhere, nothing in tests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

_SECONDS_BETWEEN_LINES = 10.0
_MINUTES_FROM = 300.0  # seconds from which on minutes are near enough

Figure = float | str


class ProgressBar(Protocol):
    """One piece of work whose length is known."""

    def advance(self, count: int = 1, **figures: Figure) -> None:
        """Count `count` more units as done and show `figures`, for instance `loss=0.61`."""


class Progress(Protocol):
    """Where long work reports."""

    def bar(
        self, label: str, total: int, unit: str = "it", report: Path | None = None
    ) -> AbstractContextManager[ProgressBar]:
        """Open a bar of `total` units that closes with the context.

        `report` is a markdown file that the work writes anew as it goes, with pictures beside it; whoever can shows it.
        """


class TerminalProgress:
    """Bars in a terminal, below the lines that are logged to the same console."""

    def __init__(self, console: Console) -> None:
        self._display = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            transient=True,
        )
        self._open_bars = 0

    @contextmanager
    def bar(self, label: str, total: int, unit: str = "it", report: Path | None = None) -> Iterator[ProgressBar]:
        """Open a bar of `total` units; it vanishes when it closes."""
        if self._open_bars == 0:
            self._display.start()
        self._open_bars += 1
        task = self._display.add_task(label, total=total, unit=unit, figures="")
        try:
            yield _TerminalBar(self._display, task)
        finally:
            self._display.remove_task(task)
            self._open_bars -= 1
            if self._open_bars == 0:
                self._display.stop()


class _TerminalBar:
    def __init__(self, display: RichProgress, task: TaskID) -> None:
        self._display = display
        self._task = task

    def advance(self, count: int = 1, **figures: Figure) -> None:
        if figures:
            self._display.update(self._task, advance=count, figures=_format_figures(figures))
        else:
            self._display.update(self._task, advance=count)


class PlainProgress:
    """Plain lines for logs and pipes: at most one in ten seconds, and one when a bar closes."""

    def __init__(self, stream: TextIO, *, seconds_between_lines: float = _SECONDS_BETWEEN_LINES) -> None:
        self._stream = stream
        self._seconds_between_lines = seconds_between_lines

    @contextmanager
    def bar(self, label: str, total: int, unit: str = "it", report: Path | None = None) -> Iterator[ProgressBar]:
        """Report `total` units as lines of text."""
        bar = _PlainBar(label, total, unit, self._stream, self._seconds_between_lines)
        try:
            yield bar
        finally:
            bar.write_line()


class _PlainBar:
    def __init__(self, label: str, total: int, unit: str, stream: TextIO, seconds_between_lines: float) -> None:
        self._count = Count(label, total, unit)
        self._stream = stream
        self._seconds_between_lines = seconds_between_lines
        self._last_line = time.monotonic()

    def advance(self, count: int = 1, **figures: Figure) -> None:
        self._count.advance(count, figures)
        if time.monotonic() - self._last_line >= self._seconds_between_lines:
            self.write_line()

    def write_line(self) -> None:
        self._last_line = time.monotonic()
        print(self._count.line(), file=self._stream, flush=True)


class Count:
    """How far a piece of work is, in words."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.total = total
        self.done = 0
        self._label = label
        self._unit = unit
        self._figures: dict[str, Figure] = {}
        self._started = time.monotonic()
        self._first: tuple[int, float] | None = None

    def advance(self, count: int, figures: Mapping[str, Figure]) -> None:
        """Count more units as done."""
        self.done += count
        self._figures = {**self._figures, **figures}  # a new one, since another thread may be reading the old one
        if self._first is None:
            self._first = (self.done, time.monotonic())

    def line(self) -> str:
        """For instance "train: 40/200 iterations, 50 s, 200 s left, loss=0.61"."""
        elapsed = time.monotonic() - self._started
        parts = [f"{self._label}: {self.done}/{self.total} {self._unit}", f"{elapsed:.0f} s", self._left()]
        return ", ".join(filter(None, [*parts, _format_figures(self._figures)]))

    def _left(self) -> str:
        # What was done when the work began, because another run had done it, says nothing of the speed.
        done, since = self._first or (0, self._started)
        if self.done == self.total or self.done <= done:
            return ""
        seconds = (time.monotonic() - since) / (self.done - done) * (self.total - self.done)
        return f"{seconds:.0f} s left" if seconds < _MINUTES_FROM else f"{seconds / 60:.0f} min left"


class SilentProgress:
    """Reports nothing."""

    def bar(
        self, label: str, total: int, unit: str = "it", report: Path | None = None
    ) -> AbstractContextManager[ProgressBar]:
        """Open a bar that shows nothing."""
        return nullcontext(_SilentBar())


class _SilentBar:
    def advance(self, count: int = 1, **figures: Figure) -> None:
        pass


def _format_figures(figures: Mapping[str, Figure]) -> str:
    return " ".join(f"{name}={_format_figure(value)}" for name, value in figures.items())


def _format_figure(value: Figure) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
