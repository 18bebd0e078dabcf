"""What networks call: the functions and the module, by the compiled kernel and by PyTorch's operators alike."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import pytest
import torch
from torch import Tensor

from ops import (
    MSDeformAttn,
    MSDeformAttnFunction,
    deformable_attention,
    fallback,
    multi_scale_deformable_attention,
    multi_scale_deformable_attention_of_offsets,
)
from ops.library import LIBRARIES, sum_type
from tests.ops.problems import LEVELS, PYRAMID, Inputs, check, cotangent, make_inputs

modes = pytest.mark.parametrize("fused", [False, True], ids=["locations", "fused"])


class AsCalled:
    """The public functions, as the kernels of `tests.ops.problems`."""

    def forward(self, inputs: Inputs) -> Tensor:
        arguments = (inputs.value, inputs.sizes)
        if inputs.reference is None:
            output = multi_scale_deformable_attention(*arguments, inputs.positions, inputs.scores)
        else:
            samples = (inputs.reference, inputs.positions, inputs.scores)
            output = multi_scale_deformable_attention_of_offsets(*arguments, *samples)
        images, queries, heads = inputs.scores.shape[:3]
        return output.view(images, queries, heads, inputs.value.shape[-1])

    def backward(self, inputs: Inputs, grad_output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        leaves = [tensor.detach().requires_grad_() for tensor in inputs.tensors()]
        value, positions, scores = leaves
        output = self.forward(replace(inputs, value=value, positions=positions, scores=scores))
        grad_value, grad_positions, grad_scores = torch.autograd.grad(output, leaves, grad_output)
        return grad_value, grad_positions, grad_scores


@pytest.fixture(params=["kernel", "embedding_bag", "grid_sample"])
def way(request: pytest.FixtureRequest) -> Iterator[AsCalled]:
    """The kernel, what replaces it without a compiler, and what exported networks hold."""
    if request.param == "kernel":
        if not LIBRARIES["cpu"].kernels:
            pytest.skip(f"no compiled kernels: {LIBRARIES['cpu'].built}")
        yield AsCalled()
        return
    with mock.patch.object(deformable_attention, "has_kernel", return_value=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if request.param == "embedding_bag":
            yield AsCalled()
        else:
            with mock.patch.object(deformable_attention, "exporting", return_value=True):
                yield AsCalled()


@modes
@pytest.mark.parametrize("sizes", LEVELS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_output_and_gradients_are_those_of_the_definition(
    way: AsCalled, dtype: torch.dtype, sizes: list[tuple[int, int]], fused: bool
) -> None:
    check(way, make_inputs(sizes, fused, channels=5).to(dtype, dtype if fused else sum_type(dtype)))


@modes
@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e9])
def test_far_outside_and_not_finite_positions_count_nothing(number: float, fused: bool) -> None:
    inputs = make_inputs([(4, 5)], fused)
    positions = inputs.positions.clone()
    positions[0] = number
    inputs = replace(inputs, positions=positions)
    for kernel in (True, False):
        with mock.patch.object(deformable_attention, "has_kernel", return_value=kernel and _has_kernel()):
            assert not AsCalled().forward(inputs)[0].any()
            _, gradient, _ = AsCalled().backward(inputs, cotangent(inputs))
            assert not gradient[0].any()
            assert gradient[1].any()


def _has_kernel() -> bool:
    return bool(LIBRARIES["cpu"].kernels)


def test_location_in_a_pixel_centre_gives_that_pixel(way: AsCalled) -> None:
    value = torch.arange(6, dtype=torch.float64).view(1, 6, 1, 1)  # a map of 2 x 3
    locations = torch.tensor([2.5 / 3, 0.5 / 2], dtype=torch.float64).view(1, 1, 1, 1, 1, 2)
    weights = torch.ones(1, 1, 1, 1, 1, dtype=torch.float64)
    assert way.forward(Inputs(value, [(2, 3)], locations, weights, None)).item() == pytest.approx(2.0)


def test_tensors_that_are_views_of_others(way: AsCalled) -> None:
    inputs = make_inputs(PYRAMID, fused=False)
    scattered = [tensor.transpose(0, 1).contiguous().transpose(0, 1) for tensor in inputs.tensors()]
    assert not any(tensor.is_contiguous() for tensor in scattered)
    value, positions, scores = scattered
    check(way, replace(inputs, value=value, positions=positions, scores=scores))


def test_sizes_that_do_not_fit_are_refused() -> None:
    inputs = make_inputs([(4, 4)], fused=False)
    with pytest.raises(ValueError, match="hold 20 tokens; value has 16"):
        multi_scale_deformable_attention(inputs.value, [(4, 5)], inputs.positions, inputs.scores)


def test_samples_that_do_not_fit_are_refused() -> None:
    inputs = make_inputs([(4, 4)], fused=False)
    with pytest.raises(ValueError, match=r"want samples .* got \(2, 5, 2, 1, 3, 2\) and \(2, 5, 2, 1, 2\)"):
        multi_scale_deformable_attention(inputs.value, [(4, 4)], inputs.positions, inputs.scores[..., :2])


def test_slow_way_is_told_once_and_why() -> None:
    inputs = make_inputs([(4, 4)], fused=False)
    deformable_attention._warn_once.cache_clear()
    with (
        mock.patch.object(deformable_attention, "has_kernel", return_value=False),
        pytest.warns(UserWarning, match=r"runs by PyTorch's own operators.*built.*prolab doctor") as told,
    ):
        for _ in range(2):
            multi_scale_deformable_attention(inputs.value, [(4, 4)], inputs.positions, inputs.scores)
    assert len(told) == 1
    assert told[0].filename == __file__


def test_old_call_gives_the_same() -> None:
    inputs = make_inputs(PYRAMID, fused=False)
    shapes = torch.tensor(PYRAMID)
    starts = torch.tensor([0, 96, 120])
    ours = multi_scale_deformable_attention(inputs.value, PYRAMID, inputs.positions, inputs.scores)
    old = MSDeformAttnFunction.apply(inputs.value, shapes, starts, inputs.positions, inputs.scores, 64)
    assert torch.equal(ours, old)


def test_equals_the_eager_back_end_of_deformops() -> None:
    """Where that package is installed, which wants Python 3.12."""
    eager = pytest.importorskip("deformops.backends.eager.msda", reason="deformops is not installed")
    inputs = make_inputs(PYRAMID, fused=False, channels=32)
    shapes, starts = torch.tensor(PYRAMID), torch.tensor([0, 96, 120])
    theirs = eager.msda_eager(inputs.value, shapes, starts, inputs.positions, inputs.scores)
    ours = multi_scale_deformable_attention(inputs.value, PYRAMID, inputs.positions, inputs.scores)
    torch.testing.assert_close(ours, theirs.reshape(ours.shape), rtol=1e-4, atol=1e-5)


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
    """Other runtimes have neither our operator nor `embedding_bag`; the result is the same."""
    torch.manual_seed(0)
    attention = MSDeformAttn(dim=12, levels=2, heads=3, points=2).double().eval()
    torch.nn.init.normal_(attention.sampling_offsets.weight)
    torch.nn.init.normal_(attention.attention_weights.weight)
    sizes = ((5, 7), (2, 3))
    inputs = torch.randn(2, 4, 12).double(), torch.rand(4, 2).double(), torch.randn(2, 41, 12).double(), sizes
    exported = torch.export.export(attention, inputs)
    operators = {str(node.target) for node in exported.graph.nodes}
    assert any("grid_sampler" in name for name in operators)
    assert not any("embedding_bag" in name or "prolab" in name for name in operators)
    torch.testing.assert_close(exported.module()(*inputs), attention(*inputs), rtol=1e-10, atol=1e-10)


def test_fallback_holds_no_sample() -> None:
    """Its largest tensor is of rows and weights, not of samples by channels."""
    inputs = make_inputs(PYRAMID, fused=False, channels=64, queries=50, points=4)
    with torch.profiler.profile(profile_memory=True) as profile:
        fallback.by_embedding_bag(inputs.value, PYRAMID, inputs.positions, inputs.scores)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert largest < inputs.scores.numel() * 64 * 4
