"""The store that commands and flows work on, with the remote that it shares artifacts through."""

from __future__ import annotations

import os
from pathlib import Path

from artifacts import Store

REMOTE_VARIABLE = "PROLAB_REMOTE"


def make_store(folder: Path) -> Store:
    """Open the store, or make it: with PROLAB_REMOTE, what it lacks is pulled and what it publishes is pushed."""
    return Store(folder, remote=os.environ.get(REMOTE_VARIABLE) or None)
