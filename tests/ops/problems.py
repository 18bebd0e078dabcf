"""Problems for deformable attention, and their solution by its definition in float64.

Shapes are those of `ops.deformable_attention`: value (B, S, M, D), positions (B, Q, M, L, P, 2),
scores (B, Q, M, L, P), reference (Q, 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.library import sum_type

PYRAMID = [(8, 12), (4, 6), (2, 3)]
LEVELS = [
    [(7, 5)],
    [(1, 1)],
    [(1, 6)],
    PYRAMID,
    [(9, 4), (5, 2), (3, 1), (1, 1)],
    [(5, 5), (3, 3), (2, 2), (1, 2), (1, 1)],
]


@dataclass(frozen=True)
class Inputs:
    """What the kernels read; without a reference positions are locations and scores are weights."""

    value: Tensor
    sizes: Sequence[tuple[int, int]]
    positions: Tensor
    scores: Tensor
    reference: Tensor | None

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.value, self.positions, self.scores

    def to(self, value: torch.dtype, sampling: torch.dtype) -> Inputs:
        """In these types, the reference in the type of the sums."""
        reference = None if self.reference is None else self.reference.to(sum_type(value))
        positions, scores = self.positions.to(sampling), self.scores.to(sampling)
        return replace(self, value=self.value.to(value), positions=positions, scores=scores, reference=reference)


def make_inputs(
    sizes: Sequence[tuple[int, int]],
    fused: bool,
    channels: int = 32,
    images: int = 2,
    queries: int = 5,
    heads: int = 2,
    points: int = 3,
    seed: int = 0,
) -> Inputs:
    """Random inputs in float32; some samples lie outside of their maps."""
    generator = torch.Generator().manual_seed(seed)
    shape = (images, queries, heads, len(sizes), points)
    value = torch.randn(images, sum(h * w for h, w in sizes), heads, channels, generator=generator)
    if fused:
        positions, scores = torch.randn(*shape, 2, generator=generator) * 2, torch.randn(*shape, generator=generator)
        return Inputs(value, sizes, positions, scores, torch.rand(queries, 2, generator=generator))
    positions = torch.rand(*shape, 2, generator=generator) * 1.6 - 0.3
    return Inputs(value, sizes, positions, torch.rand(*shape, generator=generator), None)


def _locations(inputs: Inputs) -> Tensor:
    """Positions in float64, (B, Q, M, L, P, 2), in units of the maps' widths and heights."""
    if inputs.reference is None:
        return inputs.positions.double()
    extent = torch.tensor([[width, height] for height, width in inputs.sizes], dtype=torch.float64)
    reference = inputs.reference.double().view(1, -1, 1, 1, 1, 2)
    return reference + inputs.positions.double() / extent.view(1, 1, 1, -1, 1, 2)


def smooth(inputs: Inputs) -> Tensor:
    """Where the gradient of positions has one value: not on the lines between pixels, where it jumps."""
    extent = torch.tensor([[width, height] for height, width in inputs.sizes], dtype=torch.float64)
    pixels = _locations(inputs) * extent.view(1, 1, 1, -1, 1, 2) - 0.5
    return (pixels - pixels.round()).abs() > 1e-4


def by_definition(inputs: Inputs) -> Tensor:
    """Output (B, Q, M, D) in float64: bilinear samples with zeros outside, weighted and added up.

    Samples far outside of a map, or at NaN or infinity, count nothing.
    """
    value, positions, scores = inputs.value.double(), _locations(inputs), inputs.scores.double()
    (images, _, heads, channels), (queries, points) = value.shape, (scores.shape[1], scores.shape[4])
    if inputs.reference is not None:
        scores = scores.flatten(3).softmax(-1).view_as(scores)
    positions = torch.where((positions.abs() < 1e4).all(-1, keepdim=True), positions, -100.0)
    output = value.new_zeros(images * heads, channels, queries)
    levels = value.split([height * width for height, width in inputs.sizes], dim=1)
    for level, (tokens, (height, width)) in enumerate(zip(levels, inputs.sizes, strict=True)):
        maps = tokens.permute(0, 2, 3, 1).reshape(images * heads, channels, height, width)
        grid = 2 * positions[:, :, :, level].transpose(1, 2).reshape(images * heads, queries, points, 2) - 1
        samples = F.grid_sample(maps, grid, padding_mode="zeros", align_corners=False)  # (B * M, D, Q, P)
        weights = scores[:, :, :, level].transpose(1, 2).reshape(images * heads, 1, queries, points)
        output = output + (samples * weights).sum(-1)
    return output.view(images, heads, channels, queries).permute(0, 3, 1, 2)


def gradients_by_definition(inputs: Inputs, grad_output: Tensor) -> tuple[Tensor, ...]:
    """Gradients of value, positions and scores in float64."""
    leaves = [tensor.double().requires_grad_() for tensor in inputs.tensors()]
    output = by_definition(replace(inputs, value=leaves[0], positions=leaves[1], scores=leaves[2]))
    return torch.autograd.grad(output, leaves, grad_output.double())


class Kernels(Protocol):
    """What is tested: the two passes, as functions of whole problems."""

    def forward(self, inputs: Inputs) -> Tensor: ...

    def backward(self, inputs: Inputs, grad_output: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...


def cotangent(inputs: Inputs) -> Tensor:
    """A gradient of the output (B, Q, M, D)."""
    images, _, heads, channels = inputs.value.shape
    generator = torch.Generator().manual_seed(1)
    return torch.randn(images, inputs.scores.shape[1], heads, channels, generator=generator).to(inputs.value.dtype)


def assert_near(ours: Tensor, exact: Tensor, scale: float = 1.0) -> None:
    """Within the rounding of `ours`, whose sums are in float32 or float64, relative to the largest numbers."""
    eps = torch.finfo(ours.dtype).eps
    tolerance = (1e-12 if ours.dtype == torch.float64 else max(eps, 4e-6)) * scale
    largest = exact.abs().max().item() if exact.numel() else 0.0
    torch.testing.assert_close(ours.double().cpu(), exact, rtol=tolerance, atol=tolerance * largest)


def check(kernels: Kernels, inputs: Inputs) -> None:
    """Output and gradients are those of the definition, the positions' where these have one value."""
    assert_near(kernels.forward(inputs), by_definition(inputs))
    grad_output = cotangent(inputs)
    ours, exact = kernels.backward(inputs, grad_output), gradients_by_definition(inputs, grad_output)
    assert_near(ours[0], exact[0])
    one_sided = ~smooth(inputs)
    assert one_sided.float().mean() < 0.1
    assert_near(ours[1].masked_fill(one_sided, 0), exact[1].masked_fill(one_sided, 0), scale=4)
    assert_near(ours[2], exact[2], scale=4)
