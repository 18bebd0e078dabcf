"""Small backbones for tests."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import nn

from prolab_model.adapter_backbone import AdapterBackbone
from prolab_model.beit_adapter import BEiTAdapter
from prolab_model.vit_adapter import ViTAdapter

Backbone = TypeVar("Backbone", bound=AdapterBackbone)

SMALL: dict[str, Any] = {
    "dim": 24,
    "depth": 4,
    "heads": 3,
    "interactions": [(0, 0), (1, 1), (2, 2), (3, 3)],
    "deform_heads": 3,
    "conv_inplanes": 8,
}


def small_vit(**options: Any) -> ViTAdapter:
    """Four blocks of 24 channels; every parameter counts from the start."""
    torch.manual_seed(0)
    return _awaken(ViTAdapter(**SMALL | options))


def small_beit(**options: Any) -> BEiTAdapter:
    """Four blocks of 24 channels with tables for 4 x 4 patches; every parameter counts from the start."""
    torch.manual_seed(0)
    return _awaken(BEiTAdapter(**SMALL | {"grid": 4, "layer_scale": 0.5} | options))


def _awaken(backbone: Backbone) -> Backbone:
    for name, parameter in backbone.named_parameters():
        if name.endswith(("injector.gamma", "pos_embed", "relative_position_bias_table", "q_bias", "v_bias")):
            nn.init.normal_(parameter)
    return backbone
