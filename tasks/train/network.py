"""The network that is trained: sized by the label space, with pretrained weights and the label space inside."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from artifacts import Artifact
from prolab_model.label_space import PropertyLabelSpace
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import build_segmentor
from prolab_model.pretrained import load_pretrained, read_weights
from prolab_model.segmentor import PropertySegmentor
from tasks.errors import InputError
from tasks.label_space import read_properties
from tasks.train import TrainParams
from tasks.train.training_set import TrainingSet, read_class_matrix

log = logging.getLogger(__name__)

AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Arithmetic of forward and backward pass by the name of the precision."""


def network_config(params: TrainParams, label_space: Artifact, training_set: TrainingSet) -> dict[str, Any]:
    """The network's config, with the sizes that the label space decides; one-hot labels have the classes' alone."""
    network: dict[str, Any] = params.network()
    classes = len(training_set.classes)
    if network["label_space"].get("kind") == "one_hot":
        if training_set.datasets:
            raise InputError(
                f"train.model: {params.model} has one-hot labels, which say nothing of what the classes of "
                f"{', '.join(training_set.datasets)} have in common: expected a network of property labels"
            )
        return sized_network(network, properties=classes, classes=classes, width=classes)
    if network["label_space"].get("scores") == "decorrelated" and params.contrast == 0:
        raise InputError(
            f"train.contrast: 0: the decorrelated class scores of {params.model} are learnt by the contrast alone: "
            "expected a weight above 0"
        )
    properties, width = read_properties(label_space).centres.shape
    network["label_space"] |= {"contrast": params.contrast}
    if training_set.datasets:
        network["label_space"] |= {"groups": [len(group) for group in training_set.groups]}
    return sized_network(network, properties=properties, classes=classes, width=width)


def build_network(
    network: Mapping[str, Any], params: TrainParams, label_space: Artifact, training_set: TrainingSet
) -> PropertySegmentor:
    """The segmentor that a config describes, ready to be trained.

    Raises:
        InputError: the pretrained weights do not fit, or the label space describes other classes.
    """
    segmentor: PropertySegmentor = build_segmentor(dict(copy.deepcopy(network)))
    if params.pretrained is not None:
        try:
            report = load_pretrained(segmentor.backbone, read_weights(params.pretrained))
        except (ModuleNotFoundError, ValueError) as error:
            raise InputError(f"train.pretrained: {params.pretrained}: {error}") from error
        log.info("%s: %s", params.pretrained_name(), report)
    if isinstance(segmentor.label_space, PropertyLabelSpace):
        class_matrix = read_class_matrix(label_space, training_set)
        centres = read_properties(label_space).centres
        segmentor.label_space.assign(torch.from_numpy(centres), torch.from_numpy(class_matrix).float())
    if params.checkpoint_activations:
        turn_on_checkpointing(segmentor.backbone)
    weights = class_weights(training_set.class_pixels, params.class_weight_power)
    segmentor.class_weights.copy_(torch.from_numpy(weights))
    segmentor.autocast = AUTOCAST[params.precision]
    return segmentor


def property_names(segmentor: PropertySegmentor, label_space: Artifact, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the K properties; one-hot labels have the classes' own."""
    if isinstance(segmentor.label_space, PropertyLabelSpace):
        return read_properties(label_space).names
    return classes


def turn_on_checkpointing(backbone: nn.Module) -> None:
    """Have a backbone compute its activations twice instead of keeping them; mmsegmentation's call this `with_cp`.

    Raises:
        InputError: when the backbone has nothing of the kind.
    """
    switches = [
        (module, name)
        for module in backbone.modules()
        for name in ("checkpoint_activations", "with_cp")
        if hasattr(module, name)
    ]
    if not switches:
        raise InputError(f"train.checkpoint_activations: {type(backbone).__name__} cannot do this")
    for module, name in switches:
        setattr(module, name, True)


def class_weights(class_pixels: npt.NDArray[np.int64], power: float) -> npt.NDArray[np.float32]:
    """Weight of a pixel of each class (N,): its share to minus `power`, scaled so that the mean pixel weighs 1."""
    share = class_pixels / class_pixels.sum()
    weights = np.where(share > 0, np.maximum(share, 1e-12) ** -power, 0.0)
    normalised: npt.NDArray[np.float32] = (weights / (weights * share).sum()).astype(np.float32)
    return normalised
