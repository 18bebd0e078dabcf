"""Time and peak memory of a training step of ViT-Adapter-B, in the original's order and in ours.

Two images of 512 x 512, 256 properties, 150 classes, AdamW; the peak is that of the process, with
weights, gradients and optimizer. Run: python -m tests.benchmarks.train_step
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import torch
import torch.nn.functional as F
from torch import Tensor

from prolab_model.label_space import IGNORED
from prolab_model.segmentor import PropertySegmentor
from tests.benchmarks.original_order import (
    CLASSES,
    CROP,
    build,
    forget_peak,
    original_attention,
    original_embeddings,
    peak,
)

IMAGES = 2

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
    with original_attention():
        features = segmentor.extract_feat(images)
    total = torch.zeros(())
    for head, weight in ((segmentor.decode_head, 1.0), (segmentor.auxiliary_head, segmentor.auxiliary_weight)):
        total = total + weight * _originals_loss(segmentor, original_embeddings(head, features), labels)
    return total


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


def measure(variant: Variant, steps: int) -> tuple[float, float, float]:
    """Seconds of the fastest step, peak in GiB, and the loss of the first step."""
    segmentor = build(variant.checkpointing).train()
    optimizer = torch.optim.AdamW(segmentor.parameters(), lr=1e-5, fused=True)
    torch.manual_seed(1)
    images = torch.randn(IMAGES, 3, CROP, CROP)
    labels = torch.randint(0, CLASSES, (IMAGES, CROP // 8, CROP // 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[:, :8] = IGNORED
    losses, seconds = [], []
    for step in range(steps + 1):
        if step == 1:
            forget_peak()  # the optimizer's state is there from the first step on
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast("cpu", variant.autocast, enabled=variant.autocast is not None):
            loss = variant.losses(segmentor, images, labels)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
    return min(seconds[1:]), peak(), losses[0]


def main() -> None:
    """Print a line for each variant; ratios are to the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2)
    steps = parser.parse_args().steps
    print(f"{torch.get_num_threads()} threads\n{'':31} s a step  ratio  peak GiB  ratio  loss")
    first: tuple[float, float] | None = None
    # A fresh child for each: what an allocator keeps of one variant would count for the next one's peak.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as children:
        for variant in VARIANTS:
            seconds, memory, loss = children.submit(measure, variant, steps).result()
            first = first or (seconds, memory)
            ratios = first[0] / seconds, first[1] / memory
            print(
                f"{variant.name:31} {seconds:8.1f} {ratios[0]:6.2f} {memory:9.2f} {ratios[1]:6.2f}  {loss:.6f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
