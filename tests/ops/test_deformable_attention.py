from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ops import MSDeformAttn, multi_scale_deformable_attention

Inputs = tuple[Tensor, list[tuple[int, int]], Tensor, Tensor]


def make_inputs(sizes: list[tuple[int, int]], spread: float = 0.3, seed: int = 0) -> Inputs:
    """Two images, 5 queries, 3 heads of 4 channels, 2 points, in float64; some locations lie outside."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, dtype=torch.float64, generator=generator)

    tokens = sum(height * width for height, width in sizes)
    value = random(2, tokens, 3, 4) - 0.5
    locations = random(2, 5, 3, len(sizes), 2, 2) * (1 + 2 * spread) - spread
    weights = random(2, 5, 3, len(sizes), 2)
    return value, sizes, locations, weights


def by_grid_sample(value: Tensor, sizes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """The definition: bilinear samples with zeros outside, weighted and added up."""
    images, _, heads, channels = value.shape
    queries = locations.shape[1]
    output = value.new_zeros(images, queries, heads, channels)
    for level, (tokens, (height, width)) in enumerate(
        zip(value.split([height * width for height, width in sizes], dim=1), sizes, strict=True)
    ):
        for head in range(heads):
            maps = tokens[:, :, head].transpose(1, 2).reshape(images, channels, height, width)
            grid = 2 * locations[:, :, head, level] - 1
            samples = F.grid_sample(maps, grid, padding_mode="zeros", align_corners=False)  # (B, D, Q, P)
            output[:, :, head] += (samples * weights[:, None, :, head, level]).sum(-1).transpose(1, 2)
    return output.flatten(2)


@pytest.mark.parametrize(
    "sizes",
    [[(7, 5)], [(1, 1)], [(1, 6)], [(8, 12), (4, 6), (2, 3)], [(5, 5), (3, 3), (2, 2), (1, 2), (1, 1)]],
    ids=str,
)
def test_output_and_gradients_equal_grid_sample(sizes: list[tuple[int, int]]) -> None:
    value, sizes, locations, weights = make_inputs(sizes)
    leaves = [tensor.requires_grad_() for tensor in (value, locations, weights)]
    ours = multi_scale_deformable_attention(value, sizes, locations, weights)
    expected = by_grid_sample(value, sizes, locations, weights)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    cotangent = torch.linspace(-1, 1, ours.numel(), dtype=torch.float64).view_as(ours)
    for got, wanted in zip(
        torch.autograd.grad(ours, leaves, cotangent), torch.autograd.grad(expected, leaves, cotangent), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


def test_far_outside_and_not_finite_locations_count_nothing() -> None:
    value, sizes, locations, weights = make_inputs([(4, 4)])
    locations = torch.full_like(locations, float("nan"))
    locations[0] = float("inf")
    locations[1, 0] = 1e9
    locations.requires_grad_()
    output = multi_scale_deformable_attention(value, sizes, locations, weights)
    assert torch.equal(output, torch.zeros_like(output))
    (gradient,) = torch.autograd.grad(output.sum(), locations)
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_location_in_a_pixel_centre_gives_that_pixel() -> None:
    value = torch.arange(6, dtype=torch.float64).view(1, 6, 1, 1)  # a map of 2 x 3
    locations = torch.tensor([2.5 / 3, 0.5 / 2], dtype=torch.float64).view(1, 1, 1, 1, 1, 2)
    weights = torch.ones(1, 1, 1, 1, 1, dtype=torch.float64)
    output = multi_scale_deformable_attention(value, [(2, 3)], locations, weights)
    assert output.item() == pytest.approx(2.0)


def test_sizes_that_do_not_fit_are_refused() -> None:
    value, _, locations, weights = make_inputs([(4, 4)])
    with pytest.raises(ValueError, match="hold 20 tokens; value has 16"):
        multi_scale_deformable_attention(value, [(4, 5)], locations, weights)


def test_module_starts_on_rays_with_equal_weights() -> None:
    attention = MSDeformAttn(dim=32, levels=2, heads=4, points=3, ratio=0.5)
    offsets = attention.sampling_offsets.bias.detach().view(4, 2, 3, 2)
    distances = offsets.abs().amax(dim=-1)
    torch.testing.assert_close(distances, torch.tensor([1.0, 2.0, 3.0]).expand(4, 2, 3))
    assert not attention.sampling_offsets.weight.any()
    assert not attention.attention_weights.weight.any()


def test_module_keeps_locations_exact_in_bfloat16() -> None:
    torch.manual_seed(0)
    attention = MSDeformAttn(dim=32, levels=1, heads=4, points=4)
    torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.05)
    query, value = torch.randn(1, 64, 32), torch.randn(1, 64, 32)
    axis = (torch.arange(8) + 0.5) / 8
    reference_points = torch.cartesian_prod(axis, axis).flip(-1)
    exact = attention(query, reference_points, value, [(8, 8)])
    with torch.autocast("cpu", torch.bfloat16):
        rounded = attention(query, reference_points, value, [(8, 8)])
    assert (rounded.float() - exact).norm() / exact.norm() < 0.02


def test_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        MSDeformAttn(dim=30, levels=1, heads=4, points=4)


def test_exported_module_samples_by_grid_sample() -> None:
    """`embedding_bag` has no counterpart in ONNX; the result is the same."""
    torch.manual_seed(0)
    attention = MSDeformAttn(dim=12, levels=2, heads=3, points=2).double().eval()
    torch.nn.init.normal_(attention.sampling_offsets.weight)
    torch.nn.init.normal_(attention.attention_weights.weight)
    sizes = ((5, 7), (2, 3))
    inputs = torch.randn(2, 4, 12).double(), torch.rand(4, 2).double(), torch.randn(2, 41, 12).double(), sizes
    exported = torch.export.export(attention, inputs)
    operators = {str(node.target) for node in exported.graph.nodes}
    assert any("grid_sampler" in name for name in operators)
    assert not any("embedding_bag" in name for name in operators)
    torch.testing.assert_close(exported.module()(*inputs), attention(*inputs), rtol=1e-10, atol=1e-10)
