"""Multi-scale deformable attention (Deformable DETR, section 4.1) in plain PyTorch.

Shapes: B images, S value tokens over all levels, Q queries, M heads, D channels a head,
L levels, P points a level. Locations are (x, y) in units of the level's width and height.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Sizes = Sequence[tuple[int, int]]


def exporting() -> bool:
    """Whether the network is being traced for `torch.export` or ONNX: only operators known there, sizes left open."""
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()


def multi_scale_deformable_attention(value: Tensor, sizes: Sizes, locations: Tensor, weights: Tensor) -> Tensor:
    """Sum of bilinear samples of `value` at `locations`, weighted by `weights`; zero outside a map.

    One `embedding_bag` gathers and sums the four neighbours of every sample, so that no
    (B, Q, L * P, D) tensor is ever held. On a CPU the forward pass takes a third to an eighth of
    `grid_sample`'s time, and with the backward pass as much as it (tests/benchmarks/msda.py).

    Args:
        value: (B, S, M, D); the levels follow each other along S, row by row.
        sizes: (height, width) of each of the L levels.
        locations: (B, Q, M, L, P, 2), the map's corners are (0, 0) and (1, 1).
        weights: (B, Q, M, L, P).

    Returns:
        (B, Q, M * D).

    Raises:
        ValueError: when `sizes` do not add up to S.
    """
    B, S, M, D = value.shape
    Q = locations.shape[1]
    if sum(height * width for height, width in sizes) != S:
        raise ValueError(f"level sizes {list(sizes)} hold {sum(h * w for h, w in sizes)} tokens; value has {S}")
    if exporting():
        return _by_grid_sample(value, sizes, locations, weights)
    rows, row_weights = _bilinear_rows(value, sizes, locations, weights)  # (B, Q, M, L * P * 4) each
    samples = rows.shape[-1]
    output = F.embedding_bag(
        rows.reshape(-1, samples),
        value.reshape(-1, D),
        per_sample_weights=row_weights.reshape(-1, samples).to(value.dtype),
        mode="sum",
    )
    return output.view(B, Q, M * D)


def _by_grid_sample(value: Tensor, sizes: Sizes, locations: Tensor, weights: Tensor) -> Tensor:
    """The same by an operator that every runtime has; `embedding_bag` has no counterpart in ONNX."""
    B, _, M, D = value.shape
    Q = locations.shape[1]
    starts = itertools.accumulate((height * width for height, width in sizes), initial=0)
    output = value.new_zeros(B * M, D, Q)
    for level, ((height, width), start) in enumerate(zip(sizes, starts, strict=False)):
        maps = value[:, start : start + height * width].permute(0, 2, 3, 1).reshape(B * M, D, height, width)
        grid = 2 * locations[:, :, :, level].transpose(1, 2).flatten(0, 1) - 1  # (B * M, Q, P, 2)
        samples = F.grid_sample(maps, grid, padding_mode="zeros", align_corners=False)  # (B * M, D, Q, P)
        shares = weights[:, :, :, level].transpose(1, 2).flatten(0, 1)  # (B * M, Q, P)
        output = output + (samples * shares[:, None]).sum(dim=-1)
    return output.view(B, M * D, Q).transpose(1, 2)


def _bilinear_rows(value: Tensor, sizes: Sizes, locations: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Row of `value.view(B * S * M, D)` and weight of the four neighbours of every sample."""
    B, S, M, _ = value.shape
    device = value.device
    image = torch.arange(0, B * S * M, S * M, dtype=torch.int32, device=device).view(B, 1, 1, 1)
    image_and_head = image + torch.arange(M, dtype=torch.int32, device=device).view(1, 1, M, 1)  # (B, 1, M, 1)
    rows, row_weights = [], []
    start = 0
    for level, (height, width) in enumerate(sizes):
        columns, column_shares = _neighbours(locations[:, :, :, level, :, 0], width)
        lines, line_shares = _neighbours(locations[:, :, :, level, :, 1], height)
        line_shares = [share * weights[:, :, :, level] for share in line_shares]
        columns = [column * M + (image_and_head + start * M) for column in columns]
        for line, line_share in zip(lines, line_shares, strict=True):
            line = line * (width * M)
            for column, column_share in zip(columns, column_shares, strict=True):
                rows.append(line + column)
                row_weights.append(line_share * column_share)
        start += height * width
    return torch.cat(rows, dim=-1), torch.cat(row_weights, dim=-1)


def _neighbours(coordinate: Tensor, size: int) -> tuple[list[Tensor], list[Tensor]]:
    """The two pixels beside a coordinate in [0, 1] along one axis, and the share of each; zero outside the map."""
    # A coordinate that is not finite, or far outside, becomes one just outside the map.
    pixel = torch.nan_to_num(coordinate * size - 0.5, nan=-2.0).clamp(-2, size + 1)
    lower = pixel.detach().floor()
    share = pixel - lower
    index = lower.int()
    inside = (index >= 0) & (index < size)
    next_inside = (index >= -1) & (index < size - 1)
    return (
        [index.clamp(0, size - 1), (index + 1).clamp(0, size - 1)],
        [(1 - share) * inside, share * next_inside],
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
        weights = self.attention_weights(query).view(B, Q, M, L * P).softmax(dim=-1).view(B, Q, M, L, P)
        # At least float32: in bfloat16 a sample would miss its pixel by 9-15 % of the output.
        dtype = torch.promote_types(values.dtype, torch.float32)
        # Filled and not copied: a copy from the host would wait for a GPU.
        extent = torch.stack([offsets.new_full((), side, dtype=dtype) for size in sizes for side in reversed(size)])
        locations = reference_points.view(1, Q, 1, 1, 1, 2) + offsets.to(dtype) / extent.view(1, 1, 1, L, 1, 2)
        sampled = multi_scale_deformable_attention(values.to(dtype), sizes, locations, weights.to(dtype))
        output: Tensor = self.output_proj(sampled.to(values.dtype))
        return output
