from __future__ import annotations

import pytest
import torch

from prolab_model.config_file import read_config
from prolab_model.openmmlab import build_segmentor
from prolab_model.vit_adapter import ViTAdapter
from tests.conftest import REPOSITORY


def test_base_backbone_has_the_references_parameters() -> None:
    """410 tensors and 99,495,392 parameters (spec 2.6)."""
    with torch.device("meta"):
        backbone = ViTAdapter()
    assert len(backbone.state_dict()) == 410
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 99_495_392


def test_base_segmentor_has_the_references_parameters() -> None:
    """492 tensors and 134,112,736 parameters with both heads (spec 2.6); the bank's two buffers are ours."""
    config = read_config(REPOSITORY / "configs/models/vit_adapter_b.py")["model"]
    config["label_space"] |= {"properties": 256, "classes": 150, "width": 768}
    for head in ("decode_head", "auxiliary_head"):
        config[head]["num_classes"] = 768
    with torch.device("meta"):
        segmentor = build_segmentor(config)
    assert len(segmentor.state_dict()) == 492 + 2
    assert sum(parameter.numel() for parameter in segmentor.parameters()) == 134_112_736


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 32)])
def test_maps_have_strides_4_8_16_32(size: tuple[int, int]) -> None:
    backbone = ViTAdapter(
        dim=24, depth=4, heads=3, interactions=[(0, 0), (1, 1), (2, 2), (3, 3)], deform_heads=3, conv_inplanes=8
    ).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, *size))
    assert [tuple(level.shape) for level in maps] == [
        (1, 24, size[0] // stride, size[1] // stride) for stride in (4, 8, 16, 32)
    ]


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    backbone = ViTAdapter(
        dim=24, depth=4, heads=3, interactions=[(0, 0), (1, 1), (2, 2), (3, 3)], deform_heads=3, conv_inplanes=8
    )
    for interaction in backbone.interactions:  # it starts at zero, and so would what lies behind it
        torch.nn.init.ones_(interaction.injector.gamma)
    sum(
        level.square().mean() * (1 + index) for index, level in enumerate(backbone(torch.randn(2, 3, 64, 64)))
    ).backward()
    without = [name for name, parameter in backbone.named_parameters() if parameter.grad is None]
    assert without == []


def test_sides_that_are_no_multiples_of_32_are_refused() -> None:
    backbone = ViTAdapter(dim=24, depth=4, heads=3, interactions=[(0, 0), (1, 1), (2, 2), (3, 3)], deform_heads=3)
    with pytest.raises(ValueError, match="multiples of 32; got 64 x 100"):
        backbone(torch.zeros(1, 3, 64, 100))


def test_runs_that_leave_out_a_block_are_refused() -> None:
    with pytest.raises(ValueError, match="cover blocks 0 to 3 in order"):
        ViTAdapter(dim=24, depth=4, heads=3, interactions=[(0, 0), (1, 1), (2, 2), (2, 3)], deform_heads=3)
