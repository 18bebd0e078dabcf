from __future__ import annotations

import pytest
import torch

from prolab_model.relative_position import (
    RelativePositions,
    interpolate_table,
    offsets,
    relative_position_index,
    table_length,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (2, 3), (5, 4)], ids=str)
def test_each_pair_has_the_row_of_its_offset(grid: tuple[int, int]) -> None:
    """By the definition, pair by pair."""
    rows, columns = offsets(grid)
    index = relative_position_index(grid, CPU)
    tokens = [(row, column) for row in range(grid[0]) for column in range(grid[1])]
    assert index.shape == (1 + len(tokens), 1 + len(tokens))
    for query, (row, column) in enumerate(tokens):
        for key, (other_row, other_column) in enumerate(tokens):
            down, right = row - other_row + grid[0] - 1, column - other_column + grid[1] - 1
            assert index[1 + query, 1 + key] == down * columns + right
    assert index[0, 0] == rows * columns + 2
    assert (index[0, 1:] == rows * columns).all()
    assert (index[1:, 0] == rows * columns + 1).all()


@pytest.mark.parametrize(("grid", "length"), [((40, 40), 6244), ((56, 56), 12324), ((2, 3), 18)])
def test_table_has_a_row_for_each_offset(grid: tuple[int, int], length: int) -> None:
    assert table_length(grid) == length
    assert relative_position_index(grid, CPU).max() == length - 1


def test_bias_is_looked_up_for_each_head() -> None:
    table = torch.randn(table_length((2, 3)), 4)
    positions = RelativePositions.of_grid((2, 3), CPU)
    bias = positions.bias(table, (2, 3))
    assert bias.shape == (1, 4, 7, 7)
    assert torch.equal(bias[0, 2], table[:, 2][positions.index])


def test_table_of_the_same_grid_stays() -> None:
    table = torch.randn(table_length((3, 4)), 2)
    assert interpolate_table(table, (3, 4), (3, 4)) is table


@pytest.mark.parametrize("target", [(7, 7), (3, 9), (2, 2)], ids=str)
def test_interpolated_table_keeps_centre_symmetry_and_class_rows(target: tuple[int, int]) -> None:
    source = (4, 5)
    rows, columns = offsets(source)
    down, right = torch.linspace(-1, 1, rows)[:, None], torch.linspace(-1, 1, columns)[None]
    patches = torch.stack([(-(down**2) - right**2), down.abs() + right.abs()], dim=-1).flatten(0, 1)
    table = torch.cat([patches, torch.randn(3, 2)])
    resized = interpolate_table(table, source, target)
    assert len(resized) == table_length(target)
    assert torch.equal(resized[-3:], table[-3:])
    grid = resized[:-3].view(*offsets(target), 2)
    torch.testing.assert_close(grid, grid.flip(0, 1))
    assert grid[..., 0].argmax() == grid[..., 0].numel() // 2
