"""Which versions an artifact was made of, and which were made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from artifacts.manifest import Manifest


@dataclass(frozen=True)
class Lineage:
    """A version and, below it, the versions that it was made of.

    Attributes:
        kind: kind of the version.
        version: the version.
        manifest: its manifest; None when the version is no longer in the store.
        inputs: lineage of each input, by input name.
    """

    kind: str
    version: str
    manifest: Manifest | None
    inputs: dict[str, Lineage]


def upstream(manifest: Manifest, find: Callable[[str, str], Manifest | None]) -> Lineage:
    """The versions that a version was made of, as a tree; `find` gives the manifest of a kind's version."""

    def tree(kind: str, version: str) -> Lineage:
        found = find(kind, version)
        inputs = found.inputs.items() if found else ()
        return Lineage(kind, version, found, {name: tree(record.kind, record.version) for name, record in inputs})

    return tree(manifest.kind, manifest.version)


def upstream_closure(references: Iterable[str], manifests: Iterable[Manifest]) -> set[str]:
    """The references and all that the versions they name were made of."""
    by_reference = {one.reference: one for one in manifests}
    closure: set[str] = set()
    waiting = list(references)
    while waiting:
        reference = waiting.pop()
        if reference not in closure:
            closure.add(reference)
            waiting += by_reference[reference].input_references if reference in by_reference else []
    return closure


def downstream(manifest: Manifest, manifests: Iterable[Manifest]) -> list[Manifest]:
    """All versions that were made of a version, directly or not, in the order of making."""
    made_of_it = {manifest.reference}
    found = []
    for one in sorted(manifests, key=lambda manifest: manifest.created):
        if made_of_it.intersection(one.input_references):
            made_of_it.add(one.reference)
            found.append(one)
    return found
