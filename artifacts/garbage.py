"""The garbage collection.

Kept are, of each kind, `latest` and the newest versions; whatever has a tag; whatever a running process
holds a handle on; and everything that any of these was made of. The rest goes, with damaged versions and
the temporary folders of builds that no process runs any more. Their workspaces, from which an interrupted
build goes on, stay for a week after they were last written to.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from artifacts.layout import MANIFEST, Layout
from artifacts.lineage import upstream_closure
from artifacts.locks import collection_lock, is_leased, key_lock_if_free
from artifacts.manifest import Manifest
from artifacts.manifests import Manifests
from artifacts.pointers import latest, tags

WORKSPACE_SECONDS = 7 * 24 * 3600
"""How long an interrupted build's workspace is kept: days of training may lie in it."""

_RUBBISH = "rubbish-"


@dataclass(frozen=True)
class Garbage:
    """One thing that the collection deletes.

    Attributes:
        path: the folder or file.
        what: what it is: `kind:version`, or a few words.
        bytes: the room that it takes.
    """

    path: Path
    what: str
    bytes: int


def collect(layout: Layout, manifests: Manifests, *, keep_latest: int, dry_run: bool) -> list[Garbage]:
    """Find the garbage and, unless it is a dry run, delete it.

    Whoever publishes or opens a version waits meanwhile; the bytes are deleted afterwards, since
    a folder that was moved away can no longer be seen.
    """
    with collection_lock(layout.collection_lock, exclusive=True):
        garbage = [*_versions(layout, manifests, keep_latest), *_leftovers(layout)]
        if not dry_run:
            for item in garbage:
                _discard(layout, item.path)
    for folder in _build_folders(layout):
        garbage += _abandoned(layout, folder, dry_run=dry_run)
    if not dry_run:
        for rubbish in layout.temporary.glob(f"{_RUBBISH}*"):
            shutil.rmtree(rubbish, ignore_errors=True)  # another collection may be at it
    return garbage


def _versions(layout: Layout, manifests: Manifests, keep_latest: int) -> Iterator[Garbage]:
    every = manifests.newest_first()
    kept = upstream_closure(_roots(layout, manifests, every, keep_latest), every)
    age = {manifest.reference: rank for rank, manifest in enumerate(every)}
    folders = {
        f"{kind}:{version}": folder for kind in layout.kinds() for version, folder in layout.versions(kind).items()
    }
    # Newest first: killed half-way, the collection leaves no version without those it was made of.
    for reference in sorted(folders.keys() - kept, key=lambda reference: age.get(reference, -1)):
        yield _garbage(folders[reference], reference)


def _roots(layout: Layout, manifests: Manifests, every: list[Manifest], keep_latest: int) -> Iterator[str]:
    for kind in layout.kinds():
        yield f"{kind}:{latest(layout, manifests, kind)}"
        yield from [manifest.reference for manifest in every if manifest.kind == kind][:keep_latest]
    for reference, version in tags(layout).items():
        yield f"{reference.partition(':')[0]}:{version}"
    for manifest in every:
        if is_leased(layout.folder(manifest.kind, manifest.version, manifest.key) / MANIFEST):
            yield manifest.reference


def _leftovers(layout: Layout) -> Iterator[Garbage]:
    for path in sorted(layout.quarantine.glob("*")):
        yield _garbage(path, "damaged version")
    for path in sorted(layout.temporary.glob(f"{_RUBBISH}*")):
        yield _garbage(path, "rest of a deletion")
    for path in sorted([*layout.latest.glob(".*"), *layout.tags.glob("*/.*")]):
        yield _garbage(path, "rest of a write")


def _build_folders(layout: Layout) -> list[Path]:
    temporary = [path for path in layout.temporary.glob("*") if not path.name.startswith(_RUBBISH)]
    return sorted(temporary) + sorted(layout.workspaces.glob("*"))


def _abandoned(layout: Layout, folder: Path, *, dry_run: bool) -> list[Garbage]:
    with key_lock_if_free(layout.key_lock(folder.name)) as free:
        if not free or not folder.exists():
            return []
        is_workspace = folder.parent == layout.workspaces
        if is_workspace and time.time() - _last_written(folder) < WORKSPACE_SECONDS:
            return []
        item = _garbage(folder, "workspace" if is_workspace else "temporary folder")
        if not dry_run:
            _discard(layout, folder)
        return [item]


def _last_written(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))


def _garbage(path: Path, what: str) -> Garbage:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return Garbage(path, what, sum(file.stat().st_size for file in files))


def _discard(layout: Layout, path: Path) -> None:
    if path.is_file():
        path.unlink()
    else:
        layout.temporary.mkdir(exist_ok=True)
        path.replace(layout.temporary / f"{_RUBBISH}{uuid.uuid4().hex}")
