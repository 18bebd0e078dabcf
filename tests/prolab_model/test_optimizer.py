from __future__ import annotations

import pytest
import torch

from prolab_model.beit_adapter import BEiTAdapter
from prolab_model.optimizer import layer_decay_groups
from prolab_model.vit_adapter import ViTAdapter
from tests.prolab_model.networks import small_segmentor


def test_every_parameter_is_in_one_group() -> None:
    segmentor = small_segmentor()
    groups = layer_decay_groups(segmentor, learning_rate=1.0, weight_decay=0.1, decay_rate=0.5, depth=4)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in segmentor.parameters())


def test_rates_fall_with_the_distance_from_the_head() -> None:
    segmentor = small_segmentor()
    groups = layer_decay_groups(
        segmentor, learning_rate=1.0, weight_decay=0.1, decay_rate=0.5, depth=4, adapter_multiplier=10.0
    )

    def group_of(name: str) -> dict[str, object]:
        wanted = id(dict(segmentor.named_parameters())[name])
        return next(group for group in groups if wanted in map(id, group["params"]))

    assert group_of("backbone.patch_embed.proj.weight")["lr"] == pytest.approx(0.5**5)
    assert group_of("backbone.blocks.0.mlp.fc1.weight")["lr"] == pytest.approx(0.5**4)
    assert group_of("backbone.blocks.3.mlp.fc1.weight")["lr"] == pytest.approx(0.5)
    assert group_of("decode_head.conv_seg.weight")["lr"] == pytest.approx(10.0)
    assert group_of("backbone.blocks.0.norm1.weight")["weight_decay"] == 0.0
    assert group_of("backbone.pos_embed")["weight_decay"] == 0.1


def test_a_backbone_without_blocks_is_one_layer() -> None:
    model = torch.nn.ModuleDict({"backbone": torch.nn.Conv2d(3, 4, 1), "decode_head": torch.nn.Conv2d(4, 2, 1)})
    groups = layer_decay_groups(
        model, learning_rate=1.0, weight_decay=0.1, decay_rate=0.5, depth=0, adapter_multiplier=10.0
    )
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [
        (0.5, 0.0),
        (0.5, 0.1),
        (10.0, 0.0),
        (10.0, 0.1),
    ]
    assert groups[1]["params"] == [model["backbone"].weight]


def counts_by_layer(backbone: torch.nn.Module, decay_rate: float, depth: int) -> list[tuple[float, int, int]]:
    """(learning rate's scale, decayed tensors, other tensors) of each layer, the first one first."""
    model = torch.nn.ModuleDict({"backbone": backbone})
    groups = layer_decay_groups(model, learning_rate=1.0, weight_decay=0.1, decay_rate=decay_rate, depth=depth)
    pairs = zip(groups[::2], groups[1::2], strict=True)
    assert all(plain["weight_decay"] == 0 and decayed["weight_decay"] == 0.1 for plain, decayed in pairs)
    return [
        (decayed["lr"], len(decayed["params"]), len(plain["params"]))
        for plain, decayed in zip(groups[::2], groups[1::2], strict=True)
    ]


def test_base_backbone_has_the_references_groups() -> None:
    """28 groups, with the counts and scales of spec 2.9 and appendix A."""
    with torch.device("meta"):
        layers = counts_by_layer(ViTAdapter(), decay_rate=0.95, depth=12)
    assert len(layers) == 14
    assert [counts for _, *counts in layers] == [[2, 1], *[[4, 10]] * 12, [70, 139]]
    scales = [scale for scale, _, _ in layers]
    assert scales[:2] == pytest.approx([0.51334, 0.54036], abs=5e-6)
    assert scales[-2:] == pytest.approx([0.95, 1.0])


def test_large_beit_has_the_references_groups() -> None:
    """Class token with the embedding; tables of relative positions decayed, biases of queries and values not."""
    with torch.device("meta"):
        layers = counts_by_layer(BEiTAdapter(), decay_rate=0.9, depth=24)
    assert len(layers) == 26
    assert [counts for _, *counts in layers] == [[2, 1], *[[5, 11]] * 24, [70, 139]]
    assert [scale for scale, _, _ in layers[:2]] == pytest.approx([0.0718, 0.0798], abs=5e-5)
