"""Makes many label maps, so that a run that was killed goes on where it stood."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from PIL import Image

from prolab_model.image_files import ImageFileError
from prolab_model.label_formats import AnnotationError
from prolab_model.whole_files import write_whole
from tasks.errors import InputError
from tasks.processes import mapped_in_processes
from tasks.progress import Progress

_LOCK = ".prolab_prepare.lock"


@dataclass(frozen=True)
class Conversion:
    """One label map to be made.

    Attributes:
        source: what it is made of, for messages.
        target: the PNG file.
        read: gives the label map (H, W); can be pickled.
        newer_than: make it again where this file was changed since.
    """

    source: str
    target: Path
    read: Callable[[], npt.NDArray[np.uint8]]
    newer_than: Path | None = None

    def is_done(self) -> bool:
        """Whether the label map is there; one that is, is whole."""
        if self.newer_than is None or not self.target.exists():
            return self.target.exists()
        return self.target.stat().st_mtime_ns > self.newer_than.stat().st_mtime_ns


@dataclass(frozen=True)
class Converted:
    """What became of the conversions: how many label maps were made and how many were there, and what went wrong."""

    made: int
    kept: int
    problems: tuple[str, ...]


def convert(root: Path, conversions: Sequence[Conversion], progress: Progress) -> Converted:
    """Make the label maps that are not there yet; a file appears under its name when all of it is written.

    Args:
        root: the data set's folder, in which only one process at a time converts.
        conversions: what is wanted.
        progress: where it reports.

    Raises:
        InputError: another process is at it, or the folder cannot be written to.
    """
    pending = [conversion for conversion in conversions if not conversion.is_done()]
    kept = len(conversions) - len(pending)
    if not pending:
        return Converted(0, kept, ())
    problems = []
    try:
        for folder in {conversion.target.parent for conversion in pending}:
            folder.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(root / _LOCK, timeout=0),
            progress.bar("convert", total=len(pending), unit="label maps") as bar,
            mapped_in_processes(_convert, pending) as results,
        ):
            for problem in results:
                if problem is not None:
                    problems.append(problem)
                bar.advance()
    except Timeout as error:
        raise InputError(f"{root}: another process converts label maps here; wait until it has ended") from error
    except OSError as error:
        raise InputError(f"{root}: cannot be written to: {error}") from error
    return Converted(len(pending) - len(problems), kept, tuple(problems))


def _convert(conversion: Conversion) -> str | None:
    """Make one label map; returns what is wrong with its source."""
    try:
        labels = conversion.read()
    except (AnnotationError, ImageFileError, OSError) as error:
        return f"{conversion.source}: {error}"
    content = io.BytesIO()
    Image.fromarray(labels).save(content, "PNG")
    write_whole(conversion.target, content.getvalue())
    return None
