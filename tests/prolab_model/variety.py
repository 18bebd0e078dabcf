"""Small networks with every backbone, head and label space, for tests of what has to hold for all of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from prolab_model.dataset_config import IGNORED
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor
from tests.prolab_model.networks import CLASSES, PROPERTIES, WIDTH, small_config

_BEIT: dict[str, Any] = {
    "backbone": small_config()["backbone"] | {"type": "BEiTAdapter", "grid": (4, 3), "layer_scale": 0.5}
}
_HEAD: dict[str, Any] = {"channels": 16, "norm_cfg": {"type": "BN"}, "align_corners": False}
_DEEPLAB: dict[str, Any] = {
    "backbone": {"type": "ResNetV1c", "depth": 18, "stem_channels": 8, "base_channels": 8, "norm_cfg": {"type": "BN"}},
    "decode_head": _HEAD
    | {
        "type": "PropertySeparableASPPHead",
        "in_channels": 64,
        "in_index": 3,
        "dilations": (1, 2, 3, 4),
        "c1_in_channels": 8,
        "c1_channels": 4,
    },
    "auxiliary_head": None,
}
_SEGFORMER: dict[str, Any] = {
    "backbone": {
        "type": "MixVisionTransformer",
        "embed_dims": 8,
        "num_layers": [1, 1, 1, 1],
        "num_heads": [1, 2, 4, 8],
    },
    "decode_head": _HEAD | {"type": "PropertySegformerHead", "in_channels": [8, 16, 32, 64], "in_index": [0, 1, 2, 3]},
    "auxiliary_head": None,
}
BACKBONES: dict[str, dict[str, Any]] = {"vit": {}, "beit": _BEIT, "deeplab": _DEEPLAB, "segformer": _SEGFORMER}

LABEL_SPACES: dict[str, dict[str, Any]] = {
    "sigmoid": {"temperature": 0.1},
    "plain": {"temperature": 0.1, "sigmoid": False},
    "normalised": {"temperature": 0.1, "normalise": True},
    "bce": {"temperature": 0.1, "loss": "bce"},
    "contrast": {"temperature": 0.1, "contrast": 0.5},
    "one_hot": {"kind": "one_hot"},
}


def small_network(backbone: str, label_space: str) -> PropertySegmentor:
    """A network on the CPU in which every parameter has a say, as after training.

    Args:
        backbone: one of `BACKBONES`.
        label_space: one of `LABEL_SPACES`.
    """
    torch.manual_seed(0)
    config = small_config() | BACKBONES[backbone] | {"label_space": LABEL_SPACES[label_space]}
    sizes = (CLASSES, CLASSES, CLASSES) if label_space == "one_hot" else (PROPERTIES, CLASSES, WIDTH)
    segmentor: PropertySegmentor = build_segmentor(
        sized_network(config, properties=sizes[0], classes=sizes[1], width=sizes[2])
    )
    for name, parameter in segmentor.named_parameters():
        if name.endswith(("injector.gamma", "pos_embed", "relative_position_bias_table", "conv_seg.weight")):
            nn.init.normal_(parameter, std=0.03 if name.endswith("conv_seg.weight") else 1.0)
    if label_space != "one_hot":
        own = torch.eye(CLASSES, PROPERTIES)
        segmentor.label_space.assign(torch.randn(PROPERTIES, WIDTH), own + own.roll(2, dims=1))
    return segmentor


def batch() -> dict[str, Any]:
    """Two normalised photos with labels, the topmost of which are ignored, as a data loader gives them."""
    torch.manual_seed(1)
    labels = torch.randint(0, CLASSES, (2, 1, 64, 96))
    labels[:, :, :8] = IGNORED
    return {"img": torch.randn(2, 3, 64, 96), "img_metas": [{}, {}], "gt_semantic_seg": labels}
