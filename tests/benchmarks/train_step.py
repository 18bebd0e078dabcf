"""Time and peak memory of a training step of ViT-Adapter-B, in the original's order and in ours, in one process.

Two images of 512 x 512, 256 properties, 150 classes, AdamW; the peak is that of the process, with
weights, gradients and optimizer. Run: python tests/benchmarks/train_step.py
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

import ops.deformable_attention
from prolab_model.config_file import read_config
from prolab_model.label_space import IGNORED
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import FCNHead, UPerHead, build_segmentor
from prolab_model.segmentor import PropertySegmentor

CONFIG = Path(__file__).parents[2] / "configs/models/vit_adapter_b.py"
IMAGES, CROP, PROPERTIES, CLASSES, WIDTH = 2, 512, 256, 150, 768
THEIR_HEADS = {"decode_head": UPerHead, "auxiliary_head": FCNHead}

Losses = Callable[[PropertySegmentor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Variant:
    """One way to do a step."""

    name: str
    losses: Losses
    checkpointing: bool = False
    autocast: torch.dtype | None = None


def ours(segmentor: PropertySegmentor, images: Tensor, labels: Tensor) -> Tensor:
    """Sum of both heads' losses, and the accuracy, as the project computes them."""
    parts = segmentor.forward_train(images, [], labels[:, None])
    return parts["decode.loss_properties"] + parts["aux.loss_properties"]


def in_the_originals_order(segmentor: PropertySegmentor, images: Tensor, labels: Tensor) -> Tensor:
    """The same by mmsegmentation's heads, embeddings at full size, target maps, explicit softmax and grid_sample."""
    with ExitStack() as replaced:
        replaced.enter_context(mock.patch.object(F, "scaled_dot_product_attention", _explicit_attention))
        replaced.enter_context(
            mock.patch.object(
                ops.deformable_attention,
                "multi_scale_deformable_attention",
                ops.deformable_attention._by_grid_sample,
            )
        )
        features = segmentor.extract_feat(images)
    total = torch.zeros(())
    for name, weight in (("decode_head", 1.0), ("auxiliary_head", segmentor.auxiliary_weight)):
        head = getattr(segmentor, name)
        embeddings = head.conv_seg(head.cls_seg(THEIR_HEADS[name]._forward_feature(head, features)))
        total = total + weight * _originals_loss(segmentor, embeddings, labels)
    return total


def _explicit_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    weights = (query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)).softmax(dim=-1)
    return weights @ value


def _originals_loss(segmentor: PropertySegmentor, embeddings: Tensor, labels: Tensor) -> Tensor:
    """Mean of one minus the cosine over the labelled pixels, and class scores for the accuracy (spec 2.4)."""
    space = segmentor.label_space
    embeddings = F.interpolate(embeddings, size=labels.shape[-2:], mode="bilinear", align_corners=False)
    properties = (torch.einsum("bdhw,kd->bkhw", embeddings, space.centres) / space.temperature).sigmoid()
    scores = torch.einsum("bkhw,nk->bnhw", F.normalize(properties, dim=1), F.normalize(space.class_matrix, dim=1))
    (scores.argmax(dim=1) == labels).float().mean()
    labelled = labels != IGNORED
    targets = space.class_matrix[torch.where(labelled, labels, 0)].permute(0, 3, 1, 2)
    distance = 1 - F.cosine_similarity(properties, targets, dim=1)
    return (distance * labelled).sum() / labelled.sum()


VARIANTS = (
    Variant("original's order", in_the_originals_order),
    Variant("ours", ours),
    Variant("ours, checkpointing", ours, checkpointing=True),
    Variant("original's order, bfloat16", in_the_originals_order, autocast=torch.bfloat16),
    Variant("ours, bfloat16", ours, autocast=torch.bfloat16),
    Variant("ours, bfloat16, checkpointing", ours, checkpointing=True, autocast=torch.bfloat16),
)


def build(checkpointing: bool) -> PropertySegmentor:
    """ViT-Adapter-B with random weights, the same each time; no dropout, so that losses can be compared."""
    network = sized_network(read_config(CONFIG)["model"], properties=PROPERTIES, classes=CLASSES, width=WIDTH)
    network["backbone"] |= {"drop_path": 0.0, "checkpoint_activations": checkpointing}
    for head in THEIR_HEADS:
        network[head]["dropout_ratio"] = 0.0
    torch.manual_seed(0)
    segmentor: PropertySegmentor = build_segmentor(network)
    class_matrix = (torch.rand(CLASSES, PROPERTIES) < 0.06).float()
    class_matrix[torch.arange(CLASSES), torch.arange(CLASSES)] = 1
    segmentor.label_space.assign(torch.randn(PROPERTIES, WIDTH), class_matrix)
    return segmentor.train()


def measure(variant: Variant, steps: int) -> tuple[float, float, float]:
    """Seconds of the fastest step, peak in GiB, and the loss of the first step."""
    segmentor = build(variant.checkpointing)
    optimizer = torch.optim.AdamW(segmentor.parameters(), lr=1e-5, fused=True)
    torch.manual_seed(1)
    images = torch.randn(IMAGES, 3, CROP, CROP)
    labels = torch.randint(0, CLASSES, (IMAGES, CROP // 8, CROP // 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[:, :8] = IGNORED
    losses, seconds = [], []
    for step in range(steps + 1):
        if step == 1:
            _forget_peak()  # the optimizer's state is there from the first step on
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast("cpu", variant.autocast, enabled=variant.autocast is not None):
            loss = variant.losses(segmentor, images, labels)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
    return min(seconds[1:]), _peak(), losses[0]


def _forget_peak() -> None:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20


def main() -> None:
    """Print a line for each variant; ratios are to the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--only", nargs="*", type=int, help="numbers of the variants, from 0")
    arguments = parser.parse_args()
    print(f"{torch.get_num_threads()} threads\n{'variant':31} s a step  ratio  peak GiB  ratio  loss")
    first: tuple[float, float] | None = None
    for number, variant in enumerate(VARIANTS):
        if arguments.only and number not in arguments.only:
            continue
        seconds, peak, loss = measure(variant, arguments.steps)
        first = first or (seconds, peak)
        ratios = first[0] / seconds, first[1] / peak
        print(f"{variant.name:31} {seconds:8.1f} {ratios[0]:6.2f} {peak:9.2f} {ratios[1]:6.2f}  {loss:.6f}", flush=True)


if __name__ == "__main__":
    main()
