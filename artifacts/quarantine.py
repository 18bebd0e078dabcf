"""Damaged versions are put aside: never read again, and kept for a look until the garbage collection."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

from artifacts.durable import fsync
from artifacts.integrity import check
from artifacts.layout import Layout

log = logging.getLogger(__name__)


def quarantine(layout: Layout, folder: Path) -> None:
    """Move a version out of the store if it is (still) damaged. The caller holds the lock of its key."""
    problems = check(folder)
    if not problems:
        return
    layout.quarantine.mkdir(exist_ok=True)
    target = layout.quarantine / f"{folder.parent.name}-{folder.name}-{uuid.uuid4().hex[:8]}"
    folder.replace(target)
    fsync(folder.parent)
    log.warning("damaged and moved to %s: %s", target, "; ".join(map(str, problems)))
