"""Small networks for tests."""

from __future__ import annotations

from typing import Any

import torch

from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor

DIM, WIDTH, PROPERTIES, CLASSES = 48, 16, 6, 4


def small_config() -> dict[str, Any]:
    """A ViT-Adapter of 48 channels and 4 blocks with heads of 16 channels."""
    head = {"num_classes": WIDTH, "channels": 16, "norm_cfg": {"type": "BN"}, "align_corners": False}
    return {
        "type": "PropertySegmentor",
        "backbone": {
            "type": "ViTAdapter",
            "dim": DIM,
            "depth": 4,
            "heads": 3,
            "interactions": [(0, 0), (1, 1), (2, 2), (3, 3)],
            "deform_heads": 3,
            "drop_path": 0.1,
            "conv_inplanes": 8,
        },
        "decode_head": {"type": "PropertyUPerHead", "in_channels": [DIM] * 4, "in_index": [0, 1, 2, 3], **head},
        "auxiliary_head": {
            "type": "PropertyFCNHead",
            "in_channels": DIM,
            "in_index": 2,
            "num_convs": 1,
            "concat_input": False,
            **head,
        },
        "label_space": {"properties": PROPERTIES, "classes": CLASSES, "width": WIDTH, "temperature": 0.1},
    }


def small_segmentor(seed: int = 0, **changes: Any) -> PropertySegmentor:
    """The small network with random weights and a label space in which every class owns two properties."""
    torch.manual_seed(seed)
    segmentor: PropertySegmentor = build_segmentor(small_config() | changes)
    class_matrix = torch.zeros(CLASSES, PROPERTIES)
    for class_id in range(CLASSES):
        class_matrix[class_id, [class_id, (class_id + 2) % PROPERTIES]] = 1
    segmentor.label_space.assign(torch.randn(PROPERTIES, WIDTH), class_matrix)
    return segmentor


def small_one_hot_segmentor(seed: int = 0, **changes: Any) -> PropertySegmentor:
    """The small network with random weights and as many classes as the other's embeddings have channels."""
    torch.manual_seed(seed)
    one_hot = {"kind": "one_hot", "properties": WIDTH, "classes": WIDTH, "width": WIDTH}
    segmentor: PropertySegmentor = build_segmentor(small_config() | {"label_space": one_hot} | changes)
    return segmentor
