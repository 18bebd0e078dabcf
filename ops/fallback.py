"""Multi-scale deformable attention by PyTorch's own operators, for where there is no compiled kernel.

Shapes as in `ops.deformable_attention`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.library import sum_type

Sizes = Sequence[tuple[int, int]]


def by_embedding_bag(value: Tensor, sizes: Sizes, locations: Tensor, weights: Tensor) -> Tensor:
    """One `embedding_bag` that gathers and sums the four neighbours of every sample.

    No (B, Q, L * P, D) tensor is ever held. On a CPU the forward pass takes a third to an eighth of `grid_sample`'s
    time, and with the backward pass as much as it (tests/benchmarks/msda.py).
    """
    B, _, M, D = value.shape
    Q = locations.shape[1]
    dtype = sum_type(value.dtype)
    rows, row_weights = _bilinear_rows(value, sizes, locations.to(dtype), weights.to(dtype))
    samples = rows.shape[-1]
    output = F.embedding_bag(
        rows.reshape(-1, samples),
        value.to(dtype).reshape(-1, D),
        per_sample_weights=row_weights.reshape(-1, samples),
        mode="sum",
    )
    return output.view(B, Q, M * D).to(value.dtype)


def by_grid_sample(value: Tensor, sizes: Sizes, locations: Tensor, weights: Tensor) -> Tensor:
    """The same by an operator that every runtime has; `embedding_bag` has no counterpart in ONNX."""
    B, _, M, D = value.shape
    Q = locations.shape[1]
    dtype = sum_type(value.dtype)
    starts = itertools.accumulate((height * width for height, width in sizes), initial=0)
    output = value.new_zeros(B * M, D, Q, dtype=dtype)
    for level, ((height, width), start) in enumerate(zip(sizes, starts, strict=False)):
        maps = value[:, start : start + height * width].permute(0, 2, 3, 1).reshape(B * M, D, height, width)
        grid = 2 * locations[:, :, :, level].transpose(1, 2).flatten(0, 1) - 1  # (B * M, Q, P, 2)
        samples = F.grid_sample(maps.to(dtype), grid.to(dtype), padding_mode="zeros", align_corners=False)
        shares = weights[:, :, :, level].transpose(1, 2).flatten(0, 1)  # (B * M, Q, P)
        output = output + (samples * shares[:, None]).sum(dim=-1)
    return output.view(B, M * D, Q).transpose(1, 2).to(value.dtype)


def _bilinear_rows(value: Tensor, sizes: Sizes, locations: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Row of `value.view(B * S * M, D)` and weight of the four neighbours of each sample: (B, Q, M, L * P * 4) both."""
    B, S, M, _ = value.shape
    device = value.device
    image = torch.arange(B, dtype=torch.int32, device=device).view(B, 1, 1, 1) * (S * M)
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
