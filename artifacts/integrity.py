"""Whether a version is still what was published."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: kind of the artifact.
        version: its version.
        file: the file, relative to the artifact's folder, or "" for the whole.
        what: what is wrong with it.
    """

    kind: str
    version: str
    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.version} {self.file}: {self.what}"
