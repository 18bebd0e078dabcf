"""Pushing to a remote, pulling from it, and both.

Versions go one after the other, oldest first, so that what a version was made of is there before it; the files of
a version go several at a time. `latest` stays each store's own. Tags go with their versions: after a push a tag names
there what it names here, after a pull here what it names there. `sync` sets tags that only one side has and leaves
those that differ, since nothing says which is right. No exchange deletes anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from artifacts import pointers
from artifacts.artifact import Artifact
from artifacts.errors import NotFoundError
from artifacts.layout import Layout
from artifacts.lineage import upstream_closure
from artifacts.locks import collection_lock
from artifacts.manifest import Manifest, read_manifest
from artifacts.manifests import Manifests
from artifacts.remote import Remote, in_parallel
from artifacts.transfer import OpenBar, Transfer, pull, push


@dataclass(frozen=True)
class Exchanged:
    """What an exchange with a remote did.

    Attributes:
        versions: what became of each version.
        tags: tags that now name the same version on both sides and did not before, with that version.
        differing: tags that name different versions on the two sides, and were left as they are.
    """

    versions: list[Transfer]
    tags: dict[str, str]
    differing: tuple[str, ...] = ()


class Exchange:
    """Moves versions between a store and a remote."""

    def __init__(self, layout: Layout, manifests: Manifests, remote: Remote, open_bar: OpenBar) -> None:
        self._layout = layout
        self._manifests = manifests
        self._remote = remote
        self._open_bar = open_bar

    def push(self, references: Iterable[str] | None, *, with_inputs: bool) -> Exchanged:
        """Push the named versions, or all."""
        self._remote.open(create=True)
        chosen = self._here(references, with_inputs)
        transfers = self._push(chosen)
        return Exchanged(transfers, self._push_tags(chosen, leave=()))

    def pull(self, references: Iterable[str] | None, *, with_inputs: bool) -> Exchanged:
        """Pull the named versions, or all that the store lacks. Named ones that are damaged here are replaced."""
        self._remote.open(create=False)
        chosen = self._there(references, with_inputs)
        transfers = self._pull(chosen, check=references is not None)
        return Exchanged(transfers, self._pull_tags(chosen, leave=()))

    def sync(self, references: Iterable[str] | None, *, with_inputs: bool) -> Exchanged:
        """Push what is here and pull what is not: all, or the named versions."""
        self._remote.open(create=True)
        if references is None:
            here = self._here(None, with_inputs)
            transfers = self._push(here)
            sent = {manifest.reference for manifest in here}
            there = [manifest for manifest in self._there(None, with_inputs) if manifest.reference not in sent]
        else:
            references = list(references)
            missing = [reference for reference in references if not self._is_here(reference)]
            here = self._here([reference for reference in references if reference not in missing], with_inputs)
            transfers = self._push(here)
            there = self._there(missing, with_inputs)
        transfers += self._pull(there, check=False)
        ours, theirs = pointers.tags(self._layout), self._remote.tags()
        differing = tuple(tag for tag, version in ours.items() if theirs.get(tag, version) != version)
        tags = self._push_tags(here, leave=differing) | self._pull_tags([*here, *there], leave=differing)
        return Exchanged(transfers, tags, differing)

    def _push(self, manifests: Iterable[Manifest]) -> list[Transfer]:
        manifests = list(manifests)
        transfers = []
        for manifest, there in zip(manifests, in_parallel(self._remote.has, manifests), strict=True):
            folder = self._layout.folder(manifest.kind, manifest.version, manifest.key)
            if there:
                transfers.append(Transfer(manifest.reference, "there"))
                continue
            with collection_lock(self._layout.collection_lock):
                artifact = Artifact(folder) if folder.exists() else None
            if artifact:  # otherwise it was collected after the listing
                transfers.append(push(self._remote, artifact, self._open_bar))
        return transfers

    def _pull(self, manifests: Iterable[Manifest], *, check: bool) -> list[Transfer]:
        transfers = []
        for manifest in manifests:
            if not check and self._layout.folder(manifest.kind, manifest.version, manifest.key).exists():
                transfers.append(Transfer(manifest.reference, "there"))
            else:
                transfers.append(pull(self._layout, self._remote, manifest, self._open_bar)[1])
        return transfers

    def _is_here(self, reference: str) -> bool:
        try:
            pointers.resolve(self._layout, self._manifests, reference)
        except NotFoundError:
            return False
        return True

    def _here(self, references: Iterable[str] | None, with_inputs: bool) -> list[Manifest]:
        every = self._manifests.newest_first()
        if references is None:
            return every[::-1]
        folders = [pointers.resolve(self._layout, self._manifests, reference) for reference in references]
        return _chosen([read_manifest(folder) for folder in folders], every if with_inputs else [])

    def _there(self, references: Iterable[str] | None, with_inputs: bool) -> list[Manifest]:
        if references is None:
            return _oldest_first(self._remote.manifests())
        named = [self._remote.resolve(reference) for reference in references]
        return _chosen(named, self._remote.manifests() if with_inputs else [])

    def _push_tags(self, manifests: Iterable[Manifest], leave: Iterable[str]) -> dict[str, str]:
        known = {manifest.reference for manifest in manifests}
        changed = _changed(pointers.tags(self._layout), self._remote.tags(), known, leave)
        for tag, version in changed.items():
            self._remote.set_tag(tag, version)
        return changed

    def _pull_tags(self, manifests: Iterable[Manifest], leave: Iterable[str]) -> dict[str, str]:
        known = {manifest.reference: manifest for manifest in manifests}
        changed = _changed(self._remote.tags(), pointers.tags(self._layout), known.keys(), leave)
        for tag, version in changed.items():
            kind, _, name = tag.partition(":")
            pointers.set_tag(self._layout, known[f"{kind}:{version}"], name)
        return changed


def _chosen(named: list[Manifest], inputs_among: list[Manifest]) -> list[Manifest]:
    """The named versions and those of the others that they were made of, each once."""
    by_reference = {manifest.reference: manifest for manifest in (*inputs_among, *named)}
    wanted = upstream_closure([manifest.reference for manifest in named], by_reference.values())
    chosen = wanted & by_reference.keys()
    return _oldest_first(by_reference[reference] for reference in chosen)


def _oldest_first(manifests: Iterable[Manifest]) -> list[Manifest]:
    return sorted(manifests, key=lambda manifest: (manifest.created, manifest.reference))


def _changed(
    source: dict[str, str], target: dict[str, str], references: Iterable[str], leave: Iterable[str]
) -> dict[str, str]:
    """The source's tags of these versions that the target does not have, or has for another version."""
    known = set(references)
    return {
        tag: version
        for tag, version in source.items()
        if f"{tag.partition(':')[0]}:{version}" in known and target.get(tag) != version and tag not in leave
    }
