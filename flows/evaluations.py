"""Finds the two evaluations that a user means who names evaluations or checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from artifacts import Artifact, Manifest, NotFoundError, Store
from tasks.errors import InputError

Measurer = Callable[[Artifact], Artifact]
"""Makes the evaluation of a checkpoint, or finds the one that was made before."""

_KINDS = ("evaluation", "checkpoint")


def find_evaluations(store: Store, pair: tuple[str, str], measure: Measurer | None) -> tuple[Artifact, Artifact]:
    """The evaluations that are meant; of checkpoints the newest two that measured the same, or new ones.

    Raises:
        InputError: a reference names neither evaluation nor checkpoint, or a checkpoint was not measured.
    """
    named = [_resolve_any(store, reference) for reference in pair]
    if measure is not None:
        a, b = (measure(artifact) if artifact.kind == "checkpoint" else artifact for artifact in named)
        return a, b
    if all(artifact.kind == "evaluation" for artifact in named):
        return named[0], named[1]
    candidates = [list(_evaluations(store, artifact)) for artifact in named]
    for artifact, found in zip(named, candidates, strict=True):
        if not found:
            raise InputError(f"{artifact.reference} has no evaluation in the store: name a --dataset to measure it on")
    # Measured in every respect alike, or else at least on the same photos.
    for alike in (_measured_alike, _measured_on_the_same):
        for first, second in product(*candidates):
            if alike(first, second):
                return store.resolve(first.reference), store.resolve(second.reference)
    datasets = "; ".join(
        f"{artifact.reference} on {', '.join(sorted({_measured_on(manifest) for manifest in found}))}"
        for artifact, found in zip(named, candidates, strict=True)
    )
    raise InputError(f"no two evaluations are of the same data set and split: {datasets}; name one with --dataset")


def _resolve_any(store: Store, reference: str) -> Artifact:
    """The evaluation that a version or tag names, or else the checkpoint."""
    if ":" in reference:
        kind = reference.partition(":")[0]
        if kind not in _KINDS:
            raise InputError(f"{reference}: expected an evaluation or a checkpoint, got a {kind}")
        return store.resolve(reference)
    for kind in _KINDS:
        try:
            return store.resolve(f"{kind}:{reference}")
        except NotFoundError:
            continue
    raise InputError(
        f"--compare {reference}: the store has neither an evaluation nor a checkpoint of this version or tag; "
        "prolab artifacts list shows what it has"
    )


def _evaluations(store: Store, artifact: Artifact) -> Iterator[Manifest]:
    """The evaluation itself, or those of the checkpoint, newest first."""
    if artifact.kind == "evaluation":
        yield artifact.manifest
        return
    from tasks.compare.counts import TABLE

    for manifest in store.list("evaluation"):
        if manifest.inputs["checkpoint"].digest == artifact.digest and TABLE in manifest.files:
            yield manifest


def _measured_alike(a: Manifest, b: Manifest) -> bool:
    return a.inputs["dataset"].digest == b.inputs["dataset"].digest and a.parameters == b.parameters


def _measured_on_the_same(a: Manifest, b: Manifest) -> bool:
    same_split = a.parameters["split"] == b.parameters["split"]
    return a.inputs["dataset"].digest == b.inputs["dataset"].digest and same_split


def _measured_on(manifest: Manifest) -> str:
    return f"{manifest.parameters['split']} of dataset:{manifest.inputs['dataset'].version}"
