"""Bilinear resizing and adaptive pooling written as matrices, and convolutions that never see a resized map.

A resize along one axis is a matrix, so it commutes with whatever works on the channels. All of it
is bilinear with `align_corners=False`, for any sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ops import exporting

Size = tuple[int, int]


def same_size(source: Size, target: Size) -> bool:
    """Whether a resize may be left out; never while exporting, where sizes stay open."""
    return not exporting() and tuple(source) == tuple(target)


def bilinear_matrix(inputs: int, outputs: int, like: Tensor) -> Tensor:
    """Weights (outputs, inputs) of a resize along one axis, with dtype and device of `like`."""
    positions = _source_positions(0, outputs, inputs, outputs, like.device)
    pixels = torch.arange(inputs, dtype=positions.dtype, device=like.device)
    return (1 - (positions[:, None] - pixels).abs()).clamp_min(0).to(like.dtype)


def pooling_matrix(inputs: int, outputs: int, like: Tensor) -> Tensor:
    """Weights (outputs, inputs) of adaptive average pooling along one axis: bins may overlap by a pixel."""
    bins = torch.arange(outputs, device=like.device)[:, None]
    first = bins * inputs // outputs
    end = ((bins + 1) * inputs + outputs - 1) // outputs
    pixels = torch.arange(inputs, device=like.device)
    inside = ((pixels >= first) & (pixels < end)).to(like.dtype)
    return inside / (end - first)


def adaptive_average_pool(maps: Tensor, size: int) -> Tensor:
    """Maps (B, C, H, W) to (B, C, size, size), for sizes that an exported graph need not know."""
    rows = pooling_matrix(maps.shape[-2], size, maps)
    columns = pooling_matrix(maps.shape[-1], size, maps)
    return rows @ (maps @ columns.T)


def source_rows(start: int, stop: int, inputs: int, outputs: int) -> tuple[int, int]:
    """First and last + 1 of the `inputs` rows from which rows `start` to `stop` of `outputs` are interpolated."""
    first, last = ((row + 0.5) * inputs / outputs - 0.5 for row in (start, stop - 1))
    return max(0, min(int(first), inputs - 1)), min(inputs, max(0, int(last)) + 2)


def resized_rows(rows: Tensor, first: int, start: int, stop: int, size: Size, inputs: int) -> Tensor:
    """Rows `start` to `stop` of maps resized to `size`, from no more than the rows they are made of.

    Args:
        rows: (B, h, w, C), rows of the maps from row `first` on, as `source_rows` names them.
        first: see `rows`.
        start: first row of the resized maps.
        stop: row of the resized maps to stop before.
        size: (height, width) of the whole resized maps.
        inputs: height of the whole maps.

    Returns:
        (B, stop - start, width, C).
    """
    positions = _source_positions(start, stop, inputs, size[0], rows.device)
    upper = positions.floor().long().clamp(max=inputs - 1)
    lower = (upper + 1).clamp(max=inputs - 1)
    share = (positions - upper).to(rows.dtype)[:, None, None]
    between = torch.lerp(rows.index_select(1, upper - first), rows.index_select(1, lower - first), share)
    channels_first = between.permute(0, 3, 1, 2)
    wide = F.interpolate(channels_first, size=(stop - start, size[1]), mode="bilinear", align_corners=False)
    return wide.permute(0, 2, 3, 1)


def upsampled_length(maps: Tensor, size: Size) -> Tensor:
    """Euclidean length of every pixel of maps (B, C, h, w) resized to `size` (H, W), without resizing C channels.

    A resized pixel is a mean of four neighbours, so its squared length is a quadratic form in
    their inner products: along each axis, squared weights meet a pixel with itself and doubled
    products of neighbouring weights meet it with the next.

    Returns:
        (B, H, W), at least float32.
    """
    dtype = torch.promote_types(maps.dtype, torch.float32)
    maps = maps.to(dtype)
    # A few channels at a time stay in the caches through the five products, and on the way back.
    groups = [_neighbour_products(group) for group in torch.split(maps, 32, dim=1)]
    # In float64, which autocast leaves alone: of these products the square root is taken.
    products = [torch.stack(parts).sum(dim=0).double() for parts in zip(*groups, strict=True)]
    itself, beside, below, diagonal = products
    row_weights, row_pairs = _squared_weights(maps.shape[-2], size[0], itself)
    column_weights, column_pairs = _squared_weights(maps.shape[-1], size[1], itself)
    squared = row_weights @ (itself @ column_weights.T + beside @ column_pairs.T)
    squared = squared + row_pairs @ (below @ column_weights.T + diagonal @ column_pairs.T / 2)
    return squared.clamp_min(1e-24).sqrt().to(dtype)


def _neighbour_products(maps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inner products of every pixel of maps (B, C, h, w) with itself, its right and its lower neighbour.

    The fourth is the sum of the two diagonals of every square of four pixels.
    """
    left, right = maps[..., :-1], maps[..., 1:]
    upper, lower = maps[..., :-1, :], maps[..., 1:, :]
    falling = left[..., :-1, :] * right[..., 1:, :]
    rising = right[..., :-1, :] * left[..., 1:, :]
    return (
        maps.square().sum(dim=1),
        (left * right).sum(dim=1),
        (upper * lower).sum(dim=1),
        falling.sum(dim=1) + rising.sum(dim=1),
    )


