"""All manifests of a store, each read once."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifacts.errors import DamagedError
from artifacts.layout import MANIFEST, Layout
from artifacts.manifest import Manifest, parse_manifest

log = logging.getLogger(__name__)


class Manifests:
    """Reads manifests and remembers those whose file has not changed since."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[Path, tuple[tuple[int, int], Manifest]] = {}

    def newest_first(self, kind: str | None = None) -> list[Manifest]:
        """The readable manifests of a kind, or of all kinds; an unreadable one is logged."""
        kinds = self._layout.kinds() if kind is None else [kind]
        with _without_cycle_search():
            found = [self._read(folder) for name in kinds for folder in self._layout.versions(name).values()]
        return sorted((manifest for manifest in found if manifest), key=lambda manifest: manifest.created, reverse=True)

    def find(self, kind: str, version: str) -> Manifest | None:
        """The manifest of a version; None where there is none, or only an unreadable one, which is logged."""
        folder = self._layout.version(kind, version)
        return self._read(folder) if folder else None

    def _read(self, folder: Path) -> Manifest | None:
        try:
            path = folder / MANIFEST
            status = path.stat()
            state = (status.st_mtime_ns, status.st_size)
            if folder not in self._known or self._known[folder][0] != state:
                self._known[folder] = (state, parse_manifest(path.read_bytes(), str(path)))
            return self._known[folder][1]
        except (FileNotFoundError, DamagedError) as error:
            if folder.exists():  # otherwise it was collected after the listing
                log.warning("left out of the listing: %s", error)
            return None


@contextmanager
def _without_cycle_search() -> Iterator[None]:
    """Python looks for cycles after every few hundred new objects: here a third of the time, and all are kept."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
