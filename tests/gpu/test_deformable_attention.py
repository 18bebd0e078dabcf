"""The CUDA kernels on a GPU against the definition in float64, by themselves and as `ops` calls them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ops import MSDeformAttn, multi_scale_deformable_attention
from tests.ops.cuda_on_cpu.harness import (
    Inputs,
    Kernels,
    by_definition,
    compile_for_gpu,
    gradients_by_definition,
    make_inputs,
    smooth,
)

pytestmark = pytest.mark.gpu

PYRAMID = [(8, 12), (4, 6), (2, 3)]
LEVELS = [[(1, 1)], [(7, 5)], [(9, 4), (5, 2), (3, 1), (1, 1)], [(5, 5), (3, 3), (2, 2), (1, 2), (1, 1)]]
TYPES = [
    (torch.float32, torch.float32),
    (torch.bfloat16, torch.float32),
    (torch.bfloat16, torch.bfloat16),
    (torch.float16, torch.float32),
    (torch.float16, torch.float16),
]
modes = pytest.mark.parametrize("fused", [False, True], ids=["locations", "fused"])


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    if not torch.cuda.is_available() or shutil.which("nvcc") is None:
        pytest.skip("no CUDA device, or no nvcc to compile for it")
    major, minor = torch.cuda.get_device_capability()
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    compile_for_gpu(library, 10 * major + minor)
    torch.zeros(1, device="cuda")  # makes the device's context the current one
    return Kernels(library, torch.device("cuda", torch.cuda.current_device()))


def assert_near(ours: Tensor, exact: Tensor, scale: float = 1.0) -> None:
    """Within the rounding of `ours`, whose sums are in float32, relative to the largest numbers."""
    tolerance = max(torch.finfo(ours.dtype).eps, 1e-5) * scale
    largest = exact.abs().max().item() if exact.numel() else 0.0
    torch.testing.assert_close(ours.double().cpu(), exact, rtol=tolerance, atol=tolerance * largest)


def check(kernels: Kernels, inputs: Inputs) -> None:
    output = kernels.forward(inputs)
    assert_near(output, by_definition(inputs))
    grad_output = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output.dtype)
    ours, exact = kernels.backward(inputs, grad_output), gradients_by_definition(inputs, grad_output)
    one_sided = ~smooth(inputs)
    assert_near(ours[0], exact[0])
    assert_near(ours[1].masked_fill(one_sided, 0), exact[1].masked_fill(one_sided, 0), scale=4)
    assert_near(ours[2], exact[2], scale=4)


@modes
@pytest.mark.parametrize("types", TYPES, ids=lambda types: "-".join(str(each).removeprefix("torch.") for each in types))
@pytest.mark.parametrize("channels", [8, 16, 32, 64, 128])
def test_types_and_channels(
    kernels: Kernels, channels: int, types: tuple[torch.dtype, torch.dtype], fused: bool
) -> None:
    check(kernels, make_inputs(PYRAMID, fused, channels, queries=133, heads=3).to(*types))


@modes
@pytest.mark.parametrize("sizes", LEVELS, ids=str)
def test_levels(kernels: Kernels, sizes: Sequence[tuple[int, int]], fused: bool) -> None:
    check(kernels, make_inputs(sizes, fused))


@modes
def test_nothing_to_do(kernels: Kernels, fused: bool) -> None:
    for shape in ({"images": 0}, {"queries": 0}):
        assert kernels.forward(make_inputs([(3, 3)], fused, **shape)).numel() == 0


@modes
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1e9])
def test_far_outside_and_not_finite_positions_count_nothing(kernels: Kernels, number: float, fused: bool) -> None:
    inputs = make_inputs(PYRAMID, fused)
    positions = inputs.positions.clone()
    positions[0, :, 0, :, 1] = number
    check(kernels, replace(inputs, positions=positions))


@modes
@pytest.mark.parametrize("types", TYPES[:3:2], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("extractor", [False, True], ids=["injector", "extractor"])
def test_shapes_of_the_base_network(
    kernels: Kernels, extractor: bool, types: tuple[torch.dtype, torch.dtype], fused: bool
) -> None:
    """ViT-Adapter-B at a crop of 512: thousands of queries add to the same pixels at the same time."""
    sizes, queries = ([(32, 32)], 64**2 + 32**2 + 16**2) if extractor else ([(64, 64), (32, 32), (16, 16)], 32**2)
    check(kernels, make_inputs(sizes, fused, queries=queries, heads=12, points=4).to(*types))


def test_all_queries_add_to_the_same_pixels(kernels: Kernels) -> None:
    """No addition is lost."""
    inputs = make_inputs([(2, 2)], fused=False, queries=5000)
    check(kernels, replace(inputs, positions=torch.full_like(inputs.positions, 0.45)))


def as_called(inputs: Inputs, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Output and gradients of the operation, on the CPU."""
    leaves = [tensor.to(device, dtype).requires_grad_() for tensor in inputs.tensors()]
    output = multi_scale_deformable_attention(leaves[0], inputs.sizes, leaves[1], leaves[2])
    output.float().square().sum().backward()
    return tuple(tensor.cpu().detach() for tensor in (output, *(leaf.grad for leaf in leaves)) if tensor is not None)


