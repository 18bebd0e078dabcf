from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from prolab_model.resampling import (
    adaptive_average_pool,
    bilinear_matrix,
    convolve_resized,
    resized_rows,
    source_rows,
    upsampled_length,
)

SIZES = [(1, 1), (1, 6), (4, 16), (7, 9), (9, 7), (12, 5), (16, 2)]


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def random(*shape: int) -> Tensor:
    torch.manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
def test_matrix_resizes_an_axis(inputs: int, outputs: int) -> None:
    maps = random(1, 2, inputs, 3)
    torch.testing.assert_close(bilinear_matrix(inputs, outputs, maps) @ maps, resize(maps, (outputs, 3)))


@pytest.mark.parametrize("size", [1, 2, 3, 6, 8])
def test_pooling_is_adaptive_average_pooling(size: int) -> None:
    maps = random(2, 3, 16, 7)
    torch.testing.assert_close(adaptive_average_pool(maps, size), F.adaptive_avg_pool2d(maps, size))


def test_convolution_of_resized_maps_and_its_gradients() -> None:
    shapes = [(5, 12, 20), (6, 6, 10), (3, 5, 7), (2, 1, 1), (1, 24, 31)]
    maps = [random(2, *shape).requires_grad_() for shape in shapes]
    weight = random(4, sum(shape[0] for shape in shapes), 3, 3).requires_grad_()
    concatenated = torch.cat([resize(each, (12, 20)) for each in maps], dim=1)
    expected = F.conv2d(concatenated, weight, padding=1)
    actual = convolve_resized(maps, weight)
    torch.testing.assert_close(actual, expected)
    seen = random(*expected.shape)
    for ours, original in zip(
        torch.autograd.grad(actual, [*maps, weight], seen),
        torch.autograd.grad(expected, [*maps, weight], seen),
        strict=True,
    ):
        torch.testing.assert_close(ours, original)


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
@pytest.mark.parametrize("rows_in_strip", [1, 3, 100])
def test_rows_of_a_resized_map(inputs: int, outputs: int, rows_in_strip: int) -> None:
    maps = random(2, 3, inputs, 5)
    expected = resize(maps, (outputs, 8)).permute(0, 2, 3, 1)
    for start in range(0, outputs, rows_in_strip):
        stop = min(outputs, start + rows_in_strip)
        first, last = source_rows(start, stop, inputs, outputs)
        rows = maps.permute(0, 2, 3, 1)[:, first:last]
        torch.testing.assert_close(
            resized_rows(rows, first, start, stop, (outputs, 8), inputs), expected[:, start:stop]
        )


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
def test_length_of_upsampled_vectors_and_its_gradient(inputs: int, outputs: int) -> None:
    maps = random(2, 6, inputs, 5).requires_grad_()
    expected = resize(maps, (outputs, 11)).norm(dim=1)
    actual = upsampled_length(maps, (outputs, 11))
    torch.testing.assert_close(actual, expected)
    seen = random(*expected.shape)
    torch.testing.assert_close(torch.autograd.grad(actual, maps, seen), torch.autograd.grad(expected, maps, seen))


def test_length_does_not_suffer_from_autocast() -> None:
    maps = random(2, 6, 4, 5).float()
    expected = upsampled_length(maps, (16, 20))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(upsampled_length(maps, (16, 20)), expected)