def _squared_weights(inputs: int, outputs: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (outputs, inputs) of squares and (outputs, inputs - 1) of neighbours' products in a squared resize."""
    weights = bilinear_matrix(inputs, outputs, like)
    return weights.square(), 2 * weights[:, :-1] * weights[:, 1:]


def _source_positions(start: int, stop: int, inputs: int, outputs: int, device: torch.device) -> Tensor:
    """Where pixels `start` to `stop` of a resized axis lie on the axis they are interpolated from."""
    pixels = torch.arange(start, stop, dtype=torch.float64, device=device)
    return ((pixels + 0.5) * (inputs / outputs) - 0.5).clamp(0, inputs - 1)


def convolve_resized(maps: Sequence[Tensor], weight: Tensor) -> Tensor:
    """3x3 convolution, padded with zeros, of the maps resized to the first one's size and concatenated.

    Neither the resized maps nor their concatenation exist: a 1x1 convolution gives the nine taps
    of a map at its own size, and two matrices resize, shift and sum them. For UPerNet's fusion of
    four levels that is a third of the multiplications.

    Args:
        maps: (B, C_i, h_i, w_i) each.
        weight: (O, sum of C_i, 3, 3).

    Returns:
        (B, O, h_0, w_0).
    """
    weights = torch.split(weight, [each.shape[1] for each in maps], dim=1)
    total = F.conv2d(maps[0], weights[0], padding=1)
    for smaller, part in zip(maps[1:], weights[1:], strict=True):
        total = _add_convolved(total, smaller, part)
    return total


def _add_convolved(total: Tensor, smaller: Tensor, weight: Tensor) -> Tensor:
    """Add the convolution of a map (B, C, h, w), resized to the size of `total` (B, O, H, W), to it."""
    B, C, h, w = smaller.shape
    _, outputs, H, W = total.shape
    # Taps ordered (column, output, row), so that the row taps lie beside the rows that they shift.
    kernels = weight.permute(3, 0, 2, 1).reshape(3 * outputs * 3, C, 1, 1)
    taps = F.conv2d(smaller, kernels).reshape(B, 3 * outputs, 3 * h, w)
    rows = _shifted_resizes(h, H, taps)  # (3, H, h)
    columns = _shifted_resizes(w, W, taps)  # (3, W, w)
    tall = rows.transpose(0, 1).reshape(H, 3 * h) @ taps  # (B, 3 * outputs, H, w)
    wide = total.reshape(B, outputs * H, W)
    for tap, column in zip(tall.view(B, 3, outputs * H, w).unbind(dim=1), columns.mT, strict=True):
        wide = torch.baddbmm(wide, tap, column.expand(B, -1, -1))
    return wide.view(B, outputs, H, W)


def _shifted_resizes(inputs: int, outputs: int, like: Tensor) -> Tensor:
    """Resizes (3, outputs, inputs) whose result is moved by one pixel forwards, not at all, and backwards."""
    padded = F.pad(bilinear_matrix(inputs, outputs, like), (0, 0, 1, 1))
    return torch.stack([padded[tap : tap + outputs] for tap in range(3)])
