from __future__ import annotations

import pytest
import torch

from prolab_model.optimizer import layer_decay_groups
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


def test_base_backbone_has_the_references_groups() -> None:
    """28 groups; layer 13 holds 70 decayed and 139 undecayed tensors (spec appendix A)."""
    from prolab_model.vit_adapter import ViTAdapter

    with torch.device("meta"):
        model = torch.nn.ModuleDict({"backbone": ViTAdapter()})
    groups = layer_decay_groups(model, learning_rate=6e-5, weight_decay=0.01, decay_rate=0.95, depth=12)
    assert len(groups) == 28
    assert [len(group["params"]) for group in groups[-2:]] == [139, 70]
    assert groups[0]["lr"] == pytest.approx(6e-5 * 0.95**13)
