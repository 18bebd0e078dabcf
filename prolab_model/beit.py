"""BEiT's transformer blocks: attention with relative positions, layer scale (spec 2.2)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prolab_model.relative_position import RelativePositions, table_length
from prolab_model.resampling import Size
from prolab_model.vit import DropPath, Mlp


def _ignore_index(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Files of the reference hold each block's index of relative positions, which follows from the grid."""
    state_dict.pop(f"{prefix}relative_position_index", None)


class BEiTAttention(nn.Module):
    """Multi-head self-attention with a learned bias for each relative position; keys have no bias."""

    def __init__(self, dim: int, heads: int, grid: Size) -> None:
        super().__init__()
        self.heads, self.grid = heads, grid
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.relative_position_bias_table = nn.Parameter(torch.zeros(table_length(grid), heads))
        self.proj = nn.Linear(dim, dim)
        self.register_load_state_dict_pre_hook(_ignore_index)  # type: ignore[no-untyped-call]  # torch's is untyped

    def forward(self, x: Tensor, positions: RelativePositions) -> Tensor:
        """(B, 1 + N, dim) to (B, 1 + N, dim)."""
        B, N, C = x.shape
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        q, k, v = (
            F.linear(x, self.qkv.weight, bias).view(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        )  # (B, heads, N, C / heads)
        mask = positions.bias(self.relative_position_bias_table, self.grid).to(q.dtype)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(B, N, C))
        return projected


class BEiTBlock(nn.Module):
    """Pre-norm transformer block with layer scale (`gamma_1`, `gamma_2`)."""

    def __init__(
        self, dim: int, heads: int, mlp_ratio: float, drop_path: float, grid: Size, layer_scale: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = BEiTAttention(dim, heads, grid)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.gamma_1 = nn.Parameter(torch.full((dim,), layer_scale))
        self.gamma_2 = nn.Parameter(torch.full((dim,), layer_scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, positions: RelativePositions) -> Tensor:
        """(B, 1 + N, dim), the class token first, to the same shape."""
        x = x + self.drop_path(self.gamma_1 * self.attn(self.norm1(x), positions))
        out: Tensor = x + self.drop_path(self.gamma_2 * self.mlp(self.norm2(x)))
        return out
