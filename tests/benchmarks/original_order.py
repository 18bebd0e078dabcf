"""ViT-Adapter-B with random weights, the original's order of computing with it, and the peak of a process's memory."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

import ops.deformable_attention
import ops.fallback
from prolab_model.config_file import read_config
from prolab_model.heads import PropertyHead
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import FCNHead, UPerHead, build_segmentor
from prolab_model.segmentor import PropertySegmentor

CONFIG = Path(__file__).parents[2] / "configs/models/vit_adapter_b.py"
CROP, PROPERTIES, CLASSES, WIDTH = 512, 256, 150, 768


def build(checkpointing: bool = False) -> PropertySegmentor:
    """The network, the same each time; no dropout, so that losses can be compared."""
    network = sized_network(read_config(CONFIG)["model"], properties=PROPERTIES, classes=CLASSES, width=WIDTH)
    network["backbone"] |= {"drop_path": 0.0, "checkpoint_activations": checkpointing}
    for head in ("decode_head", "auxiliary_head"):
        network[head]["dropout_ratio"] = 0.0
    network["test_cfg"] = {"mode": "slide", "crop_size": (CROP, CROP), "stride": (341, 341)}
    torch.manual_seed(0)
    segmentor: PropertySegmentor = build_segmentor(network)
    class_matrix = (torch.rand(CLASSES, PROPERTIES) < 0.06).float()
    class_matrix[torch.arange(CLASSES), torch.arange(CLASSES)] = 1
    segmentor.label_space.assign(torch.randn(PROPERTIES, WIDTH), class_matrix)
    return segmentor


@contextmanager
def original_attention() -> Iterator[None]:
    """Attention with its matrix written out, deformable attention by grid_sample."""
    with (
        mock.patch.object(F, "scaled_dot_product_attention", _explicit_attention),
        # Softmax and locations are then computed by themselves, and samples taken by grid_sample.
        mock.patch.object(ops.deformable_attention, "has_kernel", return_value=False),
        mock.patch.object(ops.fallback, "by_embedding_bag", ops.fallback.by_grid_sample),
    ):
        yield


def _explicit_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    weights = (query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)).softmax(dim=-1)
    return weights @ value


def original_embeddings(head: PropertyHead, features: list[Tensor]) -> Tensor:
    """Embeddings (B, D, h, w) by mmsegmentation's own forward pass of the head."""
    original = UPerHead if isinstance(head, UPerHead) else FCNHead
    embeddings: Tensor = head.conv_seg(head.cls_seg(original._forward_feature(head, features)))
    return embeddings


def forget_peak() -> None:
    """Give freed memory back to the system and begin a new peak."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> float:
    """Largest memory since `forget_peak`, in GiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20
