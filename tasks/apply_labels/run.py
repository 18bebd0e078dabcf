"""Makes a `checkpoint` artifact of a trained network and a label space."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import JsonValue

from artifacts import Artifact
from prolab_model.checkpoint import ModelCard, load_model, read_card, save_model
from prolab_model.dataset_config import Colour, default_palette
from prolab_model.label_space import BY_CLASS, PropertyLabelSpace
from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor
from tasks.apply_labels import ApplyParams
from tasks.errors import InputError
from tasks.label_space import ClassMatrix, Properties, read_class_matrices, read_properties
from tasks.markdown import items
from tasks.stage import StageContext

_COSINE = 0.9999
"""Of the same centre in network and label space, at least; banks are rounded."""

_EXPECTED = "expected the label space that it was trained with, or one that was extended from it"


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Write the network with the classes of the label space; no weight changes, and it needs no photo.

    Raises:
        InputError: the network knows no properties or other ones, or the label space knows no such data set.
    """
    params: ApplyParams = context.params
    source, label_space = context.inputs["checkpoint"], context.inputs["label_space"]
    properties, classes = read_properties(label_space), _classes_of(label_space, params.dataset)
    segmentor, card = _load(source, params.dataset)
    _require_same_properties(segmentor, properties, source, label_space)
    new = [name for name in classes.classes if name not in card.classes or name in card.unseen]
    network = {**card.network, "label_space": {**card.network["label_space"], "classes": len(classes.classes)}}
    applied = _with_classes(network, segmentor, classes)
    save_model(
        context.output,
        applied,
        card.model_copy(
            update={
                "network": network,
                "classes": classes.classes,
                "palette": _palette(classes.classes, card),
                "properties": properties.names,
                "unseen": tuple(new),
            }
        ),
    )
    # How the network learnt its properties.
    shutil.copyfile(source.file("metrics.parquet"), context.output / "metrics.parquet")
    _write_report(context, new)
    return {"classes": len(classes.classes), "new_classes": len(new), "properties": len(properties.names)}


def _classes_of(label_space: Artifact, dataset: str) -> ClassMatrix:
    matrices = {matrix.dataset: matrix for matrix in read_class_matrices(label_space)}
    if dataset in matrices:
        return matrices[dataset]
    known = ", ".join(sorted(filter(None, matrices)))
    expected = f"expected one of {known}" if known else "it is of a single data set, so that none can be named"
    raise InputError(f"{label_space.reference}: dataset {dataset!r}: {expected}")


def _load(checkpoint: Artifact, dataset: str) -> tuple[PropertySegmentor, ModelCard]:
    """The network; of one that was trained on several data sets the part that sees photos as for this one."""
    known = list(read_card(checkpoint.path).datasets)
    if not known:
        return load_model(checkpoint.path)
    return load_model(checkpoint.path, dataset if dataset in known else known[0])


def _require_same_properties(
    segmentor: PropertySegmentor, properties: Properties, checkpoint: Artifact, label_space: Artifact
) -> None:
    if not isinstance(segmentor.label_space, PropertyLabelSpace):
        raise InputError(f"{checkpoint.reference} was trained with one-hot labels: it knows its own classes alone")
    own = segmentor.label_space.centres
    given = F.normalize(torch.from_numpy(properties.centres), dim=1)
    if own.shape != given.shape:
        raise InputError(
            f"{label_space.reference} has {_shape(given)}, {checkpoint.reference} knows {_shape(own)}: {_EXPECTED}"
        )
    others = np.flatnonzero(((own * given).sum(dim=1) < _COSINE).numpy())
    if len(others):
        names = ", ".join(repr(properties.names[number]) for number in others[:3])
        raise InputError(
            f"{len(others)} of the {len(own)} properties of {label_space.reference} are not those that "
            f"{checkpoint.reference} knows: {names}{', ...' * (len(others) > 3)}: {_EXPECTED}"
        )


def _shape(centres: torch.Tensor) -> str:
    return f"{centres.shape[0]} properties in {centres.shape[1]} dimensions"


def _with_classes(
    network: Mapping[str, object], segmentor: PropertySegmentor, classes: ClassMatrix
) -> PropertySegmentor:
    """The network of this config with the weights of `segmentor`."""
    applied: PropertySegmentor = build_segmentor(network)
    assert isinstance(applied.label_space, PropertyLabelSpace)
    applied.label_space.assign(segmentor.label_space.centres, torch.from_numpy(classes.matrix).float())
    by_class = {f"label_space.{name}" for name in BY_CLASS}
    kept = {name: value for name, value in segmentor.state_dict().items() if name not in by_class}
    applied.load_state_dict(applied.state_dict() | kept)
    return applied


def _palette(classes: Sequence[str], card: ModelCard) -> tuple[Colour, ...]:
    """Colours that the network's own classes keep; new ones have colours that no other has."""
    own = dict(zip(card.classes, card.palette, strict=True))
    free = (colour for colour in default_palette(len(classes) + len(own)) if colour not in own.values())
    return tuple(own[name] if name in own else next(free) for name in classes)


def _write_report(context: StageContext, new: Sequence[str]) -> None:
    source, label_space = context.inputs["checkpoint"], context.inputs["label_space"]
    rows = [
        ("network", source.reference),
        ("label space", label_space.reference),
        ("classes that it was not trained on", ", ".join(new) or "none"),
    ]
    (context.output / "report.md").write_text(
        f"# Classes of {label_space.reference} in {source.reference}\n\n{items(rows)}", encoding="utf-8"
    )
