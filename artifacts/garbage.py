"""What may be deleted, and deleting it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Garbage:
    """One thing that the collection deletes.

    Attributes:
        path: the folder.
        what: what it is: `kind:version`, "workspace", "temporary folder", "damaged version".
        bytes: how much room it takes.
    """

    path: Path
    what: str
    bytes: int
