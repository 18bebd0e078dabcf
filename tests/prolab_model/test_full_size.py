"""The network for ADE20K as it is released, with the paper's class matrix: one step, at crop 256."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from prolab_model.bank import members, read_properties
from prolab_model.config_file import read_config
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow


def class_matrix_of_ade20k(shared: Path) -> torch.Tensor:
    descriptors = shared / "descriptors" / "descriptors_ade20k_gpt3.5_cluster.json"
    classes = list(json.loads(descriptors.read_text(encoding="utf-8")))
    properties = read_properties(shared / "properties" / "property_ade20k.json")
    matrix = torch.zeros(len(classes), len(properties))
    numbers = {name: number for number, name in enumerate(properties)}
    for name, class_name, _ in members(properties):
        matrix[classes.index(class_name), numbers[name]] = 1
    return matrix


def test_a_step_of_the_released_network_starts_at_the_papers_sanity_value(shared_data: Path) -> None:
    """Undecided properties lose 0.81, a start 0.81 to 0.86 (spec 2.4); every parameter gets a finite gradient."""
    class_matrix = class_matrix_of_ade20k(shared_data)
    classes, properties = class_matrix.shape
    assert (classes, properties) == (150, 256)
    torch.manual_seed(0)
    model = read_config(REPOSITORY / "configs/models/ade20k_vit_adapter_b.py")["model"]
    segmentor: PropertySegmentor = build_segmentor(
        sized_network(model, properties=properties, classes=classes, width=768)
    ).train()
    segmentor.label_space.assign(torch.randn(properties, 768), class_matrix)
    labels = torch.randint(0, classes, (2, 1, 32, 32)).repeat_interleave(8, 2).repeat_interleave(8, 3)

    losses = segmentor.forward_train(torch.randn(2, 3, 256, 256), [], labels)
    undecided = (1 - (class_matrix.sum(dim=1) / properties).sqrt())[labels].mean()
    assert undecided == pytest.approx(0.81, abs=0.01)
    # Random centres see a little more than nothing in random embeddings.
    assert undecided < losses["decode.loss_properties"] < undecided + 0.06
    (losses["decode.loss_properties"] + losses["aux.loss_properties"]).backward()
    without_gradient = {name for name, parameter in segmentor.named_parameters() if parameter.grad is None}
    assert without_gradient == set()
    assert all(parameter.grad.isfinite().all() for parameter in segmentor.parameters())
