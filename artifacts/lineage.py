"""Which versions an artifact was made of, and which were made of it."""

from __future__ import annotations

from dataclasses import dataclass

from artifacts.manifest import Manifest


@dataclass(frozen=True)
class Lineage:
    """A version and, below it, the versions that it was made of.

    Attributes:
        kind, version: the version.
        manifest: its manifest; None when the version is no longer in the store.
        inputs: lineage of each input, by input name.
    """

    kind: str
    version: str
    manifest: Manifest | None
    inputs: dict[str, Lineage]
