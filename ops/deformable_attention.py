"""Multi-scale deformable attention (Deformable DETR, section 4.1).

Shapes: B images, S value tokens over all levels, Q queries, M heads, D channels a head,
L levels, P points a level. Locations are (x, y) in units of the level's width and height.

A sample whose location is not finite, or farther than a pixel outside its map, counts nothing, and the gradient of its
location is zero; so is that of its weight. On the lines where a pixel ends, the location's gradient is the one on the
right and below. Weights and logits that are not finite give outputs that are not.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn

from ops import fallback, operators
from ops.library import LIBRARIES, has_kernel, sum_type

Sizes = Sequence[tuple[int, int]]


def exporting() -> bool:
    """Whether the network is being traced for `torch.export` or ONNX: only operators known there, sizes left open."""
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()


def multi_scale_deformable_attention(value: Tensor, sizes: Sizes, locations: Tensor, weights: Tensor) -> Tensor:
    """Sum of bilinear samples of `value` at `locations`, weighted by `weights`; zero outside a map.

    Args:
        value: (B, S, M, D); the levels follow each other along S, row by row.
        sizes: (height, width) of each of the L levels.
        locations: (B, Q, M, L, P, 2), the map's corners are (0, 0) and (1, 1). Held in float32 at least.
        weights: (B, Q, M, L, P).

    Returns:
        (B, Q, M * D), of value's type.

    Raises:
        ValueError: when the shapes do not fit together.
    """
    _check_shapes(value, sizes, locations, weights)
    dtype = sum_type(value.dtype)
    if exporting():
        return fallback.by_grid_sample(value, sizes, locations, weights)
    if not has_kernel(value, locations):
        if not torch.compiler.is_compiling():
            _warn_once(value.device.type)
        return fallback.by_embedding_bag(value, sizes, locations, weights)
    flat = [side for size in sizes for side in size]
    return operators.deformable_attention(value, flat, None, locations.to(dtype), weights.to(dtype))


def multi_scale_deformable_attention_of_offsets(
    value: Tensor, sizes: Sizes, reference_points: Tensor, offsets: Tensor, logits: Tensor
) -> Tensor:
    """The same from what a network predicts: softmax and locations are computed on the way, and never held.

    Args:
        value: (B, S, M, D).
        sizes: (height, width) of each of the L levels.
        reference_points: (Q, 2), locations around which the samples lie.
        offsets: (B, Q, M, L, P, 2) from there, in pixels of the level.
        logits: (B, Q, M, L, P), of the weights over all levels and points.

    Returns:
        (B, Q, M * D), of value's type.

    Raises:
        ValueError: when the shapes do not fit together.
    """
    _check_shapes(value, sizes, offsets, logits)
    dtype = sum_type(value.dtype)
    if exporting() or reference_points.requires_grad or not has_kernel(value, offsets):
        weights = logits.to(dtype).flatten(3).softmax(dim=-1).view(logits.shape)
        # Filled and not copied: a copy from the host would wait for a GPU.
        extent = torch.stack([offsets.new_full((), side, dtype=dtype) for size in sizes for side in reversed(size)])
        steps = offsets.to(dtype) / extent.view(1, 1, 1, len(sizes), 1, 2)
        locations = reference_points.to(dtype).view(1, -1, 1, 1, 1, 2) + steps
        return multi_scale_deformable_attention(value, sizes, locations, weights)
    if offsets.dtype != value.dtype or logits.dtype != value.dtype:
        offsets, logits = offsets.to(dtype), logits.to(dtype)
    flat = [side for size in sizes for side in size]
    return operators.deformable_attention(value, flat, reference_points.to(dtype), offsets, logits)


class MSDeformAttnFunction:
    """The call of Deformable DETR's compiled extension, for code that was written for it."""

    @staticmethod
    def apply(
        value: Tensor,
        value_spatial_shapes: Tensor,
        value_level_start_index: Tensor,
        sampling_locations: Tensor,
        attention_weights: Tensor,
        im2col_step: int,
    ) -> Tensor:
        """As `multi_scale_deformable_attention`; reads the shapes from their tensor, which waits for a GPU."""
        sizes = [(int(height), int(width)) for height, width in value_spatial_shapes.tolist()]
        return multi_scale_deformable_attention(value, sizes, sampling_locations, attention_weights)


def _check_shapes(value: Tensor, sizes: Sizes, positions: Tensor, scores: Tensor) -> None:
    B, S, M, _ = value.shape
    if sum(height * width for height, width in sizes) != S:
        raise ValueError(f"level sizes {list(sizes)} hold {sum(h * w for h, w in sizes)} tokens; value has {S}")
    Q, P = positions.shape[1], positions.shape[4]
    expected = (B, Q, M, len(sizes), P)
    if positions.shape != (*expected, 2) or scores.shape != expected:
        raise ValueError(
            f"{len(sizes)} levels and value {tuple(value.shape)} want samples (B, Q, M, L, P, 2) and (B, Q, M, L, P); "
            f"got {tuple(positions.shape)} and {tuple(scores.shape)}"
        )


@cache
def _warn_once(device_type: str) -> None:
    built = LIBRARIES[device_type].built if device_type in LIBRARIES else "there is no kernel for such devices"
    warnings.warn(
        f"deformable attention on {device_type} runs by PyTorch's own operators, several times slower than by a "
        f"compiled kernel ({built}); `prolab doctor` says more",
        stacklevel=3,
    )


class MSDeformAttn(nn.Module):
    """Deformable attention with its projections; parameter names are those of Deformable DETR.

    Args:
        dim: channels of queries and output.
        levels: number of value maps.
        heads: number of attention heads.
        points: samples each head takes of each level.
        ratio: width of the values relative to `dim` (ViT-Adapter uses 0.5).

    Raises:
        ValueError: when `dim * ratio` is not a multiple of `heads`.
    """

    def __init__(self, dim: int, levels: int, heads: int, points: int, ratio: float = 1.0) -> None:
        super().__init__()
        value_dim = int(dim * ratio)
        if value_dim % heads:
            raise ValueError(f"dim * ratio must be a multiple of heads; got {dim} * {ratio} and {heads} heads")
        self.levels, self.heads, self.points = levels, heads, points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, value_dim)
        self.output_proj = nn.Linear(value_dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Samples start on rays around the query, at 1 to `points` pixels, with equal weights (spec 2.1)."""
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack((angles.cos(), angles.sin()), dim=-1)
        directions = directions / directions.abs().amax(dim=-1, keepdim=True)
        distances = torch.arange(1, self.points + 1)
        offsets = directions[:, None, None, :] * distances[None, None, :, None]  # (M, 1, P, 2)
        nn.init.zeros_(self.sampling_offsets.weight)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.levels, -1, -1).reshape(-1))
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, query: Tensor, reference_points: Tensor, value: Tensor, sizes: Sizes) -> Tensor:
        """Attend from `query` (B, Q, dim) at `reference_points` (Q, 2) to `value` (B, S, dim); returns (B, Q, dim)."""
        B, Q, _ = query.shape
        M, L, P = self.heads, self.levels, self.points
        values = self.value_proj(value).view(B, value.shape[1], M, -1)
        offsets = self.sampling_offsets(query).view(B, Q, M, L, P, 2)
        logits = self.attention_weights(query).view(B, Q, M, L, P)
        sampled = multi_scale_deformable_attention_of_offsets(values, sizes, reference_points, offsets, logits)
        output: Tensor = self.output_proj(sampled)
        return output
