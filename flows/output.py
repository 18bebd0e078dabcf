"""What the command writes: for people in a terminal, plain text elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from tasks.logs import LOGGERS
from tasks.progress import PlainProgress, Progress, TerminalProgress

# Results go to stdout; what happens on the way goes to stderr.
_results = Console()
_events = Console(stderr=True)

_STATE_STYLES = {
    "Built": "green",
    "Cached": "cyan",
    "Pinned": "magenta",
    "Runs": "yellow",
    "Waits": "dim",
    "Missing": "red",
}


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows as a table in a terminal, and as lines with tabs between the columns elsewhere."""
    if not _results.is_terminal:
        for row in (columns, *rows):
            print("\t".join(row))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STATE_STYLES.get(cell, "")) for cell in row))
    _results.print(table)


def make_progress() -> Progress:
    """Bars in a terminal, lines elsewhere."""
    return TerminalProgress(_events) if _events.is_terminal else PlainProgress(sys.stderr)


class _PlainHandler(logging.StreamHandler[TextIO]):
    """A class of its own, since mmcv silences every handler of the root logger that is a bare `StreamHandler`."""


def show_log() -> None:
    """Write to stderr what our modules log from INFO on, and the warnings of all others."""
    handler: logging.Handler
    if _events.is_terminal:
        handler = RichHandler(
            console=_events,
            show_path=False,
            show_level=False,
            log_time_format="%H:%M:%S",
            highlighter=NullHighlighter(),
        )
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = _PlainHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)


def format_seconds(value: float | None) -> str:
    """`3.2 s`, `4 min 10 s`, or a dash for what was not measured."""
    if value is None:
        return "-"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{value:.1f} s"


def format_bytes(value: int | None) -> str:
    """`1.3 GB` for a number of bytes, or a dash for what was not measured."""
    if value is None:
        return "-"
    amount, unit = float(value), "B"
    for larger in ("kB", "MB", "GB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"
