"""What a sort of artifact consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Kind:
    """A sort of artifact: the files it must have and which of them later stages depend on.

    Attributes:
        name: name of the kind in references such as `label_space:3fa9`.
        tables: parquet files that must exist with exactly these columns; `nullable=False` means no nulls.
            Where the schema says list, a list of fixed size is accepted, too.
        files: other files that must exist.
        content: the tables and files that later stages depend on; the digest is over these only.
        version: raise it when tables or files change: the keys change with it.
    """

    name: str
    tables: Mapping[str, pa.Schema]
    files: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    version: int = 1

    def __post_init__(self) -> None:
        unknown = set(self.content) - set(self.tables) - set(self.files)
        if unknown:
            raise ValueError(f"kind {self.name}: content names {sorted(unknown)}, which is neither a table nor a file")
