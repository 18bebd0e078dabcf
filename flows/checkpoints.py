"""Checkpoints that commands open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from artifacts import Artifact
from tasks.errors import InputError

if TYPE_CHECKING:
    from prolab_model.checkpoint import ModelCard
    from prolab_model.segmentor import PropertySegmentor


CheckpointArgument = Annotated[
    str,
    typer.Argument(
        help="Version or tag of a checkpoint; the version's first digits are enough.",
        metavar="CHECKPOINT",
        show_default=False,
    ),
]
KnownDatasetOption = Annotated[
    str | None,
    typer.Option("--dataset", help="Whose classes, in a checkpoint that knows several data sets.", show_default=False),
]


def load_checkpoint(checkpoint: Artifact, dataset: str | None) -> tuple[PropertySegmentor, ModelCard]:
    """The network, which predicts the classes of one data set, and what it knows.

    Args:
        checkpoint: an artifact of this kind.
        dataset: whose classes, by name, where the network was trained on several data sets.

    Raises:
        InputError: no data set is named where there are several, one where there is one, or one that is unknown.
    """
    from prolab_model.checkpoint import load_model, read_card

    known = list(read_card(checkpoint.path).datasets)
    if known and dataset not in known:
        given = "" if dataset is None else f", got {dataset!r}"
        raise InputError(f"{checkpoint.reference}: --dataset: expected one of {', '.join(known)}{given}")
    if dataset is not None and not known:
        raise InputError(f"{checkpoint.reference}: --dataset {dataset}: the checkpoint is of a single data set")
    return load_model(checkpoint.path, dataset)
