"""Names for versions: `label_space`, `label_space:latest`, `label_space:production`, `label_space:3fa9`.

`latest` and tags are small files that hold a version. They are pointers and nothing more: when `latest`
is lost, the version that was made last takes its place.
"""

from __future__ import annotations

import re
from pathlib import Path

from artifacts.durable import write_atomic
from artifacts.errors import NotFoundError, StoreError
from artifacts.layout import Layout
from artifacts.locks import collection_lock
from artifacts.manifest import Manifest
from artifacts.manifests import Manifests

LATEST = "latest"
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_VERSION = re.compile(r"[0-9a-f]{1,12}")
_SHOWN_VERSIONS = 5


def resolve(layout: Layout, manifests: Manifests, reference: str) -> Path:
    """Folder of the version that the reference names.

    Raises:
        NotFoundError: there is none, or more than one; the message lists what there is.
    """
    kind, _, name = reference.partition(":")
    versions = layout.versions(kind) if kind in layout.kinds() else {}
    if not versions:
        raise NotFoundError(f"no artifact of kind {kind!r}; the store has {', '.join(layout.kinds()) or 'none'}")
    version = latest(layout, manifests, kind) if name in ("", LATEST) else tags(layout).get(reference, name)
    matches = sorted(full for full in versions if version and full.startswith(version))
    if len(matches) > 1:
        raise NotFoundError(f"{reference} is ambiguous: {', '.join(matches)}")
    if not matches:
        raise NotFoundError(f"{reference} names no artifact; {_what_exists(layout, manifests, kind)}")
    return versions[matches[0]]


def _what_exists(layout: Layout, manifests: Manifests, kind: str) -> str:
    newest = [manifest.version for manifest in manifests.newest_first(kind)]
    shown = ", ".join(newest[:_SHOWN_VERSIONS]) + (", …" if len(newest) > _SHOWN_VERSIONS else "")
    names = [reference.partition(":")[2] for reference in tags(layout) if reference.startswith(f"{kind}:")]
    return f"versions of {kind}, newest first: {shown}; tags: {', '.join(names) or 'none'}"


def latest(layout: Layout, manifests: Manifests, kind: str) -> str | None:
    """Version of the kind that was last built or found by a build."""
    pointer = layout.latest / kind
    if pointer.is_file() and (version := pointer.read_text().strip()) in layout.versions(kind):
        return version
    return next((manifest.version for manifest in manifests.newest_first(kind)), None)


def set_latest(layout: Layout, manifest: Manifest) -> None:
    """Let `latest` name this version."""
    pointer = layout.latest / manifest.kind
    if not pointer.is_file() or pointer.read_text().strip() != manifest.version:
        _point(layout, pointer, manifest.version)


def tags(layout: Layout) -> dict[str, str]:
    """Version of each tag, by reference `kind:tag`."""
    files = sorted(layout.tags.glob("*/[!.]*"))
    return {f"{file.parent.name}:{file.name}": file.read_text().strip() for file in files}


def check_tag_name(name: str) -> None:
    """Refuse what is no good for a tag.

    Raises:
        StoreError: saying what is.
    """
    if not _TAG.fullmatch(name) or _VERSION.fullmatch(name) or name == LATEST:
        raise StoreError(
            f"{name!r} is no name for a tag: expected letters, digits, '_', '.' and '-' with a letter first, "
            f"neither {LATEST!r} nor anything that reads as the start of a version"
        )


def set_tag(layout: Layout, manifest: Manifest, name: str) -> None:
    """Let the tag name this version.

    Raises:
        StoreError: the name is no good for a tag.
    """
    check_tag_name(name)
    _point(layout, layout.tags / manifest.kind / name, manifest.version)


def remove_tag(layout: Layout, reference: str) -> None:
    """Remove the tag `kind:tag`.

    Raises:
        NotFoundError: there is no such tag.
    """
    existing = tags(layout)
    if reference not in existing:
        raise NotFoundError(f"no tag {reference!r}; the store has {', '.join(existing) or 'none'}")
    kind, _, name = reference.partition(":")
    (layout.tags / kind / name).unlink()


def _point(layout: Layout, pointer: Path, version: str) -> None:
    # The collection may take what a killed process left of this: it holds the lock alone.
    with collection_lock(layout.collection_lock):
        write_atomic(pointer, f"{version}\n")
