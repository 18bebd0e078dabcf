"""The last step of every version on its way into the store: manifest last, then one rename."""

from __future__ import annotations

from pathlib import Path

from artifacts.artifact import Artifact
from artifacts.durable import fsync, fsync_tree
from artifacts.integrity import check
from artifacts.layout import MANIFEST, Layout
from artifacts.locks import collection_lock
from artifacts.manifest import Manifest
from artifacts.quarantine import quarantine


def commit(layout: Layout, folder: Path, manifest: Manifest) -> Artifact:
    """Put the manifest beside the files in `folder` and move all into the store. The caller holds the key's lock."""
    fsync_tree(folder)
    (folder / MANIFEST).write_text(manifest.text(), encoding="utf-8")
    fsync(folder / MANIFEST)
    fsync(folder)
    target = layout.folder(manifest.kind, manifest.version, manifest.key)
    target.parent.mkdir(parents=True, exist_ok=True)
    with collection_lock(layout.collection_lock):
        if target.exists():
            if not check(target):
                return Artifact(target)  # made again with the same content: the same version
            quarantine(layout, target)
        folder.replace(target)
        artifact = Artifact(target)
    for parent in (target.parent, layout.artifacts, layout.root):
        fsync(parent)
    return artifact
