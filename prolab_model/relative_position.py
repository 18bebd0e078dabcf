"""Relative positions of a grid of tokens with a class token, as BEiT numbers them (spec 2.2).

A table has one row for each offset (rows, columns) between two tokens of the grid, and three more:
class token to patch, patch to class token, class token to itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from prolab_model.resampling import Size, same_size

CLASS_ROWS = 3


def offsets(grid: Size) -> Size:
    """How many different offsets along rows and columns a grid has."""
    return 2 * grid[0] - 1, 2 * grid[1] - 1


def table_length(grid: Size) -> int:
    """Rows of the table for `grid`."""
    rows, columns = offsets(grid)
    return rows * columns + CLASS_ROWS


def relative_position_index(grid: Size, device: torch.device) -> Tensor:
    """Row of the table for each pair of query and key, the class token first: (1 + N, 1 + N)."""
    height, width = grid
    row = torch.arange(height, device=device).view(height, 1).expand(grid).reshape(-1)
    column = torch.arange(width, device=device).view(1, width).expand(grid).reshape(-1)
    down = row[:, None] - row[None, :] + (height - 1)
    right = column[:, None] - column[None, :] + (width - 1)
    patches = down * (2 * width - 1) + right
    first = table_length(grid) - CLASS_ROWS
    from_class = torch.full_like(patches[:1], first)
    to_class = torch.full_like(patches[:, :1], first + 1)
    both = torch.full_like(patches[:1, :1], first + 2)
    return torch.cat((torch.cat((both, from_class), dim=1), torch.cat((to_class, patches), dim=1)))


@dataclass(frozen=True)
class RelativePositions:
    """Relative positions of one batch's tokens, shared by all blocks.

    Attributes:
        grid: (rows, columns) of the patch tokens.
        index: (1 + N, 1 + N), see `relative_position_index`.
    """

    grid: Size
    index: Tensor

    @classmethod
    def of_grid(cls, grid: Size, device: torch.device) -> RelativePositions:
        """Positions of the class token and the tokens of `grid`."""
        return cls(grid, relative_position_index(grid, device))

    def bias(self, table: Tensor, source: Size) -> Tensor:
        """What attention adds to the products of queries and keys: (1, heads, 1 + N, 1 + N).

        Args:
            table: (table_length(source), heads).
            source: grid for which the table was learned; another one's is interpolated.
        """
        table = interpolate_table(table, source, self.grid)
        return F.embedding(self.index, table).permute(2, 0, 1).unsqueeze(0)


def interpolate_table(table: Tensor, source: Size, target: Size) -> Tensor:
    """Bicubic resize of a table (table_length(source), heads) to the offsets of another grid.

    Differentiable and cheap, for input of any size; `pretrained` resizes as the reference does.
    """
    if same_size(source, target):
        return table
    patches, rest = table[:-CLASS_ROWS], table[-CLASS_ROWS:]
    maps = patches.t().reshape(1, -1, *offsets(source))  # (1, heads, rows, columns)
    maps = F.interpolate(maps, size=offsets(target), mode="bicubic", align_corners=False)
    return torch.cat((maps[0].flatten(1).t(), rest))
