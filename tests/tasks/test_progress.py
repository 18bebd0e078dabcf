"""Progress as people and logs see it."""

import io
import time

import pytest
from rich.console import Console

from tasks.progress import PlainProgress, SilentProgress, TerminalProgress


def test_plain_lines_are_few() -> None:
    stream = io.StringIO()
    with PlainProgress(stream).bar("train", 1000, "step") as bar:
        for _ in range(1000):
            bar.advance(loss=0.612345, note="x")

    assert stream.getvalue() == "train: 1000/1000 step, 0 s, loss=0.6123 note=x\n"


def test_plain_lines_come_at_intervals() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, seconds_between_lines=0).bar("index", 4, "image") as bar:
        bar.advance()
        bar.advance(3)

    counts = [line.partition(",")[0] for line in stream.getvalue().splitlines()]
    assert counts == ["index: 1/4 image", "index: 4/4 image", "index: 4/4 image"]


def test_the_time_that_is_left_is_reckoned_from_what_this_run_has_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the work was done before: it took no time, and is no measure."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[-1])
    stream = io.StringIO()
    with PlainProgress(stream).bar("train", 2000, "iterations") as bar:
        bar.advance(1000)
        for count in (5, 5, 990):
            clock.append(clock[-1] + 2 * count)
            bar.advance(count)

    assert stream.getvalue().splitlines() == [
        "train: 1005/2000 iterations, 10 s, 33 min left",
        "train: 1010/2000 iterations, 20 s, 33 min left",
        "train: 2000/2000 iterations, 2000 s",
        "train: 2000/2000 iterations, 2000 s",
    ]


def test_plain_line_says_how_far_it_came_when_the_work_fails() -> None:
    stream = io.StringIO()
    try:
        with PlainProgress(stream).bar("index", 4, "image") as bar:
            bar.advance()
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass

    assert stream.getvalue().startswith("index: 1/4 image")


def test_terminal_shows_bars_and_takes_them_away() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    progress = TerminalProgress(console)
    with progress.bar("describe", 2, "class") as outer:
        outer.advance(tokens=7)
        with progress.bar("embed", 4, "text") as inner:
            inner.advance(4)
            progress._display.refresh()
    with progress.bar("cluster", 1) as again:
        again.advance()
    shown = console.file.getvalue()

    for text in ("describe", "1/2", "class", "tokens=7", "embed", "4/4", "cluster"):
        assert text in shown
    erase_line, show_cursor = "\x1b[2K", "\x1b[?25h"
    assert shown.endswith(f"{erase_line}{show_cursor}\r")


def test_silent_progress_takes_everything() -> None:
    with SilentProgress().bar("train", 3) as bar:
        bar.advance(loss=1.0)