@pytest.mark.parametrize("channels", [5, 32, 48])
def test_operation_is_the_cpus(device: torch.device, channels: int) -> None:
    inputs = make_inputs(PYRAMID, fused=False, channels=channels, queries=70)
    exact = as_called(inputs, torch.device("cpu"), torch.float64)
    for ours, expected in zip(as_called(inputs, device, torch.float32), exact, strict=True):
        assert_near(ours, expected, scale=4)


def module_and_inputs() -> tuple[MSDeformAttn, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    attention = MSDeformAttn(dim=64, levels=3, heads=4, points=4, ratio=0.5)
    for name, parameter in attention.named_parameters():
        if name.startswith(("sampling_offsets", "attention_weights")):
            parameter.data += torch.randn(parameter.shape, generator=generator) * 0.05
    tokens = sum(height * width for height, width in PYRAMID)
    query, value = (torch.randn(2, count, 64, generator=generator) for count in (50, tokens))
    return attention, query, torch.rand(50, 2, generator=generator), value


@pytest.mark.parametrize(
    ("autocast", "tolerance"), [(None, 1e-4), (torch.bfloat16, 0.03), (torch.float16, 0.01)], ids=str
)
def test_module_is_the_cpus(device: torch.device, autocast: torch.dtype | None, tolerance: float) -> None:
    attention, query, reference_points, value = module_and_inputs()
    attention.double()
    exact = attention(query.double(), reference_points.double(), value.double(), PYRAMID)
    exact.square().sum().backward()
    expected = {name: parameter.grad for name, parameter in attention.named_parameters()}
    attention.zero_grad()
    attention.float().to(device)
    with torch.autocast("cuda", autocast, enabled=autocast is not None):
        output = attention(query.to(device), reference_points.to(device), value.to(device), PYRAMID)
    output.float().square().sum().backward()
    assert (output.double().cpu() - exact).norm() < tolerance * exact.norm()
    for name, parameter in attention.named_parameters():
        wanted = expected[name]
        assert parameter.grad is not None
        assert wanted is not None
        assert (parameter.grad.double().cpu() - wanted).norm() < 3 * tolerance * wanted.norm(), name


def test_operation_can_be_captured(device: torch.device) -> None:
    """A CUDA graph refuses whatever waits for the GPU, and runs on a stream of its own."""
    inputs = make_inputs(PYRAMID, fused=False)
    value, positions, scores = (tensor.to(device) for tensor in inputs.tensors())
    expected = multi_scale_deformable_attention(value, PYRAMID, positions, scores)
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = multi_scale_deformable_attention(value, PYRAMID, positions, scores)
    output.zero_()
    graph.replay()
    torch.testing.assert_close(output, expected)
