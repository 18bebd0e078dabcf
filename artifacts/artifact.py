"""A handle on one published version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from artifacts.errors import DamagedError, NotFoundError
from artifacts.layout import MANIFEST
from artifacts.locks import Lease
from artifacts.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    import pyarrow as pa


class Artifact:
    """A published version; while the handle lives the version counts as in use and is not collected."""

    def __init__(self, path: Path) -> None:
        """Open the version that lies at `path`.

        Raises:
            DamagedError: its manifest is missing or unreadable.
        """
        try:
            self._lease = Lease(path / MANIFEST)
        except FileNotFoundError as error:
            raise DamagedError(f"{path / MANIFEST} is missing") from error
        self.path = path
        self.manifest: Manifest = read_manifest(path)

    @property
    def kind(self) -> str:
        """Name of its kind."""
        return self.manifest.kind

    @property
    def version(self) -> str:
        """Hash of key and content, 12 hexadecimal digits."""
        return self.manifest.version

    @property
    def digest(self) -> str:
        """Hash of the content that later stages depend on, 64 hexadecimal digits."""
        return self.manifest.digest

    @property
    def reference(self) -> str:
        """Name of the version: `kind:version`."""
        return self.manifest.reference

    def file(self, name: str) -> Path:
        """Path of one of the files.

        Raises:
            NotFoundError: the artifact has no file of this name.
        """
        if name not in self.manifest.files:
            raise NotFoundError(f"{self.reference} has no file {name!r}; it has {', '.join(self.manifest.files)}")
        return self.path / name

    def table(self, name: str) -> pa.Table:
        """Read one of the parquet files.

        Raises:
            NotFoundError: the artifact has no file of this name.
        """
        # pyarrow takes a third of a second to import, which a listing must not pay.
        import pyarrow.parquet

        return pyarrow.parquet.read_table(self.file(name), partitioning=None)

    def __repr__(self) -> str:
        return f"Artifact({self.reference})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Artifact) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __reduce__(self) -> tuple[type[Artifact], tuple[Path]]:
        return Artifact, (self.path,)
