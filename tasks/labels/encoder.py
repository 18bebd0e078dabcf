"""The encoder that a label space was made with: found by its lineage, opened again for further phrases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from artifacts import Artifact, Lineage, Store
from tasks.embed import EmbedParams
from tasks.errors import InputError
from tasks.kinds import EMBEDDINGS
from tasks.models import parse_model
from tasks.stage import DeviceName


def find_embeddings(store: Store, label_space: Artifact) -> list[Artifact]:
    """The embeddings that a label space was made of; several for several data sets, or where it was extended.

    Raises:
        InputError: they are no longer in the store.
    """
    references = dict.fromkeys(_embeddings_in(store.lineage(label_space)))
    if not references:
        raise InputError(f"{label_space.reference}: the embeddings that it was made of are no longer in the store")
    return [store.resolve(reference) for reference in references]


def encoder_params(store: Store, embeddings: Artifact, encoder: str | None, device: DeviceName) -> EmbedParams:
    """Parameters by which further descriptions are embedded as these were.

    Args:
        store: remembers the hashes of the encoder's files.
        embeddings: they name their encoder and its settings.
        encoder: where the encoder lies now; None where it lay then.
        device: where it runs.

    Raises:
        InputError: there is no such encoder, or it is another one.
    """
    identity = encoder_identity(embeddings)
    settings = {name: identity[name] for name in EmbedParams().identity() if name in identity}
    reference = encoder or str(embeddings.manifest.recorded["encoder"])
    if parse_model(reference).identity(store.file_hashes) != identity["model"]:
        raise InputError(
            f"{reference} is not the encoder of {embeddings.reference}, {identity['name']}: vectors of two encoders "
            "cannot be compared. Name its model with --encoder"
        )
    # What pooling is right was decided when the label space was made.
    return EmbedParams(encoder=reference, overrule_pooling=True, device=device, **settings)


def encoder_identity(embeddings: Artifact) -> dict[str, Any]:
    """What `encoder.json` says: name and identity of the model, and how it was used."""
    identity: dict[str, Any] = json.loads(embeddings.file("encoder.json").read_text(encoding="utf-8"))
    return identity


def _embeddings_in(lineage: Lineage) -> Iterator[str]:
    if lineage.kind == EMBEDDINGS.name and lineage.manifest is not None:
        yield lineage.manifest.reference
        return
    for inner in lineage.inputs.values():
        yield from _embeddings_in(inner)
