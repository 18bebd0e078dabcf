"""Plain vision transformer without class token: patches in, tokens out (spec 2.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prolab_model.recompute import recompute
from prolab_model.resampling import Size, same_size


def rows_and_columns(grid: int | Size) -> Size:
    """A grid given by one number for both sides, or by both."""
    if isinstance(grid, int):
        return grid, grid
    rows, columns = grid
    return rows, columns


class DropPath(nn.Module):
    """Drops a whole residual branch of single images while training (stochastic depth)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x` (B, ...); kept images are scaled up so that the mean stays."""
        if self.rate == 0 or not self.training:
            return x
        keep = 1 - self.rate
        mask = torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device) < keep
        return x * mask.to(x.dtype).div(keep)


class PatchEmbed(nn.Module):
    """Image (B, 3, H, W) to tokens (B, H * W / patch_size**2, dim)."""

    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(3, dim, patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens row by row."""
        tokens: Tensor = self.proj(images)
        return tokens.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention over all tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) to (B, N, dim)."""
        B, N, C = x.shape
        q, k, v = (
            self.qkv(x).view(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        )  # (B, heads, N, C/heads)
        out = F.scaled_dot_product_attention(q, k, v)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(B, N, C))
        return projected


def linear_of_gelu(linear: nn.Linear, hidden: Tensor) -> Tensor:
    """`linear(gelu(hidden))` that keeps the wide map `hidden` (B, N, hidden) for the backward pass, and it alone."""
    return recompute(lambda hidden: linear(F.gelu(hidden)), hidden)


class Mlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) to (B, N, dim)."""
        return linear_of_gelu(self.fc2, self.fc1(x))


class Block(nn.Module):
    """Pre-norm transformer block with layer scale (`gamma1`, `gamma2`)."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.gamma1 = nn.Parameter(torch.ones(dim))
        self.gamma2 = nn.Parameter(torch.ones(dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) to (B, N, dim)."""
        x = x + self.drop_path(self.gamma1 * self.attn(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.gamma2 * self.mlp(self.norm2(x)))
        return out


def resize_position_embedding(tokens: Tensor, source: Size, target: Size) -> Tensor:
    """Bicubic resize of a grid of position embeddings.

    Args:
        tokens: (1, rows * columns, D), without the class token's entry.
        source: (rows, columns) of the grid.
        target: (rows, columns) wanted.

    Returns:
        (1, rows * columns, D) of `target`.
    """
    if same_size(source, target):
        return tokens
    maps = tokens.reshape(1, *source, -1).permute(0, 3, 1, 2)
    maps = F.interpolate(maps, size=target, mode="bicubic", align_corners=False)
    return maps.flatten(2).transpose(1, 2)
